"""A trace as a tree in the terminal: what ran inside what, when, how long, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from groundling.cli.run_tables import COLOURS, ROOMY, harmless, plain
from groundling.tracing import phrases
from groundling.tracing.as_json import short_id
from groundling.tracing.run import Status

_BAR = 24  # cells
_TYPES = {"llm": "magenta", "tool": "yellow", "retriever": "cyan", "embedding": "blue"}
View = Mapping[str, Any]


def head(view: View) -> Table:
    """Lay out what is known of the whole trace: its name, then facts with their labels."""
    status = Status(view["status"])
    top = Text.assemble((short_id(view["trace"]), "dim"), "  ", (str(status), COLOURS[status]))
    if view["verdict"]:
        top.append("  ").append_text(plain(view["verdict"]))
    table = _labels()
    table.add_row(Text(plain(view["name"]).plain, "bold"), top)
    for name, value in _facts(view):
        if value:
            table.add_row(Text(name, "dim"), plain(value))
    if status == Status.ERROR:
        table.add_row(
            Text("failed", "dim"), Text(plain(phrases.error_line(view["error"])).plain, "red")
        )
    for each in view["feedback"]:
        table.add_row(Text("feedback", "dim"), Text(plain(feedback_line(each)).plain, "bold"))
    return table


def _labels() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _facts(view: View) -> Iterator[tuple[str, str]]:
    yield "asked", view["asked"]
    yield "answered", view["answered"]
    first, speed = phrases.took(view["first_token"]), view["tokens_per_second"]
    took = [
        phrases.took(view["duration"]),
        first and f"first token after {first}",
        phrases.tokens(view),
        f"{speed:.1f} tokens a second" if speed else "",
    ]
    yield "took", ", ".join(part for part in took if part)
    cpu, memory = phrases.took(view["cpu_seconds"]), phrases.size(view["peak_memory"])
    cost = [
        cpu and f"CPU {cpu}",
        memory and f"peak memory {memory}",
        f"{view['egress'] or 'no'} call{'s' * (view['egress'] != 1)} to other machines",
        f"{view['redacted']} redacted" if view["redacted"] else "",
    ]
    yield "cost", ", ".join(part for part in cost if part)
    known = {"model": view["model"], "thread": view["thread"], "project": view["project"]}
    named = [f"{name} {value}" for name, value in known.items() if value]
    began = datetime.fromisoformat(view["started"]).astimezone()
    yield "of", ", ".join([*named, began.strftime("%Y-%m-%d %H:%M:%S")])
    yield "id", view["trace"]


def feedback_line(each: Mapping[str, Any]) -> str:
    """Say what somebody said."""
    parts = [each["key"], "" if each["score"] is None else f"{each['score']:+g}"]
    parts += [str(each["value"]) if each["value"] is not None else ""]
    parts += [f"“{each['comment']}”" if each["comment"] else ""]
    parts += [f"should be: {each['correction']}" if each["correction"] is not None else ""]
    return " ".join(part for part in parts if part)


def tree(view: View, *, width: int | None, every: bool = False, chosen: str = "") -> Table:
    """Lay out the runs of a trace, one a line.

    Args:
        view: made by `waterfall.view`.
        width: of the terminal; None where nobody looks: then nothing is left out.
        every: those, too, that only repeat the one above them.
        chosen: id of the run that was asked for.
    """
    runs = [run for run in view["runs"] if every or not run["folded"]]
    table = Table(box=None, pad_edge=False, show_header=False, expand=width is not None)
    table.add_column(
        no_wrap=True, overflow="ellipsis", max_width=None if width is None else width // 2
    )
    drawn = width is not None and width >= ROOMY
    if drawn:
        table.add_column(no_wrap=True, width=_BAR)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for run, guide in zip(runs, _guides([run["depth"] for run in runs]), strict=True):
        status = Status(run["status"])
        colour = _TYPES.get(run["run_type"], "")
        name = Text.assemble((guide, "dim"), (plain(run["name"]).plain, colour))
        if not run["leaf"] or run["id"] == chosen:
            name.stylize("bold", len(guide))
        if run["id"] == chosen:
            name.append(" ◂", "bold")
        cells = [name]
        if drawn:
            cells.append(_bar(run, view["seconds"], colour or "blue"))
        cells.append(Text(phrases.took(run["duration"]) or "…"))
        table.add_row(*cells, _what(run, status, brief=run is runs[0]))
    return table


def whole(runs: Sequence[Mapping[str, Any]]) -> Iterator[Table | Text]:
    """Yield all that is known of runs, with all of their inputs and outputs."""
    for run in runs:
        status = Status(run["status"])
        yield Text()
        yield Text.assemble(
            ("━━ ", "dim"),
            (plain(run["name"]).plain, "bold"),
            f"  {short_id(run['id'])}  ",
            (str(status), COLOURS[status]),
        )
        table = _labels()
        for name, value in phrases.facts(run):
            table.add_row(Text(name.lower(), "dim"), plain(value))
        yield table
        if run["error"]:
            yield from _passage("error", run["error"], "red")
        for side in ("input", "output"):
            for block in run[f"{side}s"]:
                label = harmless(block["label"])
                yield from _passage(f"{side}, {label}" if label else side, block["text"])


def _what(run: Mapping[str, Any], status: Status, *, brief: bool) -> Text:
    """Say what a run did; of the root its tokens alone, since the rest stands above."""
    said = Text()
    if status != Status.SUCCESS:
        said.append(f"{status}  ", COLOURS[status])
    if brief:
        return said
    if run["verdict"]:
        said.append_text(plain(run["verdict"])).append("  ")
    if counted := phrases.tokens(run):
        said.append(counted)
        if run["first_token"] is not None:
            said.append(f", first {phrases.took(run['first_token'])}")
        if run["tokens_per_second"]:
            said.append(f", {run['tokens_per_second']:.1f}/s")
        said.append("  ")
    if run["egress"]:
        said.append(f"{', '.join(run['calls_out']) or run['egress']} called  ", "yellow")
    if run["redacted"]:
        said.append(f"{run['redacted']} redacted  ", "yellow")
    gist = plain(phrases.gist(run)).plain
    said.append(gist, "red" if status == Status.ERROR else "dim")
    return said


def _guides(depths: Sequence[int]) -> Iterator[str]:
    """Yield the lines that lead to each row of a tree."""
    for n, depth in enumerate(depths):
        if depth == 0:
            yield ""
            continue
        parts: list[str] = []
        for level in range(1, depth + 1):
            goes_on = _goes_on(depths, n, level)
            if level == depth:
                parts.append("├─ " if goes_on else "└─ ")
            else:
                parts.append("│  " if goes_on else "   ")
        yield "".join(parts)


def _goes_on(depths: Sequence[int], n: int, level: int) -> bool:
    """Tell whether a branch of that level has a further run below row `n`."""
    for depth in depths[n + 1 :]:
        if depth <= level:
            return depth == level
    return False


def _bar(run: Mapping[str, Any], total: float, colour: str) -> Text:
    """Draw when a run was on, in halves of a cell; what a model read is drawn thinner."""
    scale = _BAR / max(total, 1e-9)
    start = min(_BAR - 1, int(run["start"] * scale))
    end = max(start + 1, min(_BAR, round(run["until"] * scale)))
    bar = Text(" " * start)
    first = run["first_token"] if run["run_type"] == "llm" else None
    wait = 0 if first is None else min(end - start - 1, round(first * scale))
    bar.append("╌" * wait, colour)
    bar.append(("━" if run["leaf"] else "─") * (end - start - wait), colour)
    return bar


def _passage(name: str, text: str, style: str = "") -> Iterator[Text]:
    yield Text(name, "bold cyan")
    for line in text.splitlines() or [""]:
        yield Text(f"  {harmless(line)}", style)
