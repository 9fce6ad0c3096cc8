"""The audit log: who did what, when, and in which request.

What is written stays: the file itself refuses changes, and deletions of what is younger than
`KEEP_DAYS`. Prompts, answers and keys have no place in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from groundling.server.people.file import PeopleFile
from groundling.server.people.migrations import KEEP_DAYS

request_id: ContextVar[str] = ContextVar("groundling-request-id", default="")
"""The id of the request that is being answered; the middleware sets it."""

_LONGEST = 500  # characters of one text: names that clients send may be long
_PRUNE_EACH = 256


@dataclass(frozen=True)
class AuditEntry:
    """One line of the log.

    Args:
        id: grows with time.
        time: ISO 8601, UTC.
        person: who; empty where nobody said who they are.
        action: `user.add`, `session.refused`, …: thing and verb.
        what: the thing's name.
        request: the id of the request; empty from the command line.
        details: what else is worth knowing.
    """

    id: int
    time: str
    person: str
    action: str
    what: str
    request: str
    details: dict[str, Any]


class AuditLog:
    """The log in `people.sqlite`; use it from a worker."""

    def __init__(self, file: PeopleFile, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._written = 0

    def write(self, person: str, action: str, what: str = "", **details: Any) -> None:
        """Add a line, and now and then let go of those that are too old.

        Args:
            **details: JSON; `request` is the request's id, where it is not in `request_id`.
        """
        request = str(details.pop("request", "") or request_id.get())
        text = json.dumps(details, ensure_ascii=False, default=str)
        if len(text) > 4 * _LONGEST:
            text = json.dumps({"cut": text[: 2 * _LONGEST]}, ensure_ascii=False)
        now = self._clock()
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO audit (at, person, action, what, request, details)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (now, person, action, _line(what), request, text),
            )
            if self._written % _PRUNE_EACH == 0:
                db.execute("DELETE FROM audit WHERE at < ?", (now - KEEP_DAYS * 86_400 - 1,))
        self._written += 1

    def read(
        self,
        person: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        """Return lines, the newest first.

        Args:
            person: only theirs.
            action: only these; `user.` takes all that begin so.
            before: only those with a smaller id; that is how one reads on.
        """
        rows = self._file.rows(
            "SELECT id, at, person, action, what, request, details FROM audit"
            " WHERE (?1 IS NULL OR person = ?1)"
            " AND (?2 IS NULL OR substr(action, 1, length(?2)) = ?2)"
            " AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4",
            person, action, before, limit,
        )  # fmt: skip
        return [
            AuditEntry(id, iso(at), person, action, what, request, json.loads(details))
            for id, at, person, action, what, request, details in rows
        ]


def _line(text: str) -> str:
    """Return a text that a terminal shows as it is; it may come from anybody."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_LONGEST])


def iso(at: float) -> str:
    """Write a time as ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
