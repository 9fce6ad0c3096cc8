"""`people.sqlite`, opened: a connection each for single rows, for lists, and for writing.

Who asks is read on the server's event loop, at each request, from the file and not from a
copy in memory: so a key that the command line revokes is refused at the next request. That is
one row by its primary key, some 20 µs, and in WAL mode a reader waits for no writer. Lists,
such as the audit log's, may take longer: they and whatever writes go through a worker.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from groundling.database import NewerLayout, connect, migrate, transaction
from groundling.errors import DiskFull, GroundlingError
from groundling.server.people.migrations import STEPS

Row = tuple[Any, ...]


class PeopleFile:
    """The file; safe for threads, and for several processes.

    Args:
        path: where it is; made where there is none, readable by its owner alone.

    Raises:
        GroundlingError: it cannot be opened, is no database, or a newer version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._row_lock = Lock()
        self._read_lock = Lock()
        self._write_lock = Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writing = connect(path)
            migrate(self._writing, STEPS)
            self._asking = connect(path)
            self._reading = connect(path)
        except NewerLayout as error:
            raise GroundlingError(
                f"{path} was written by a newer version of Groundling ({error}).",
                hint="Install that version; nothing was changed.",
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise GroundlingError(
                f"The users cannot be read from {path}: {error}.",
                hint="Put a copy of the file back, or move it away to start without users.",
            ) from error

    def row(self, sql: str, *values: Any) -> Row | None:
        """Return the first row of a query; it never waits for one of `rows`."""
        with self._row_lock:
            found: Row | None = self._asking.execute(sql, values).fetchone()
        return found

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Return all rows of a query."""
        with self._read_lock:
            return self._reading.execute(sql, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change the file: all of the block or nothing of it.

        Raises:
            DiskFull: there is no room.
        """
        with self._write_lock:
            try:
                with transaction(self._writing):
                    yield self._writing
            except sqlite3.OperationalError as error:
                if "full" in str(error):
                    raise DiskFull(
                        f"The disk of {self.path.name} is full; nothing was changed."
                    ) from error
                raise

    def close(self) -> None:
        """Close it; twice is no error."""
        with self._write_lock, self._read_lock, self._row_lock:
            self._asking.close()
            self._reading.close()
            self._writing.close()
