"""Runs as they begin and end: what `trace tail` shows until it is stopped."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from groundling.cli.output import Shell
from groundling.cli.run_tables import clock, exchange, outcome, plain
from groundling.tracing import phrases
from groundling.tracing.as_json import run_as_json, seconds, short_id
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status, StoredRun
from groundling.tracing.store import TraceStore

MARK_EVERY = 5.0  # seconds between looks for programs that are gone
_SHOWN = 10  # running ones, at the foot of a terminal


class Watch:
    """What changed among the runs that a filter lets through.

    Args:
        store: the runs.
        wanted: the filter; how a run ended is asked when it has.
    """

    def __init__(self, store: TraceStore, wanted: RunFilter) -> None:
        self._store = store
        self._wanted = wanted
        # While a run goes on nobody knows how it will end: that is asked of those that have.
        self._begun = dataclasses.replace(
            wanted, status=(), verdict=None, feedback=None, slower=None, text=None, model=None
        )
        self._open: dict[int, Status] = {}
        [[last]] = store.read("SELECT coalesce(max(seq), 0) FROM runs")
        self._last = int(last)
        for run in self._find(self._begun, f"runs.status = '{Status.RUNNING}'", ()):
            self._open[run.seq] = run.status

    @property
    def running(self) -> list[int]:
        """Return the numbers of the runs that go on, the newest first."""
        return sorted(self._open, reverse=True)

    def changes(self) -> Iterator[StoredRun]:
        """Yield the runs that began or ended since this was last called, in their order."""
        new = self._find(self._begun, "runs.seq > ?", (self._last,))
        ended = self._among(self._begun, [seq for seq in self._open if seq <= self._last])
        ended = [run for run in ended if run.status != Status.RUNNING]
        if new:
            self._last = max(run.seq for run in new)
        begun = [run for run in new if run.status == Status.RUNNING]
        over = [*ended, *(run for run in new if run.status != Status.RUNNING)]
        for run in begun:
            self._open[run.seq] = run.status
        for run in ended:
            del self._open[run.seq]
        matching = self._among(self._wanted, [run.seq for run in over])
        # Of runs that begin, those are told of which may still be wanted when they end.
        told = [*begun, *matching] if self._may_run else matching
        yield from sorted(told, key=lambda run: run.started + (run.duration or 0))

    def of(self, numbers: Sequence[int]) -> list[StoredRun]:
        """Return runs by their numbers."""
        return self._among(self._begun, numbers)

    @property
    def _may_run(self) -> bool:
        return not self._wanted.status or Status.RUNNING in self._wanted.status

    def _among(self, wanted: RunFilter, numbers: Sequence[int]) -> list[StoredRun]:
        found: list[StoredRun] = []
        for start in range(0, len(numbers), 500):
            part = numbers[start : start + 500]
            marks = ",".join("?" * len(part))
            found += self._find(wanted, f"runs.seq IN ({marks})", part)
        return found

    def _find(
        self, wanted: RunFilter, clause: str, parameters: Sequence[object]
    ) -> list[StoredRun]:
        narrowed = dataclasses.replace(wanted, clauses=[*wanted.clauses, (clause, parameters)])
        return self._store.find(narrowed, limit=-1, oldest_first=True)


def follow(
    shell: Shell, store: TraceStore, wanted: RunFilter, *, earlier: int, interval: float
) -> None:
    """Print runs as they begin and end, until Ctrl-C.

    Args:
        shell: where to.
        store: the runs.
        wanted: which of them.
        earlier: how many of those that are there already come first.
        interval: seconds between looks.
    """
    watch = Watch(store, wanted)
    for run in reversed(store.find(wanted, limit=earlier) if earlier else []):
        _tell(shell, run)
    watched = shell.console.is_terminal and not shell.json
    if watched:
        shell.status("Following runs; Ctrl-C ends it.")
    marked = time.monotonic()
    live = Live(console=shell.console, transient=True, auto_refresh=False) if watched else None
    try:
        with live or nullcontext():
            while True:
                if time.monotonic() - marked >= MARK_EVERY:
                    store.mark_lost()
                    marked = time.monotonic()
                for run in watch.changes():
                    if live is None or run.status != Status.RUNNING:
                        _tell(shell, run)
                if live is not None:
                    live.update(_running(watch.of(watch.running[:_SHOWN])), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        return


def _tell(shell: Shell, run: StoredRun) -> None:
    if shell.json:
        shell.event(run_as_json(run))
        return
    line = _line(run)
    if shell.console.is_terminal:
        _print(shell.console, line)
    else:
        click.echo(line.plain)


def _print(console: Console, line: Text) -> None:
    line.truncate(console.width, overflow="ellipsis")
    console.print(line)


def _line(run: StoredRun) -> Text:
    name = plain(run.name if run.parent is None else f"{run.graph}/{run.node or run.name}")
    ended = outcome(run)
    name.truncate(16, overflow="ellipsis", pad=True)
    ended.truncate(11, overflow="ellipsis", pad=True)
    today = datetime.now().astimezone().date().isoformat()
    return Text.assemble(
        (short_id(run.id), "bold"),
        "  ",
        (f"{clock(run.started, today):<11}", "dim"),
        "  ",
        name,
        "  ",
        ended,
        f"  {phrases.took(seconds(run.duration)) or '…':>9}  ",
        exchange(run),
    )


def _running(runs: Sequence[StoredRun]) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, show_header=False)
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    now = time.time_ns() // 1000
    for run in reversed(runs):
        table.add_row(
            Text(short_id(run.id), "bold cyan"),
            plain(run.name),
            Text("running", "cyan"),
            Text(phrases.took(max(0.0, (now - run.started) / 1e6))),
            plain(run.preview),
        )
    return table
