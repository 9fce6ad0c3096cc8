"""Threads in `server.sqlite`: whose they are and how they stand. For the book's thread.

What was said in them is in LangGraph's checkpoints. A thread that has checkpoints and no row
was made on the command line and is the local user's; `adopt` gives it a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from groundling.server.runs.book import now, packed, unpacked

_COLUMNS = (
    "thread_id, owner, created_at, updated_at, state_updated_at, status, metadata, config,"
    " interrupts, error"
)
SORTABLE = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")


@dataclass
class ThreadRow:
    """A thread as it is kept; times are ISO 8601."""

    thread_id: str
    owner: str
    created_at: str
    updated_at: str
    state_updated_at: str
    status: str
    metadata: dict[str, Any]
    config: dict[str, Any]
    interrupts: dict[str, Any]
    error: dict[str, Any] | None


def get(db: sqlite3.Connection, thread_id: str) -> ThreadRow | None:
    """Find a thread, whoever's it is."""
    row = db.execute(f"SELECT {_COLUMNS} FROM threads WHERE thread_id = ?", (thread_id,)).fetchone()
    return None if row is None else _thread(row)


def insert(db: sqlite3.Connection, row: ThreadRow) -> bool:
    """Write a thread down; return whether there was none of that id."""
    values = (
        row.thread_id, row.owner, row.created_at, row.updated_at, row.state_updated_at, row.status,
        packed(row.metadata), packed(row.config), packed(row.interrupts),
        None if row.error is None else packed(row.error),
    )  # fmt: skip
    marks = ", ".join("?" * len(values))
    return (
        db.execute(
            f"INSERT INTO threads ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING", values
        ).rowcount
        == 1
    )


def fresh(thread_id: str, owner: str, metadata: Mapping[str, Any] | None = None) -> ThreadRow:
    """Return a thread in which nothing has happened."""
    at = now()
    return ThreadRow(thread_id, owner, at, at, at, "idle", dict(metadata or {}), {}, {}, None)


def adopt(db: sqlite3.Connection, rows: Iterable[ThreadRow]) -> None:
    """Write down threads that were found in the checkpoints.

    One that was used again since is as new as its latest checkpoint.
    """
    for row in rows:
        if not insert(db, row):
            db.execute(
                "UPDATE threads SET updated_at = max(updated_at, ?),"
                " state_updated_at = max(state_updated_at, ?) WHERE thread_id = ?",
                (row.updated_at, row.state_updated_at, row.thread_id),
            )


def merge_metadata(db: sqlite3.Connection, thread_id: str, metadata: Mapping[str, Any]) -> None:
    """Add to the metadata of a thread."""
    row = get(db, thread_id)
    if row is not None:
        db.execute(
            "UPDATE threads SET metadata = ?, updated_at = ? WHERE thread_id = ?",
            (packed({**row.metadata, **metadata}), now(), thread_id),
        )


def run_began(
    db: sqlite3.Connection, thread_id: str, config: Mapping[str, Any], named: Mapping[str, Any]
) -> None:
    """Write down that a run of a thread began.

    Args:
        config: what the run was asked with.
        named: graph and assistant, for the metadata.
    """
    row = get(db, thread_id)
    if row is not None:
        db.execute(
            "UPDATE threads SET status = 'busy', config = ?, metadata = ?, updated_at = ?"
            " WHERE thread_id = ?",
            (packed(config), packed({**row.metadata, **named}), now(), thread_id),
        )


def stands(
    db: sqlite3.Connection,
    thread_id: str,
    status: str,
    interrupts: Mapping[str, Any],
    error: Mapping[str, Any] | None,
    changed: bool = True,
) -> None:
    """Write down how a thread stands after a run, or after a change of its state."""
    at = now()
    db.execute(
        "UPDATE threads SET status = ?, interrupts = ?, error = ?, updated_at = ?,"
        " state_updated_at = CASE WHEN ? THEN ? ELSE state_updated_at END WHERE thread_id = ?",
        (
            status, packed(interrupts), None if error is None else packed(error), at, changed, at,
            thread_id,
        ),
    )  # fmt: skip


def busy(db: sqlite3.Connection) -> list[str]:
    """Return the threads that are said to be busy."""
    return [row[0] for row in db.execute("SELECT thread_id FROM threads WHERE status = 'busy'")]


def delete(db: sqlite3.Connection, *thread_ids: str) -> None:
    """Forget threads."""
    db.executemany("DELETE FROM threads WHERE thread_id = ?", [(id,) for id in thread_ids])


def search(
    db: sqlite3.Connection,
    owner: str,
    *,
    ids: list[str] | None = None,
    status: str | None = None,
    sort_by: str | None = None,
    descending: bool = True,
) -> list[ThreadRow]:
    """List someone's threads.

    Args:
        sort_by: one of `SORTABLE`; default: `updated_at`.
    """
    column = sort_by if sort_by in SORTABLE else "updated_at"
    way = "DESC" if descending else "ASC"
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM threads WHERE owner = ?1"
        " AND (?2 IS NULL OR status = ?2)"
        " AND (?3 IS NULL OR thread_id IN (SELECT value FROM json_each(?3)))"
        f" ORDER BY {column} {way}, thread_id",
        (owner, status, None if ids is None else packed(ids)),
    )
    return [_thread(row) for row in rows]


def has(value: Any, wanted: Any) -> bool:
    """Tell whether a value contains another, as PostgreSQL's `@>` has it for JSON."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            key in value and has(value[key], inner) for key, inner in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(
            any(has(one, inner) for one in value) for inner in wanted
        )
    return type(value) is type(wanted) and bool(value == wanted)


def _thread(row: Any) -> ThreadRow:
    thread_id, owner, created, updated, state_updated, status, *rest = row
    metadata, config, interrupts, error = rest
    return ThreadRow(
        thread_id=thread_id,
        owner=owner,
        created_at=created,
        updated_at=updated,
        state_updated_at=state_updated,
        status=status,
        metadata=unpacked(metadata),
        config=unpacked(config),
        interrupts=unpacked(interrupts),
        error=unpacked(error),
    )
