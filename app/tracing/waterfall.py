"""A trace as a waterfall: when each of its runs began, how long it took, what it did.

    view = waterfall.view(store, run.trace)    # plain JSON, for any page
    Path("trace.html").write_text(waterfall.html(view), encoding="utf-8")

The page stands alone: it asks nothing of any other machine, and a policy inside it forbids
the browser to. What runs hold is text to it, whatever markup or script that text may be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any
from uuid import UUID

import jinja2

from groundling.errors import TraceError
from groundling.tracing import phrases
from groundling.tracing.as_json import feedback_as_json, moment, run_as_json, seconds, speed
from groundling.tracing.feedback import FeedbackBook
from groundling.tracing.readable import arguments, blocks, choice, chunks
from groundling.tracing.run import Payload, Status, StoredRun
from groundling.tracing.store import TraceStore

SHOWN_CHARACTERS = 20_000  # of one input or output in a page
PAGE_CHARACTERS = 12_000_000  # of all of them; in long traces each gets less
MINUTES = 120.0  # seconds from which on an axis counts in minutes
KINDS = (
    ("chain", "step"),
    ("llm", "model"),
    ("retriever", "retrieval"),
    ("tool", "tool"),
    ("embedding", "embedding"),
    ("other", "other"),
)
_HIDDEN = "langsmith:hidden"
_WRAPPED = "seq:step:"


def view(store: TraceStore, trace: UUID) -> dict[str, Any]:
    """Return a trace with everything that is known of it, as plain JSON.

    `runs` are in the order of a tree, parents before their children, with their `depth` in
    it; `start` and `until` are seconds on one axis that begins with the first run and ends
    at `seconds`. A run that says nothing which its parent does not is `folded`: LangGraph
    shows a node that is a runnable twice. Its children then stand under the parent.

    Raises:
        TraceError: there is no such trace.
    """
    runs = store.trace(trace)
    if not runs:
        raise TraceError(f"There is no trace {trace}.", hint="groundling trace list shows them.")
    begun = min(run.started for run in runs)
    ended = max(run.ended or run.started for run in runs)
    if any(run.status == Status.RUNNING for run in runs):
        ended = max(ended, time.time_ns() // 1000)
    payloads = store.payloads(runs)
    folded = _folded(runs)
    depths = _depths(runs, folded)
    shown: list[dict[str, Any]] = []
    for run in runs:
        over = run.ended if run.duration is not None else ended
        shown.append(
            {
                **run_as_json(run),
                "depth": depths[run.id],
                "folded": run.id in folded,
                "start": (run.started - begun) / 1e6,
                "leaf": True,
                "until": ((over or ended) - begun) / 1e6,
                **_payload(run, payloads[run.seq]),
            }
        )
    visible = [run for run in shown if not run["folded"]]
    for above, after in pairwise(visible):
        above["leaf"] = after["depth"] <= above["depth"]
    root = runs[0]
    said = FeedbackBook(store).of_traces([trace]).get(trace, [])
    return {
        "trace": str(trace),
        "name": root.graph or root.name,
        "project": root.project,
        "thread": root.thread,
        "status": str(root.status),
        "verdict": root.verdict,
        "started": moment(begun).isoformat(),
        "duration": seconds(root.duration),
        "seconds": (ended - begun) / 1e6,
        "asked": root.preview,
        "answered": root.answer,
        "error": root.error,
        "model": root.model,
        "input_tokens": root.input_tokens,
        "output_tokens": root.output_tokens,
        "cached_tokens": root.cached_tokens,
        "first_token": seconds(root.first_token),
        "tokens_per_second": _speed(runs),
        "cpu_seconds": seconds(root.cpu),
        "peak_memory": root.memory,
        "egress": root.egress,
        "redacted": root.redacted,
        "feedback": [feedback_as_json(each) for each in reversed(said)],
        "runs": shown,
    }


def html(view: Mapping[str, Any]) -> str:
    """Write a view as one HTML file that needs nothing else.

    Inputs and outputs that are very long are shortened in it, and say so.
    """
    runs = [run for run in view["runs"] if not run["folded"]]
    texts = sum(len(run["inputs"]) + len(run["outputs"]) for run in runs)
    longest = min(SHOWN_CHARACTERS, max(200, PAGE_CHARACTERS // max(1, texts)))
    span = max(float(view["seconds"]), 1e-6) * 1.01  # the last bar stays inside
    step = _step(span)
    return _page().render(
        title=phrases.title(view),
        view=view,
        error_line=phrases.error_line(view["error"]),
        totals=list(_totals(view)),
        kinds=[(kind, name) for kind, name in KINDS if any(_kind(run) == kind for run in runs)],
        ticks=any(run["first_token"] is not None for run in runs),
        span=span,
        step=step,
        marks=[
            {"at": n * step, "label": _mark(n * step, span)}
            for n in range(math.ceil(0.94 * span / step))
        ],
        rows=[_row(run) for run in runs],
        details=[_details(run, longest) for run in runs],
        folded=len(view["runs"]) - len(runs),
        style=_file("waterfall.css"),
        script=_file("waterfall.js"),
    )


def _payload(run: StoredRun, payload: Payload) -> dict[str, Any]:
    """Return what went into a run and came out, in the form it is read."""
    parameters = payload.extra.get("invocation_params")
    return {
        "inputs": [asdict(block) for block in blocks(payload.inputs or None)],
        "outputs": [asdict(block) for block in blocks(payload.outputs)],
        "chunks": chunks(payload.outputs),
        "choice": choice(payload.outputs),
        "arguments": arguments(payload.inputs) if run.run_type == "tool" else "",
        "calls_out": list(_calls_out(payload.events)),
        "metadata": dict(payload.metadata),
        "parameters": dict(parameters) if isinstance(parameters, Mapping) else {},
    }


def _calls_out(events: Sequence[Any]) -> Iterator[str]:
    for event in events:
        if isinstance(event, Mapping) and event.get("name") == "egress":
            call = event.get("kwargs")
            if isinstance(call, Mapping):
                yield f"{call.get('host')} ({call.get('purpose')}, {call.get('sent')})"


def _folded(runs: Sequence[StoredRun]) -> set[UUID]:
    """Return the runs that only repeat their parent, and those marked as hidden."""
    known = {run.id: run for run in runs}
    folded: set[UUID] = set()
    for run in runs:
        above = known.get(run.parent) if run.parent is not None else None
        if above is None:
            continue
        repeats = (run.name, run.node, run.run_type, run.status) == (
            (above.name, above.node, above.run_type, above.status)
        )
        if _HIDDEN in run.tags or (repeats and any(tag.startswith(_WRAPPED) for tag in run.tags)):
            folded.add(run.id)
    return folded


def _depths(runs: Sequence[StoredRun], folded: Container[UUID]) -> dict[UUID, int]:
    depths: dict[UUID, int] = {}
    for run in runs:
        above = depths.get(run.parent, -1) if run.parent is not None else -1
        depths[run.id] = max(0, above if run.id in folded else above + 1)
    return depths


def _speed(runs: Sequence[StoredRun]) -> float | None:
    """Return the tokens a second while models wrote, over all of them."""
    wrote = [(run.output_tokens or 0, each) for run in runs if (each := speed(run))]
    tokens = sum(count for count, _ in wrote)
    return round(tokens / sum(count / each for count, each in wrote), 2) if tokens else None


def _totals(view: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    models = sum(run["run_type"] == "llm" for run in view["runs"])
    every = {
        "Duration": phrases.took(view["duration"]),
        "First token": phrases.took(view["first_token"]),
        "Tokens": phrases.tokens(view),
        "Tokens a second": f"{view['tokens_per_second']:.1f}" if view["tokens_per_second"] else "",
        "Models called": str(models or ""),
        "Model": view["model"],
        "CPU": phrases.took(view["cpu_seconds"]),
        "Peak memory": phrases.size(view["peak_memory"]),
        "Calls to other machines": f"{view['egress']:,}",
        "Redacted": f"{view['redacted']:,}" if view["redacted"] else "",
        "Started": view["started"],
        "Project": view["project"],
        "Thread": view["thread"],
    }
    yield from ((name, value) for name, value in every.items() if value)


def _row(run: Mapping[str, Any]) -> dict[str, Any]:
    lasts = run["until"] - run["start"]
    first = run["first_token"]
    spoken = f"begins at {phrases.took(run['start'])}, takes {phrases.took(lasts)}"
    if first is not None:
        spoken += f", first token after {phrases.took(first)}"
    tokens = ""
    if run["input_tokens"] is not None:
        cached = phrases.share(run["cached_tokens"], run["input_tokens"])
        tokens = f"{phrases.many(run['input_tokens'])} → {phrases.many(run['output_tokens'] or 0)}"
        tokens += f" ({cached})" if run["cached_tokens"] else ""
    return {
        "kind": _kind(run),
        "name": run["name"],
        "status": run["status"],
        "depth": run["depth"],
        "parent": not run["leaf"],
        "start": round(run["start"], 6),
        "until": round(run["until"], 6),
        "first": f"{min(1.0, first / lasts):.2%}" if first is not None and lasts > 0 else None,
        "took": phrases.took(run["duration"]),
        "tokens": tokens,
        "gist": phrases.gist(run),
        "spoken": spoken,
    }


def _details(run: Mapping[str, Any], longest: int) -> dict[str, Any]:
    def shortened(side: str) -> list[dict[str, str]]:
        return [{**block, "text": _shortly(block["text"], longest)} for block in run[side]]

    return {
        "name": run["name"],
        "kind": dict(KINDS)[_kind(run)],
        "status": run["status"],
        "gist": phrases.gist(run),
        "facts": list(phrases.facts(run)),
        "error": run["error"],
        "inputs": shortened("inputs"),
        "outputs": shortened("outputs"),
        "parameters": run["parameters"],
        "metadata": run["metadata"],
    }


def _kind(run: Mapping[str, Any]) -> str:
    if run["input_tokens"] is not None and run["leaf"]:
        return "llm"  # a choice: the model's weights are read, nothing is written
    return run["run_type"] if run["run_type"] in dict(KINDS) else "other"


def _shortly(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[:longest]}…\n\n({len(text):,} characters in all: groundling trace show --full)"


def _step(span: float) -> float:
    """Return a round distance between about six marks on an axis."""
    unit = 60.0 if span >= MINUTES else 1.0
    rough = span / unit / 6
    power = 10.0 ** math.floor(math.log10(rough))
    return unit * next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999999)


def _mark(seconds: float, span: float) -> str:
    if span < 1:
        return f"{round(seconds * 1000, 3):g} ms"
    return f"{round(seconds, 3):g} s" if span < MINUTES else f"{round(seconds / 60, 2):g} min"


def _file(name: str) -> str:
    return (resources.files("groundling.data") / "pages" / name).read_text(encoding="utf-8")


@cache
def _page() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_file("waterfall.html"))
