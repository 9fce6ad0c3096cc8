"""Runs and their events in `server.sqlite`. All functions are for the book's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from groundling.server.runs.book import packed, unpacked
from groundling.server.runs.request import Event, Run, Status

_COLUMNS = (
    "run_id, thread_id, owner, assistant_id, graph, status, created_at, updated_at, metadata,"
    " kwargs, multitask_strategy"
)


def insert(db: sqlite3.Connection, run: Run, request: str | None) -> None:
    """Write a run down.

    Args:
        request: what a server that is started later begins it with again; None: it does not.
    """
    db.execute(
        f"INSERT INTO runs ({_COLUMNS}, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run.run_id, run.thread_id, run.owner, run.assistant_id, run.graph, run.status,
            run.created_at, run.updated_at, packed(run.metadata), packed(run.kwargs),
            run.multitask_strategy, request,
        ),
    )  # fmt: skip


def begin(db: sqlite3.Connection, run_id: str, at: str) -> None:
    """Write down that a run has its place, once more."""
    db.execute(
        "UPDATE runs SET status = 'running', updated_at = ?, attempts = attempts + 1"
        " WHERE run_id = ?",
        (at, run_id),
    )


def postpone(db: sqlite3.Connection, run_id: str) -> None:
    """Write down that a run waits for the server to be started again; that is no attempt."""
    db.execute(
        "UPDATE runs SET postponed = postponed + (status = 'running'), status = 'pending'"
        " WHERE run_id = ?",
        (run_id,),
    )


def end(db: sqlite3.Connection, run_id: str, status: Status, at: str, result: str | None) -> None:
    """Write down how a run ended; what it was begun with is not needed any more.

    Args:
        result: of a run without a thread, and of one that failed: what it gives, as JSON.
    """
    db.execute(
        "UPDATE runs SET status = ?, updated_at = ?, result = ?, request = NULL WHERE run_id = ?",
        (status, at, result, run_id),
    )


def get(db: sqlite3.Connection, run_id: str, owner: str) -> Run | None:
    """Find someone's run."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE run_id = ? AND owner = ?", (run_id, owner)
    ).fetchone()
    return None if row is None else _run(row)


def result(db: sqlite3.Connection, run_id: str) -> Any:
    """Return what a run gave, where that was kept."""
    row = db.execute("SELECT result FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    return None if row is None else unpacked(row[0])


def of_thread(
    db: sqlite3.Connection, thread_id: str, limit: int, offset: int, status: str | None
) -> list[Run]:
    """List the runs of a thread, the newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE thread_id = ? AND (? IS NULL OR status = ?)"
        " ORDER BY created_at DESC, run_id LIMIT ? OFFSET ?",
        (thread_id, status, status, limit, offset),
    )
    return [_run(row) for row in rows]


def ids(db: sqlite3.Connection, owner: str) -> list[str]:
    """List the ids of someone's runs."""
    return [row[0] for row in db.execute("SELECT run_id FROM runs WHERE owner = ?", (owner,))]


def unfinished(db: sqlite3.Connection) -> list[tuple[Run, str | None, int, int]]:
    """List what is left of earlier servers, the oldest first.

    Returns:
        Run, request, how often it was begun, and how often a server was killed in it.
    """
    rows = db.execute(
        f"SELECT {_COLUMNS}, request, attempts, postponed FROM runs"
        " WHERE status IN ('pending', 'running') ORDER BY created_at"
    )
    return [
        (_run(row), row["request"], row["attempts"], row["attempts"] - row["postponed"])
        for row in rows
    ]


def delete(db: sqlite3.Connection, run_id: str) -> None:
    """Forget a run with its events."""
    db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
    db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))


def delete_of_thread(db: sqlite3.Connection, thread_id: str) -> None:
    """Forget the runs of a thread with their events."""
    ids = "SELECT run_id FROM runs WHERE thread_id = ?"
    db.execute(f"DELETE FROM events WHERE run_id IN ({ids})", (thread_id,))
    db.execute("DELETE FROM runs WHERE thread_id = ?", (thread_id,))


def delete_before(db: sqlite3.Connection, oldest: str) -> int:
    """Forget the runs that ended before a time, with their events; return how many."""
    ids = "SELECT run_id FROM runs WHERE updated_at < ? AND status NOT IN ('pending', 'running')"
    db.execute(f"DELETE FROM events WHERE run_id IN ({ids})", (oldest,))
    gone = db.execute(
        "DELETE FROM runs WHERE updated_at < ? AND status NOT IN ('pending', 'running')", (oldest,)
    ).rowcount
    if gone:
        db.execute("DELETE FROM events WHERE run_id NOT IN (SELECT run_id FROM runs)")
    return gone


def write_events(
    db: sqlite3.Connection, run_id: str, rows: Iterable[tuple[int, str, bytes]]
) -> None:
    """Write events down: place, name and data."""
    db.executemany(
        "INSERT OR IGNORE INTO events (run_id, place, event, data) VALUES (?, ?, ?, ?)",
        ((run_id, *row) for row in rows),
    )


def read_events(db: sqlite3.Connection, run_id: str, place: int, limit: int) -> list[Event]:
    """Read the events from a place on."""
    rows = db.execute(
        "SELECT place, event, data FROM events WHERE run_id = ? AND place >= ?"
        " ORDER BY place LIMIT ?",
        (run_id, place, limit),
    )
    return [Event(str(row[0]), row[1], unpacked(row[2])) for row in rows]


def last_place(db: sqlite3.Connection, run_id: str) -> int:
    """Return the place of the latest event of a run; 0 where none is kept."""
    row = db.execute("SELECT max(place) FROM events WHERE run_id = ?", (run_id,)).fetchone()
    return int(row[0] or 0)


def _run(row: Sequence[Any]) -> Run:
    *plain, metadata, kwargs, multitask = row[:11]
    run_id, thread_id, owner, assistant_id, graph, status, created_at, updated_at = plain
    return Run(
        run_id=run_id,
        thread_id=thread_id,
        assistant_id=assistant_id,
        graph=graph,
        owner=owner,
        status=status,
        created_at=created_at,
        updated_at=updated_at,
        metadata=unpacked(metadata),
        kwargs=unpacked(kwargs),
        multitask_strategy=multitask,
    )
