"""Answers of WolframAlpha that are kept, and the calls of each month, counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from groundling import database
from groundling.errors import FactError


def _first(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE answer (query TEXT PRIMARY KEY, text TEXT NOT NULL, at TEXT NOT NULL)")
    db.execute("CREATE TABLE month (month TEXT PRIMARY KEY, calls INTEGER NOT NULL)")


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


class WolframStore:
    """The file that keeps both, shared by all processes of a home folder.

    Args:
        file: made where it is missing.
        present: returns the time; a test gives its own.
    """

    def __init__(self, file: Path, present: Callable[[], datetime] = now) -> None:
        self._present = present
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = database.connect(file)
            database.migrate(self._db, [_first])
        except (sqlite3.Error, OSError, database.NewerLayout) as error:
            raise FactError(f"{file} cannot be opened: {error}") from error

    def answer(self, query: str) -> str | None:
        """Return what was answered to a query before."""
        row = self._db.execute("SELECT text FROM answer WHERE query = ?", [query]).fetchone()
        return None if row is None else str(row[0])

    def keep(self, query: str, text: str) -> None:
        """Keep an answer."""
        with database.transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO answer VALUES (?, ?, ?)",
                [query, text, self._present().isoformat()],
            )

    def spend(self, most: int) -> bool:
        """Count a call of this month, unless `most` have been made; returns whether it may be."""
        month = self._present().strftime("%Y-%m")
        with database.transaction(self._db):
            row = self._db.execute("SELECT calls FROM month WHERE month = ?", [month]).fetchone()
            if (row is not None and row[0] >= most) or most <= 0:
                return False
            self._db.execute(
                "INSERT INTO month VALUES (?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1",
                [month],
            )
        return True

    def calls(self) -> int:
        """Return how many calls this month has seen."""
        month = self._present().strftime("%Y-%m")
        row = self._db.execute("SELECT calls FROM month WHERE month = ?", [month]).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()
