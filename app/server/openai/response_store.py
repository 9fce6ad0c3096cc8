"""Responses that are kept, so that the next one can go on with them.

Each is its owner's: another person's id is the same as one that there is not. A row holds
the items of one turn; the turns before it are found by following `previous`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from groundling import database
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found
from groundling.settings import Settings

Json = dict[str, Any]
FILE = "responses.sqlite"
MOST = 1000  # of one person; the oldest go
_LONGEST_CHAIN = 1000
_CHAIN = """
WITH RECURSIVE chain(id, previous, input, response, place) AS (
    SELECT id, previous, input, response, 0 FROM responses WHERE id = :id AND owner = :owner
    UNION ALL
    SELECT r.id, r.previous, r.input, r.response, chain.place + 1
    FROM chain JOIN responses r ON r.id = chain.previous AND r.owner = :owner
    WHERE chain.place < :most
)
SELECT id, previous, input, response FROM chain ORDER BY place DESC"""


def opened(settings: Settings) -> ResponseStore:
    """Open the responses of a home folder, for one use."""
    return ResponseStore(settings.home / FILE, settings.server.keep_runs_days)


def m001_responses(db: sqlite3.Connection) -> None:
    """Make the table."""
    db.execute(
        """CREATE TABLE responses (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
        previous TEXT, created INTEGER NOT NULL, input BLOB NOT NULL, response BLOB NOT NULL)"""
    )
    db.execute("CREATE INDEX responses_by_owner ON responses (owner, number)")


class ResponseStore:
    """The kept responses of a home folder, opened for one use, in a worker: it blocks.

    Args:
        file: where they are kept; it is made if there is none.
        days: how long.
    """

    def __init__(self, file: Path, days: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = database.connect(file)
        database.migrate(self._db, [m001_responses])
        self._seconds = days * 86_400

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def put(self, person: Person, response: Json, items: Sequence[Json]) -> None:
        """Keep a response and the items that it answers; what is too old or too much goes."""
        row = {
            "id": response["id"],
            "owner": person.id,
            "previous": response["previous_response_id"],
            "created": response["created_at"],
            "input": orjson.dumps([*items]),
            "response": orjson.dumps(response),
            "oldest": response["created_at"] - self._seconds,
            "most": MOST,
        }
        with database.transaction(self._db):
            self._db.execute(
                "INSERT INTO responses (id, owner, previous, created, input, response) "
                "VALUES (:id, :owner, :previous, :created, :input, :response)",
                row,
            )
            self._db.execute("DELETE FROM responses WHERE created < :oldest", row)
            self._db.execute(
                "DELETE FROM responses WHERE owner = :owner AND number <= (SELECT number FROM "
                "responses WHERE owner = :owner ORDER BY number DESC LIMIT 1 OFFSET :most)",
                row,
            )

    def get(self, person: Person, id: str) -> tuple[Json, list[Json]]:
        """Return a response, and the items that it answers.

        Raises:
            Problem: 404; there is none, or it is another person's.
        """
        row = self._db.execute(
            "SELECT response, input FROM responses WHERE id = ? AND owner = ?", (id, person.id)
        ).fetchone()
        if row is None:
            raise _missing(id)
        return orjson.loads(row[0]), orjson.loads(row[1])

    def delete(self, person: Person, id: str) -> None:
        """Delete a response.

        Raises:
            Problem: 404; there is none, or it is another person's.
        """
        gone = self._db.execute(
            "DELETE FROM responses WHERE id = ? AND owner = ?", (id, person.id)
        ).rowcount
        if not gone:
            raise _missing(id)

    def count(self, owner: str) -> int:
        """Count the responses of a user."""
        query = "SELECT COUNT(*) FROM responses WHERE owner = ?"
        return int(self._db.execute(query, (owner,)).fetchone()[0])

    def forget(self, owner: str) -> None:
        """Delete all responses of a user."""
        self._db.execute("DELETE FROM responses WHERE owner = ?", (owner,))

    def conversation(self, person: Person, id: str) -> list[Json]:
        """Return the items of a response and of all before it, oldest first.

        Raises:
            Problem: 404; one of them is not there, or another person's.
        """
        given = {"id": id, "owner": person.id, "most": _LONGEST_CHAIN}
        rows = self._db.execute(_CHAIN, given).fetchall()
        if not rows:
            raise _missing(id)
        if (earlier := rows[0][1]) is not None:
            raise _missing(earlier)
        items: list[Json] = []
        for _, _, asked, response in rows:
            items += [*orjson.loads(asked), *orjson.loads(response)["output"]]
        return items


def _missing(id: str) -> Problem:
    shown = id if len(id) <= 80 else f"{id[:80]}…"
    problem = not_found(f"response {shown}")
    problem.hint = "It was deleted, is too old to be kept, or was made with store: false."
    return problem
