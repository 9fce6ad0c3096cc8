"""The SQLite file of a knowledge base: opened, locked, written in transactions.

Safe for threads (one connection, one lock) and for several processes (WAL; writers take
`Connection.writing`). Knows nothing of what the tables hold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from groundling.database import WAIT_SECONDS, NewerLayout, connect, migrate
from groundling.errors import KnowledgeError
from groundling.knowledge.migrations import MIGRATIONS

DATABASE = "knowledge.sqlite"
LOCK = "write.lock"


class Connection:
    """One `knowledge.sqlite`.

    Args:
        folder: where the file is.
        create: make it if it is not there.

    Raises:
        KnowledgeError: it is not there and not to be made; it is damaged; SQLite has no FTS5.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.folder = folder
        self.file = folder / DATABASE
        self._lock = RLock()
        if not self.file.exists():
            if not create:
                raise KnowledgeError(
                    f"There is no knowledge base at {folder}.",
                    hint="groundling knowledge add FOLDER",
                )
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._db = connect(self.file)
            migrate(self._db, MIGRATIONS)
        except NewerLayout as newer:
            raise KnowledgeError(
                f"The knowledge base was written by a newer version of Groundling ({newer}).",
                hint="Update Groundling.",
            ) from newer
        except sqlite3.OperationalError as error:
            if "fts5" in str(error):
                raise KnowledgeError(
                    "This Python's SQLite was built without full-text search (FTS5).",
                    hint="Use a Python from python.org, uv or conda.",
                ) from error
            raise KnowledgeError(f"{self.file} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise KnowledgeError(
                f"{self.file} is damaged: {error}",
                hint=f"Move {folder} away and add the documents again.",
            ) from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self, timeout: float = WAIT_SECONDS) -> Iterator[None]:
        """Hold the right to write, across processes and threads.

        Raises:
            KnowledgeError: another writer kept it for longer than `timeout` seconds.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / LOCK, timeout=timeout):
                yield
        except Timeout as error:
            raise KnowledgeError(
                f"Another process is writing to {self.folder}.",
                hint="Wait until it has ended, then run this again; finished work is kept.",
            ) from error
        except sqlite3.OperationalError as error:
            if "full" not in str(error):
                raise
            raise KnowledgeError(
                f"The disk with {self.file} is full: {error}. What was finished before is kept.",
                hint="Make room, then run this again; it goes on where it stopped.",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is done inside, or nothing; one inside of another is part of it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with suppress(sqlite3.OperationalError):  # a full disk has done it already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def one(self, statement: str, *values: object) -> Any:
        """Return the first row; None if there is none."""
        with self._lock:
            return self._db.execute(statement, values).fetchone()

    def all(self, statement: str, *values: object) -> list[Any]:
        """Return all rows."""
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def run(self, statement: str, *values: object) -> int:
        """Run a statement; return the id of the row it put in, or how many it changed."""
        with self._lock:
            cursor = self._db.execute(statement, values)
            inserted = statement.lstrip().startswith(("INSERT", "REPLACE"))
            return int((cursor.lastrowid or 0) if inserted else cursor.rowcount)

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row of values."""
        with self._lock:
            self._db.executemany(statement, rows)

    def generation(self) -> tuple[int, int]:
        """Return what changes whenever anybody, this connection too, changes the file."""
        with self._lock:
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            return int(version), self._db.total_changes

    # meta

    def get(self, key: str) -> str | None:
        row = self.one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        self.run("REPLACE INTO meta VALUES (?, ?)", key, value)
