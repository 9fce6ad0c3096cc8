"""How long runs are kept: by age and by the size of the file, oldest first.

Traces with feedback, and those of experiments, are kept however old they are: they are what
a model is trained on and measured by. So are traces that still run.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from groundling.settings import TracingSettings
from groundling.tracing.store import TraceStore

CHUNK = 200  # traces that are removed in one transaction
DAY = 86_400_000_000  # microseconds

_REMOVABLE = """
    SELECT runs.trace, runs.started FROM runs JOIN projects ON projects.id = runs.project
    WHERE runs.parent IS NULL AND runs.started < ? AND projects.dataset IS NULL
    AND runs.status != 'running'
    AND NOT EXISTS (SELECT 1 FROM feedback WHERE feedback.trace = runs.trace)
    ORDER BY runs.started LIMIT ?
"""


@dataclass(frozen=True)
class Pruned:
    """What was removed, and what is left in the file; sizes in bytes.

    `done` is False where the time was up before all was removed.
    """

    traces: int
    runs: int
    size: int
    done: bool = True


def prune(store: TraceStore, settings: TracingSettings, *, seconds: float | None = None) -> Pruned:
    """Remove what is older than `keep_days`, and the oldest until the file keeps its size.

    Args:
        store: the runs.
        settings: how much is kept.
        seconds: stop after about as long, and go on another time; None: when all is done.
    """
    until = None if seconds is None else time.monotonic() + seconds
    now = time.time_ns() // 1000
    traces = runs = 0
    done = False
    while not done and (until is None or time.monotonic() < until):
        excess = 1 - settings.keep_bytes / max(1, size(store))
        if excess > 0:
            removed = remove_oldest(store, now, min(CHUNK, 1 + int(store.count() * excess)))
        else:
            removed = remove_oldest(store, now - settings.keep_days * DAY)
        done = not removed[0]
        traces += removed[0]
        runs += removed[1]
    return Pruned(traces, runs, size(store), done)


def remove_oldest(store: TraceStore, before: int, most: int = CHUNK) -> tuple[int, int]:
    """Remove the oldest traces that may go; return how many, and how many runs they had.

    Args:
        store: the runs.
        before: only traces that began before this, in microseconds since 1970.
        most: of them.
    """
    with store.writing() as db:
        doomed = [trace for trace, _ in db.execute(_REMOVABLE, (before, most)).fetchall()]
        if not doomed:
            return 0, 0
        gone = _delete(db, doomed)
    _shrink(store)
    return len(doomed), gone


def remove(store: TraceStore, traces: Iterable[UUID]) -> int:
    """Remove traces, whatever their age, with what was said of them; return how many runs went."""
    doomed = [trace.bytes for trace in traces]
    gone = 0
    for start in range(0, len(doomed), CHUNK):
        with store.writing() as db:
            gone += _delete(db, doomed[start : start + CHUNK])
    _shrink(store)
    return gone


def _delete(db: sqlite3.Connection, traces: Sequence[bytes]) -> int:
    marks = ",".join("?" * len(traces))
    inside = f"IN (SELECT seq FROM runs WHERE trace IN ({marks}))"
    db.execute(f"DELETE FROM terms WHERE rowid {inside}", traces)
    db.execute(f"DELETE FROM feedback WHERE trace IN ({marks})", traces)
    return db.execute(f"DELETE FROM runs WHERE trace IN ({marks})", traces).rowcount


def _shrink(store: TraceStore) -> None:
    with store.maintaining() as db:
        db.execute("PRAGMA incremental_vacuum").fetchall()


def size(store: TraceStore) -> int:
    """Return how many bytes of the file are in use."""
    pages, free, each = (
        store.read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * each)
