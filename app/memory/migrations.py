"""The layout of the memories' file, one function for each version of it.

Append only: a function that has been released is never changed; see `groundling.database`.
"""

from __future__ import annotations

from sqlite3 import Connection


def m001_memories(db: Connection) -> None:
    """Facts of each person with their terms, their vectors, and chores left undone.

    `plain` is the fact without case and punctuation; of facts that hold there is one of each.
    """
    statements = """
        CREATE TABLE memories (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            user TEXT NOT NULL,
            text TEXT NOT NULL,
            plain TEXT NOT NULL,
            terms TEXT NOT NULL,
            kind TEXT NOT NULL,
            source TEXT,
            created_at TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            used_at TEXT,
            uses INTEGER NOT NULL DEFAULT 0,
            superseded_by INTEGER REFERENCES memories (id) ON DELETE CASCADE
        );
        CREATE UNIQUE INDEX memories_held ON memories (user, plain) WHERE superseded_by IS NULL;
        CREATE INDEX memories_history ON memories (superseded_by);
        CREATE TABLE vectors (
            memory_id INTEGER NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
            space TEXT NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (memory_id, space)
        ) WITHOUT ROWID;
        CREATE TABLE chores (name TEXT PRIMARY KEY)
    """
    for statement in statements.split(";\n"):
        db.execute(statement)


MIGRATIONS = (m001_memories,)
