"""The file `server.sqlite`, worked on by one thread of its own.

What is asked of it is done in the order it came, all that waits in one transaction: a run's
first event waits for no disk, and who reads afterwards finds what was written before.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Self, TypeVar

import orjson

from groundling import database
from groundling.errors import MemoriesError
from groundling.server.runs.migrations import STEPS

T = TypeVar("T")
_AT_ONCE = 256  # pieces of work in one transaction
_LOG = logging.getLogger("groundling.server")
_Work = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]


class Book:
    """Threads, runs and assistants on disk.

    Args:
        db: the opened file; from now on only the book's thread touches it.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name="groundling-book", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file, and make it if there is none.

        Raises:
            MemoriesError: it cannot be opened, or a newer version has written it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = database.connect(path)
            database.migrate(db, STEPS)
        except (sqlite3.Error, OSError, database.NewerLayout) as error:
            raise MemoriesError(
                f"The server's runs in {path.name} cannot be read: {error}.",
                hint=f"If the file is damaged, put it aside; conversations are not in it: "
                f"mv {path} {path}.damaged",
            ) from error
        db.row_factory = sqlite3.Row
        return cls(db)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Have something done, after all that was asked before, and wait for it."""
        return await asyncio.wrap_future(self._put(work))

    def later(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Have something done, and do not wait; a failure is written to the log."""
        self._put(work).add_done_callback(_tell)

    def close(self) -> None:
        """Finish what was asked, and close the file."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        self._queue.put((work, done))
        return done

    def _serve(self) -> None:
        open_ = True
        while open_:
            one = self._queue.get()
            works: list[_Work] = []
            try:
                while one is not None:
                    works.append(one)
                    if len(works) >= _AT_ONCE:
                        break
                    one = self._queue.get_nowait()
                else:
                    open_ = False
            except Empty:
                pass
            if works:
                self._together(works)
        self._db.close()

    def _together(self, works: list[_Work]) -> None:
        """Do several pieces of work in one transaction; one that fails undoes only itself."""
        ended: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with database.transaction(self._db):
                for work, done in works:
                    if not done.set_running_or_notify_cancel():
                        continue
                    self._db.execute("SAVEPOINT one")
                    try:
                        ended.append((done, work(self._db), None))
                    except Exception as error:
                        self._db.execute("ROLLBACK TO one")
                        ended.append((done, None, error))
                    self._db.execute("RELEASE one")
        except Exception as error:  # the disk is full, or the file is gone: nobody got anything
            for _, done in works:
                if not done.done():
                    if not done.running():
                        done.set_running_or_notify_cancel()
                    done.set_exception(error)
            return
        for done, result, failure in ended:
            if failure is not None:
                done.set_exception(failure)
            else:
                done.set_result(result)


def now() -> str:
    """Return the time, as rows have it."""
    return datetime.now(UTC).isoformat()


def packed(value: Any) -> str:
    """Write JSON for a column; what has no form in JSON is written as text."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def unpacked(text: str | bytes | None) -> Any:
    """Read a column of JSON; nothing is None."""
    return None if text is None else orjson.loads(text)


def _tell(done: Future[Any]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _LOG.error("A run could not be written down.", exc_info=error)
