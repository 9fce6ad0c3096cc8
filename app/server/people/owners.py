"""What is whose, for things whose own store knows no people: knowledge, traces, data sets.

Threads, runs, assistants, store items and memories carry their owner where they are kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Literal

from groundling.server.people.file import PeopleFile
from groundling.server.person import Person
from groundling.server.problems import not_found

Kind = Literal["knowledge", "trace", "dataset"]


class Owners:
    """The owners; a thing that nobody has claimed is the local user's.

    So what the command line makes is theirs, and nothing has to be claimed where there are no
    users. All methods read or write SQLite: use them from a worker.

    Args:
        file: where they are kept.
        local: the name of the local user.
    """

    def __init__(
        self, file: PeopleFile, local: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._local = local
        self._clock = clock

    def claim(self, kind: Kind, id: str, owner: str) -> None:
        """Record whose a thing is; a thing that is claimed already stays its owner's."""
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO owners (kind, id, owner, created) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (kind, id, owner, self._clock()),
            )

    def release(self, kind: Kind, *ids: str) -> None:
        """Forget whose things were: they are gone."""
        with self._file.writing() as db:
            db.executemany(
                "DELETE FROM owners WHERE kind = ? AND id = ?", [(kind, id) for id in ids]
            )

    def owner(self, kind: Kind, id: str) -> str:
        """Return whose a thing is, were there one of this id."""
        row = self._file.row("SELECT owner FROM owners WHERE kind = ? AND id = ?", kind, id)
        return self._local if row is None else str(row[0])

    def owned(self, kind: Kind, owner: str, limit: int = 100, offset: int = 0) -> list[str]:
        """Return what someone claimed, the newest first.

        Of the local user that is not all: what nobody claimed is theirs, too; see `mine`.
        """
        rows = self._file.rows(
            "SELECT id FROM owners WHERE kind = ? AND owner = ?"
            " ORDER BY created DESC, id LIMIT ? OFFSET ?",
            kind, owner, limit, offset,
        )  # fmt: skip
        return [str(row[0]) for row in rows]

    def count(self, kind: Kind, owner: str) -> int:
        """Return how much someone claimed."""
        row = self._file.row(
            "SELECT count(*) FROM owners WHERE kind = ? AND owner = ?", kind, owner
        )
        return int(row[0]) if row else 0

    def mine(self, kind: Kind, ids: Iterable[str], owner: str) -> list[str]:
        """Return those of the things that are someone's, in the order given.

        This is how a list is cut down to what one may see, the local user's included.
        """
        wanted = list(ids)
        rows = self._file.rows(
            "SELECT id, owner FROM owners"
            " WHERE kind = ? AND id IN (SELECT value FROM json_each(?))",
            kind,
            json.dumps(wanted),
        )
        known: dict[str, str] = dict(rows)
        return [id for id in wanted if known.get(id, self._local) == owner]

    def check(self, kind: Kind, id: str, person: Person, what: str) -> None:
        """Make sure that a thing is a person's.

        Args:
            what: what it is called when it is not found, such as `trace 5c0e…`.

        Raises:
            Problem: 404, it is another's.
        """
        if self.owner(kind, id) != person.id:
            raise not_found(what)
