"""What the SQLite files of a home folder have in common: how they are opened, and versions.

A file remembers in `user_version` how many of its migrations it has seen. Migrations are
append only: a function that has been released is never changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

Migration = Callable[[sqlite3.Connection], None]
WAIT_SECONDS = 30.0


class NewerLayout(Exception):
    """The file was written by a newer version of the program; the text says which."""


def connect(file: Path, *, wait: float = WAIT_SECONDS) -> sqlite3.Connection:
    """Open a file for several threads and processes: WAL, explicit transactions.

    Committed work outlives the process that is killed at any instant. A file that is made
    belongs to its owner alone: what people ask and what their documents say is in it.

    Raises:
        sqlite3.Error: it cannot be opened, or is no database.
    """
    if not file.exists():
        with suppress(OSError):  # SQLite says why it cannot be made
            file.touch(mode=0o600)
    db = sqlite3.connect(file, timeout=wait, check_same_thread=False, isolation_level=None)
    try:
        if db.execute("PRAGMA page_count").fetchone()[0] == 0:
            # Later it has no effect: room of what is deleted can be given back.
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def migrate(db: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """Bring a file to the newest layout, each step in one transaction.

    Raises:
        NewerLayout: it has seen more steps than there are.
    """
    seen = db.execute("PRAGMA user_version").fetchone()[0]
    if seen > len(steps):
        raise NewerLayout(f"layout {seen}; this one knows up to {len(steps)}")
    for version, step in enumerate(steps[seen:], start=seen + 1):
        with transaction(db):
            # Two processes may both have seen the old version.
            if db.execute("PRAGMA user_version").fetchone()[0] < version:
                step(db)
                db.execute(f"PRAGMA user_version = {version}")
