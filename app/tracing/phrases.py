"""Figures and runs in a few words, for terminals and pages alike.

A run is given as `waterfall.view` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundling.tracing.as_json import short_id

_STEPS = ("graph:step:", "seq:step:", "map:key:")  # LangChain's own tags
_PASSAGES = 12  # ids that are named; of more, how many there are


def took(seconds: float | None) -> str:
    """Write a duration with about three figures."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min"


def many(number: float) -> str:
    """Write a count, large ones in thousands, millions and billions."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 10_000 and number >= factor * 0.9995:
            scaled = number / factor
            return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:.0f}{unit}"
    return f"{number:,.0f}"


def share(part: float | None, whole: float | None) -> str:
    """Write a share in per cent; nothing where there is no whole."""
    return f"{min(1.0, (part or 0) / whole):.0%}" if whole else ""


def size(count: int | None) -> str:
    """Write a number of bytes."""
    if count is None:
        return ""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def first_line(text: str | None) -> str:
    """Return a text on one line, without the white space round it."""
    return " ".join((text or "").split())


def error_line(error: str | None) -> str:
    """Return what an error says, without where it was raised."""
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    return lines[0] if lines else ""


def tokens(run: Mapping[str, Any]) -> str:
    """Say how many tokens went in, from the cache, and out."""
    if run["input_tokens"] is None and run["output_tokens"] is None:
        return ""
    cached = share(run["cached_tokens"], run["input_tokens"]) if run["cached_tokens"] else ""
    read = f"{run['input_tokens'] or 0:,} in" + (f" ({cached} cached)" if cached else "")
    return f"{read}, {run['output_tokens'] or 0:,} out"


def facts(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is known of a run, each fact with its name; only what there is."""
    every = {
        "Verdict": run["verdict"],
        "Model": run["model"],
        "Prompt": _prompt(run),
        "Called with": run["arguments"],
        "Chosen": run["choice"],
        "Passages": passages(run),
        "Duration": took(run["duration"]),
        "First token": took(run["first_token"]),
        "Tokens": tokens(run),
        "Tokens a second": f"{speed:.1f}" if (speed := run["tokens_per_second"]) else "",
        "CPU": took(run["cpu_seconds"]),
        "Peak memory": size(run["peak_memory"]),
        "Calls to other machines": ", ".join(run["calls_out"]) or _positive(run["egress"]),
        "Redacted": _positive(run["redacted"]),
        "Node": run["node"],
        "Thread": run["thread"],
        "Tags": ", ".join(tag for tag in run["tags"] if not tag.startswith(_STEPS)),
        "Started": run["started"],
        "Id": run["id"],
    }
    yield from ((name, str(value)) for name, value in every.items() if value)


def passages(run: Mapping[str, Any]) -> str:
    """Name the passages that were retrieved, by their ids."""
    ids = run["chunks"]
    named = ", ".join(map(str, ids[:_PASSAGES]))
    return f"{named} and {len(ids) - _PASSAGES} more" if len(ids) > _PASSAGES else named


def gist(run: Mapping[str, Any]) -> str:
    """Say in one line what a run did; what it answered comes last, since it may be long."""
    if run["error"] and run["status"] == "error":
        return error_line(run["error"])
    parts = [f"({run['arguments']})"] if run["run_type"] == "tool" else []
    found = passages(run)
    parts += [
        part for part in (run["prompt"] or _model(run), found and f"passages {found}") if part
    ]
    said = run["choice"] or run["answer"]
    if said and run["leaf"] and not run["chunks"]:
        parts.append(f"→ {said}")
    return first_line("  ".join(parts))


def title(view: Mapping[str, Any]) -> str:
    """Name a trace: its graph, what it was asked, and the end of its id."""
    asked = first_line(view["asked"])
    return f"{view['name']} {short_id(view['trace'])}" + (f": {asked}" if asked else "")


def _prompt(run: Mapping[str, Any]) -> str:
    if not run["prompt"]:
        return ""
    digest = run["prompt_sha256"]
    return f"{run['prompt']} ({digest[:12]})" if digest else str(run["prompt"])


def _model(run: Mapping[str, Any]) -> str:
    return run["model"] if run["run_type"] == "llm" and run["model"] else ""


def _positive(count: int) -> str:
    return f"{count:,}" if count else ""
