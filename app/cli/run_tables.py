"""Runs and statistics as tables: coloured and as wide as the terminal, or plain when piped."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from groundling.tracing import phrases
from groundling.tracing.as_json import moment, seconds, short_id
from groundling.tracing.run import Status, StoredRun

if TYPE_CHECKING:
    from groundling.tracing.feedback import Feedback
    from groundling.tracing.statistics import Statistics

COLOURS = {
    Status.RUNNING: "cyan",
    Status.SUCCESS: "green",
    Status.ERROR: "red",
    Status.INTERRUPTED: "yellow",
    Status.CANCELLED: "bright_black",
    Status.LOST: "magenta",
}
ROOMY = 100  # columns from which on less important figures are shown
_PLAIN_WIDTH = 4_000
# What steers a terminal, and what turns the direction of writing round.
_STEERING = re.compile(
    "[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


def lines(table: Table | Text) -> Iterator[str]:
    """Yield a table as plain aligned lines, each as long as it needs to be."""
    if isinstance(table, Text):
        yield from table.plain.splitlines() or [""]
        return
    page = Console(file=io.StringIO(), width=_PLAIN_WIDTH, color_system=None)
    with page.capture() as captured:
        page.print(table)
    yield from (line.rstrip() for line in captured.get().splitlines())


def harmless(text: str) -> str:
    """Return a text of unknown origin without what a terminal would obey."""
    return _STEERING.sub("\ufffd", text.expandtabs(4))


def plain(text: str) -> Text:
    """Return a text of unknown origin on one line."""
    return Text(harmless(phrases.first_line(text)))


def run_table(
    runs: Sequence[StoredRun],
    said: Mapping[UUID, Sequence[Feedback]],
    *,
    width: int | None,
    now: datetime | None = None,
) -> Table:
    """Lay out runs, one a line.

    Args:
        runs: which, in order.
        said: feedback by trace.
        width: of the terminal; None where nobody looks: then nothing is left out.
        now: today's clock, for tests.
    """
    roomy = width is None or width >= ROOMY
    judged = any(said.get(run.trace) for run in runs)
    table = Table(box=None, pad_edge=False, expand=width is not None, header_style="dim")
    for name in ("id", "started"):
        table.add_column(name, no_wrap=True)
    widest = None if width is None else max(10, width // 6)
    table.add_column("graph", no_wrap=True, overflow="ellipsis", max_width=widest)
    table.add_column("outcome", no_wrap=True, overflow="ellipsis", max_width=widest and 12)
    table.add_column("time", no_wrap=True, justify="right")
    if roomy:
        table.add_column("tokens", no_wrap=True, justify="right")
    if judged:
        table.add_column("rated", no_wrap=True, justify="right")
    table.add_column("asked → answered", no_wrap=True, overflow="ellipsis", ratio=1)
    today = (now or datetime.now()).astimezone().date()
    for run in runs:
        cells = [
            Text(short_id(run.id), "bold"),
            Text(clock(run.started, today.isoformat()), "dim"),
            plain(run.name if run.parent is None else f"{run.graph}/{run.node or run.name}"),
            outcome(run),
            Text(phrases.took(seconds(run.duration)) or "…"),
        ]
        if roomy:
            cells.append(Text(_tokens(run), "dim"))
        if judged:
            cells.append(_rating(said.get(run.trace, ())))
        table.add_row(*cells, exchange(run))
    return table


def exchange(run: StoredRun) -> Text:
    """Say what a run was asked and answered, or how it failed."""
    said = Text()
    said.append_text(plain(run.preview))
    if run.status == Status.ERROR:
        said.append(" → ", "dim")
        said.append_text(Text(plain(phrases.error_line(run.error)).plain, "red"))
    elif run.answer:
        said.append(" → ", "dim")
        said.append_text(plain(run.answer))
    return said


def outcome(run: StoredRun) -> Text:
    """Say how a run ended: what the graph says of its answer, or the status."""
    if run.status != Status.SUCCESS:
        return Text(str(run.status), COLOURS[run.status])
    if run.verdict is None:
        return Text("success", "green")
    good = run.verdict in ("answered", "allow", "supported")
    return Text(plain(run.verdict).plain, "green" if good else "yellow")


def clock(started: int, today: str) -> str:
    """Return when a run began, in local time; the day where it is not today."""
    local = moment(started).astimezone()
    if local.date().isoformat() == today:
        return local.strftime("%H:%M:%S")
    return local.strftime(
        "%m-%d %H:%M" if local.date().isoformat()[:4] == today[:4] else "%Y-%m-%d"
    )


def statistics_table(rows: Sequence[Statistics], *, width: int | None) -> Table:
    """Lay out statistics: a line a graph, its nodes below it."""
    names = ["runs", "errors", "p50", "p95", "first", "in", "cached", "out", "tok/s"]
    cells = [_figures(row) for row in rows]
    besides = [_besides(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="dim")
    widest = None if width is None else max(12, width // 5)
    table.add_column("graph, node", no_wrap=True, overflow="ellipsis", max_width=widest)
    for name, column in zip(names, zip(*cells, strict=True), strict=True):
        least = max(cell_len(name), *(figure.cell_len for figure in column))
        table.add_column(name, no_wrap=True, justify="right", min_width=least)
    if any(besides) and (width is None or width >= ROOMY):
        table.add_column("besides", no_wrap=True, overflow="ellipsis")
    else:
        besides = []
    for n, (row, figures) in enumerate(zip(rows, cells, strict=True)):
        top = row.node is None
        if top and n:
            table.add_row()
        label = Text(plain(row.graph).plain, "bold") if top else plain(row.node or "")
        if not top:
            label.pad_left(2)
        table.add_row(label, *figures, *besides[n : n + 1])
    return table


def _figures(row: Statistics) -> list[Text]:
    return [
        Text(phrases.many(row.count)),
        Text(f"{row.error_share:.1%}" if row.errors else "", "red"),
        Text(phrases.took(row.p50)),
        Text(phrases.took(row.p95)),
        Text(phrases.took(row.first_token)),
        Text(phrases.many(row.input_tokens) if row.input_tokens else ""),
        Text(f"{row.cached_share:.0%}" if row.cached_tokens else ""),
        Text(phrases.many(row.output_tokens) if row.output_tokens else ""),
        Text(f"{row.speed:.1f}" if row.speed else ""),
    ]


def feedback_table(
    given: Sequence[Feedback], runs: Mapping[UUID, StoredRun], *, width: int | None
) -> Table:
    """Lay out feedback, one a line, beside the run that it is of."""
    table = Table(box=None, pad_edge=False, expand=width is not None, header_style="dim")
    for name in ("id", "given", "run", "graph", "key"):
        table.add_column(name, no_wrap=True)
    table.add_column("score", no_wrap=True, justify="right")
    table.add_column("said", no_wrap=True, overflow="ellipsis", ratio=1)
    today = datetime.now().astimezone().date().isoformat()
    for each in given:
        run = runs.get(each.run) if each.run is not None else None
        table.add_row(
            Text(short_id(each.id), "bold"),
            Text(clock(each.created, today), "dim"),
            Text(short_id(each.run) if each.run else ""),
            plain(run.graph or run.name if run else "(gone)"),
            plain(each.key),
            _score(each.score),
            _words(each, run),
        )
    return table


def _words(each: Feedback, run: StoredRun | None) -> Text:
    said = Text()
    if each.value is not None:
        said.append_text(plain(str(each.value))).append("  ")
    if each.comment:
        said.append_text(plain(f"“{each.comment}”")).append("  ")
    if each.correction is not None:
        said.append("should be: ", "dim").append_text(plain(str(each.correction)))
    if not said.plain and run is not None:
        said.append_text(Text(exchange(run).plain, "dim"))
    return said


def _tokens(run: StoredRun) -> str:
    if run.input_tokens is None:
        return ""
    return f"{phrases.many(run.input_tokens)}→{phrases.many(run.output_tokens or 0)}"


def _rating(given: Sequence[Feedback]) -> Text:
    scores = [each.score for each in given if each.score is not None]
    return _score(min(scores)) if scores else Text("said" if given else "", "dim")


def _score(score: float | None) -> Text:
    return Text("" if score is None else f"{score:+g}", "green" if (score or 0) > 0 else "red")


def _besides(row: Statistics) -> Text:
    named = {
        "running": row.running,
        "interrupted": row.interrupted,
        "cancelled": row.cancelled,
        "lost": row.lost,
    }
    return Text(", ".join(f"{count:,} {name}" for name, count in named.items() if count), "dim")
