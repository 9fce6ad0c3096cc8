"""Which of the processes that write runs are still alive.

Each holds a lock on a file of its own beside the database. The operating system lets go of
it when the process ends, however it ends, so that a lock which can be had belongs to nobody:
process ids, which are given out anew and differ between containers, are not asked.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import uuid
from pathlib import Path
from threading import RLock

from filelock import FileLock, Timeout

FOLDER = "traces.locks"


class Writers:
    """The processes that write into one `traces.sqlite`.

    Args:
        file: the database; the locks stand in a folder beside it.
        db: its connection.
        lock: guards the connection.
    """

    def __init__(self, file: Path, db: sqlite3.Connection, lock: RLock) -> None:
        self._folder = file.with_name(FOLDER)
        self._db = db
        self._lock = lock
        self._own: FileLock | None = None
        self._number: int | None = None

    @property
    def number(self) -> int:
        """Return this process's number, which its runs carry; made at first use.

        Raises:
            OSError: the lock's file cannot be made.
            sqlite3.Error: the database cannot be written.
        """
        with self._lock:
            if self._number is None:
                token = uuid.uuid4().hex
                self._folder.mkdir(exist_ok=True)
                own = self._lock_of(token)
                own.acquire(timeout=1)
                try:
                    row = self._db.execute(
                        "INSERT INTO writers (token, pid, program, started) VALUES (?, ?, ?, ?) "
                        "RETURNING id",
                        (token, os.getpid(), Path(sys.argv[0]).name, time.time_ns() // 1000),
                    ).fetchone()
                except BaseException:
                    own.release()
                    raise
                self._own, self._number = own, row[0]
            return self._number

    def gone(self, db: sqlite3.Connection) -> list[int]:
        """Return the numbers of processes that are gone, and forget those processes."""
        found: list[int] = []
        for number, token in db.execute("SELECT id, token FROM writers").fetchall():
            if number == self._number:
                continue
            lock = self._lock_of(token)
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
            db.execute("DELETE FROM writers WHERE id = ?", (number,))
            found.append(number)
        return found

    def release(self) -> None:
        """Let go of this process's lock: it writes no more."""
        if self._own is not None:
            self._own.release()
            Path(self._own.lock_file).unlink(missing_ok=True)
            self._own = self._number = None

    def _lock_of(self, token: str) -> FileLock:
        return FileLock(self._folder / f"{token}.lock", thread_local=False)
