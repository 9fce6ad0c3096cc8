"""The layout of `server.sqlite`: threads, runs, the events of runs, assistants.

What was said in threads is not here but in LangGraph's checkpoints, `state.sqlite`. Times are
ISO 8601 in UTC, so that they sort as texts; the rest of a row is JSON.
"""

from __future__ import annotations

import sqlite3

from groundling.database import Migration


def m001(db: sqlite3.Connection) -> None:
    """Make the first layout."""
    for statement in (
        """CREATE TABLE threads (
            thread_id TEXT PRIMARY KEY, owner TEXT NOT NULL, created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL, state_updated_at TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'idle', metadata TEXT NOT NULL DEFAULT '{}',
            config TEXT NOT NULL DEFAULT '{}', interrupts TEXT NOT NULL DEFAULT '{}',
            error TEXT) WITHOUT ROWID""",
        "CREATE INDEX threads_of ON threads (owner, updated_at)",
        """CREATE TABLE runs (
            run_id TEXT PRIMARY KEY, thread_id TEXT NOT NULL, owner TEXT NOT NULL,
            assistant_id TEXT NOT NULL, graph TEXT NOT NULL, status TEXT NOT NULL,
            created_at TEXT NOT NULL, updated_at TEXT NOT NULL, metadata TEXT NOT NULL,
            kwargs TEXT NOT NULL, multitask_strategy TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            postponed INTEGER NOT NULL DEFAULT 0, request TEXT, result TEXT) WITHOUT ROWID""",
        "CREATE INDEX runs_of ON runs (thread_id, created_at)",
        "CREATE INDEX runs_by_status ON runs (status)",
        """CREATE TABLE events (
            run_id TEXT NOT NULL, place INTEGER NOT NULL, event TEXT NOT NULL,
            data BLOB NOT NULL, PRIMARY KEY (run_id, place)) WITHOUT ROWID""",
        """CREATE TABLE assistants (
            assistant_id TEXT PRIMARY KEY, owner TEXT NOT NULL, version INTEGER NOT NULL,
            created_at TEXT NOT NULL, updated_at TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX assistants_of ON assistants (owner, created_at)",
        """CREATE TABLE assistant_versions (
            assistant_id TEXT NOT NULL REFERENCES assistants ON DELETE CASCADE,
            version INTEGER NOT NULL, graph_id TEXT NOT NULL, name TEXT NOT NULL,
            description TEXT, config TEXT NOT NULL, context TEXT NOT NULL, metadata TEXT NOT NULL,
            created_at TEXT NOT NULL, PRIMARY KEY (assistant_id, version)) WITHOUT ROWID""",
    ):
        db.execute(statement)


STEPS: tuple[Migration, ...] = (m001,)
