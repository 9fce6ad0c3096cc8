"""Assistants: graphs with settings of their own, each version kept.

Every graph has one that nobody made and nobody can change; its id is made of the graph's
name in the way of LangGraph's server, so that clients find it by either.
"""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4, uuid5

from groundling.server.person import Person
from groundling.server.problems import Problem, not_found
from groundling.server.runs.book import Book, now, packed, unpacked
from groundling.server.runs.thread_rows import has

if TYPE_CHECKING:
    from groundling.server.services import Services

_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")  # that of langgraph-api
_SELECT = (
    "SELECT a.assistant_id, v.graph_id, v.name, v.description, v.config, v.context, v.metadata,"
    " a.created_at, a.updated_at, v.version FROM assistants a JOIN assistant_versions v"
    " ON v.assistant_id = a.assistant_id"
)
_MOST = 1000  # of one person
Row = dict[str, Any]


def default_id(graph: str) -> str:
    """Return the id of a graph's own assistant."""
    return str(uuid5(_NAMESPACE, graph))


class AssistantBook:
    """The assistants of everyone; each person sees the graphs' and their own.

    Args:
        services: what knows the graphs.
        book: where assistants are kept.
    """

    def __init__(self, services: Services, book: Book) -> None:
        self._services = services
        self._book = book
        self._began = now()
        self._own: dict[str, Row] | None = None

    async def create(
        self,
        person: Person,
        *,
        graph_id: str,
        assistant_id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        config: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Row:
        """Make an assistant.

        Raises:
            Problem: 404, there is no such graph; 409, there is one of that id; 429, the person
                has as many as one may have.
        """
        graph_id = await self._graph(graph_id)
        id = assistant_id or str(uuid4())
        at = now()
        made = (
            id, 1, graph_id, name or "Untitled", description, packed(dict(config or {})),
            packed(dict(context or {})), packed(dict(metadata or {})), at,
        )  # fmt: skip

        def insert(db: sqlite3.Connection) -> bool | None:
            mine = db.execute(
                "SELECT count(*) FROM assistants WHERE owner = ?", (person.id,)
            ).fetchone()[0]
            if mine >= _MOST:
                return None
            new = db.execute(
                "INSERT INTO assistants VALUES (?, ?, 1, ?, ?) ON CONFLICT DO NOTHING",
                (id, person.id, at, at),
            ).rowcount
            if new:
                db.execute(f"INSERT INTO assistant_versions VALUES ({', '.join('?' * 9)})", made)
            return bool(new)

        inserted: bool | None = False
        if id not in await self._graphs():
            inserted = await self._book.do(insert)
        if inserted is None:
            raise Problem(429, f"You have {_MOST} assistants already.", hint="Delete some first.")
        if not inserted:
            if not exist_ok:
                raise Problem(409, f"There is an assistant {id} already.")
            return await self.get(id, person)
        return await self.get(id, person)

    async def get(self, assistant_id: str, person: Person) -> Row:
        """Return an assistant by its id; that of a graph also by the graph's name.

        Raises:
            Problem: 404.
        """
        graphs = await self._graphs()
        if (found := graphs.get(assistant_id)) is not None:
            return dict(found)
        if (found := graphs.get(default_id(assistant_id))) is not None:
            return dict(found)
        found = await self._book.do(partial(_get, id=assistant_id, owner=person.id))
        if found is None:
            raise not_found(f"assistant {assistant_id[:100]}")
        return found

    async def search(
        self,
        person: Person,
        *,
        metadata: Mapping[str, Any] | None = None,
        graph_id: str | None = None,
        name: str | None = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> builtins.list[Row]:
        """List the assistants that a person may use, the newest first."""
        found = await self._found(person, metadata, graph_id, name)
        key = sort_by or "created_at"
        found.sort(key=lambda row: row["assistant_id"])
        found.sort(key=lambda row: str(row[key]), reverse=sort_order != "asc")
        return found[offset : offset + limit]

    async def count(
        self,
        person: Person,
        *,
        metadata: Mapping[str, Any] | None = None,
        graph_id: str | None = None,
        name: str | None = None,
    ) -> int:
        """Count the assistants that a person may use."""
        return len(await self._found(person, metadata, graph_id, name))

    async def update(
        self,
        assistant_id: str,
        person: Person,
        *,
        graph_id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        config: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Row:
        """Make a new version; metadata is added to, all else replaced where it is given.

        Raises:
            Problem: 404; 403, it is a graph's.
        """
        present = await self._mine(assistant_id, person)
        if graph_id is not None:
            graph_id = await self._graph(graph_id)
        id = present["assistant_id"]

        def insert(db: sqlite3.Connection) -> None:
            newest = db.execute(
                "SELECT max(version) FROM assistant_versions WHERE assistant_id = ?", (id,)
            ).fetchone()[0]
            if newest is None:  # deleted meanwhile
                raise not_found(f"assistant {assistant_id}")
            at = now()
            values = (
                id,
                newest + 1,
                graph_id or present["graph_id"],
                name or present["name"],
                present["description"] if description is None else description,
                packed(present["config"] if config is None else dict(config)),
                packed(present["context"] if context is None else dict(context)),
                packed({**present["metadata"], **(metadata or {})}),
                at,
            )
            db.execute(f"INSERT INTO assistant_versions VALUES ({', '.join('?' * 9)})", values)
            db.execute(
                "UPDATE assistants SET version = ?, updated_at = ? WHERE assistant_id = ?",
                (newest + 1, at, id),
            )

        await self._book.do(insert)
        return await self.get(id, person)

    async def delete(self, assistant_id: str, person: Person) -> None:
        """Delete an assistant with its versions; threads and runs stay.

        Raises:
            Problem: 404; 403, it is a graph's.
        """
        present = await self._mine(assistant_id, person)
        id = present["assistant_id"]
        await self._book.do(
            lambda db: db.execute("DELETE FROM assistants WHERE assistant_id = ?", (id,)).rowcount
        )

    async def versions(
        self,
        assistant_id: str,
        person: Person,
        *,
        metadata: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
    ) -> builtins.list[Row]:
        """List the versions of an assistant, the newest first.

        Raises:
            Problem: 404.
        """
        present = await self.get(assistant_id, person)
        id = present["assistant_id"]
        if id in await self._graphs():
            rows = [present]
        else:
            rows = await self._book.do(partial(_versions, id=id))
        found = [row for row in rows if not metadata or has(row["metadata"], metadata)]
        shown = [{k: v for k, v in row.items() if k != "updated_at"} for row in found]
        return shown[offset : offset + limit]

    async def set_latest(self, assistant_id: str, person: Person, version: int) -> Row:
        """Go back, or forward, to a version.

        Raises:
            Problem: 404, there is no such assistant or version; 403, it is a graph's.
        """
        present = await self._mine(assistant_id, person)
        id = present["assistant_id"]
        changed = await self._book.do(
            lambda db: (
                db.execute(
                    "UPDATE assistants SET version = ?1, updated_at = ?2"
                    " WHERE assistant_id = ?3 AND EXISTS (SELECT 1 FROM assistant_versions"
                    " WHERE assistant_id = ?3 AND version = ?1)",
                    (version, now(), id),
                ).rowcount
            )
        )
        if not changed:
            raise not_found(f"version {version} of assistant {id}")
        return await self.get(id, person)

    async def _found(
        self,
        person: Person,
        metadata: Mapping[str, Any] | None,
        graph_id: str | None,
        name: str | None,
    ) -> builtins.list[Row]:
        rows = [dict(row) for row in (await self._graphs()).values()]
        rows += await self._book.do(partial(_of, owner=person.id))
        return [
            row
            for row in rows
            if (not metadata or has(row["metadata"], metadata))
            and (graph_id is None or row["graph_id"] == graph_id)
            and (name is None or name.casefold() in str(row["name"]).casefold())
        ]

    async def _mine(self, assistant_id: str, person: Person) -> Row:
        found = await self.get(assistant_id, person)
        if found["assistant_id"] in await self._graphs():
            raise Problem(
                403,
                f"The assistant of the graph {found['graph_id']} cannot be changed.",
                hint="Make one of your own of that graph.",
            )
        return found

    async def _graph(self, name: str) -> str:
        graphs = await self._graphs()
        if default_id(name) not in graphs:
            raise Problem(
                404,
                f"There is no graph {name[:100]}.",
                hint=", ".join(row["graph_id"] for row in graphs.values()),
            )
        return name

    async def _graphs(self) -> dict[str, Row]:
        """Return the graphs' own assistants by id."""
        if self._own is None:
            names = await self._services.work(_names)
            self._own = {default_id(name): self._default(name, text) for name, text in names}
        return self._own

    def _default(self, graph: str, description: str) -> Row:
        return {
            "assistant_id": default_id(graph),
            "graph_id": graph,
            "name": graph,
            "description": None,
            "config": {},
            "context": {},
            "metadata": {"created_by": "system"},
            "created_at": self._began,
            "updated_at": self._began,
            "version": 1,
        }


def _names() -> builtins.list[tuple[str, str]]:
    from groundling.graphs import registry

    return [(info.name, info.description) for info in registry.available()]


def _get(db: sqlite3.Connection, id: str, owner: str) -> Row | None:
    row = db.execute(
        f"{_SELECT} AND v.version = a.version WHERE a.assistant_id = ? AND a.owner = ?",
        (id, owner),
    ).fetchone()
    return None if row is None else _row(row)


def _of(db: sqlite3.Connection, owner: str) -> builtins.list[Row]:
    rows = db.execute(f"{_SELECT} AND v.version = a.version WHERE a.owner = ?", (owner,))
    return [_row(row) for row in rows]


def _versions(db: sqlite3.Connection, id: str) -> builtins.list[Row]:
    rows = db.execute(
        f"{_SELECT} WHERE a.assistant_id = ? ORDER BY v.version DESC".replace(
            "a.created_at", "v.created_at"
        ),
        (id,),
    )
    return [_row(row) for row in rows]


def _row(row: sqlite3.Row) -> Row:
    told = dict(row)
    for name in ("config", "context", "metadata"):
        told[name] = unpacked(told[name])
    return told
