"""The layout of `people.sqlite`. Steps are appended and never changed.

Times are seconds since 1970, UTC. Of keys and sessions only digests are kept.
"""

from __future__ import annotations

import sqlite3

from groundling.database import Migration

KEEP_DAYS = 365
"""How long the audit log is kept; it cannot be made to forget earlier."""


def m001_people(db: sqlite3.Connection) -> None:
    """Make users, keys, sessions, owners and the audit log."""
    for statement in (
        """
        CREATE TABLE users (
            name TEXT PRIMARY KEY,
            role TEXT NOT NULL CHECK (role IN ('reader', 'member', 'admin')),
            created REAL NOT NULL,
            disabled REAL,
            removed REAL
        )
        """,
        """
        CREATE TABLE keys (
            id TEXT PRIMARY KEY,
            user TEXT NOT NULL REFERENCES users (name),
            digest BLOB NOT NULL,
            label TEXT NOT NULL,
            created REAL NOT NULL,
            expires REAL,
            last_used REAL
        )
        """,
        "CREATE INDEX keys_of ON keys (user)",
        """
        CREATE TABLE sessions (
            digest BLOB PRIMARY KEY,
            user TEXT NOT NULL REFERENCES users (name),
            key TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
            csrf TEXT NOT NULL,
            created REAL NOT NULL,
            expires REAL NOT NULL
        )
        """,
        "CREATE INDEX sessions_of ON sessions (user)",
        "CREATE INDEX sessions_by_key ON sessions (key)",
        """
        CREATE TABLE owners (
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            owner TEXT NOT NULL,
            created REAL NOT NULL,
            PRIMARY KEY (kind, id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX owned_by ON owners (kind, owner, created)",
        "CREATE TABLE shared (folder TEXT PRIMARY KEY, created REAL NOT NULL)",
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at REAL NOT NULL,
            person TEXT NOT NULL,
            action TEXT NOT NULL,
            what TEXT NOT NULL,
            request TEXT NOT NULL,
            details TEXT NOT NULL
        )
        """,
        "CREATE INDEX audit_at ON audit (at)",
        "CREATE INDEX audit_of ON audit (person, id)",
        """
        CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
        """,
        """
        CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
        WHEN OLD.at > CAST(strftime('%s', 'now') AS REAL) - 365 * 86400
        BEGIN SELECT RAISE(ABORT, 'the audit log is kept for a year'); END
        """,
    ):
        db.execute(statement)


STEPS: tuple[Migration, ...] = (m001_people,)
