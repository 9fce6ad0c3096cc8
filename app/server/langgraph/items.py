"""LangGraph's store, cut up by person: what one puts there, no other finds.

Each namespace begins with a label that stands for its person: hexadecimal digits of their id
between two letters that are none. So no label is the beginning of another, and none has a
character that means something to SQLite's GLOB. Clients neither see it nor can name it.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiosqlite
from langgraph.store.base import Item
from langgraph.store.sqlite.aio import AsyncSqliteStore

from groundling import database
from groundling.errors import MemoriesError
from groundling.server.problems import Problem
from groundling.server.sse import as_json

if TYPE_CHECKING:
    from groundling.server.services import Services

Namespace = tuple[str, ...]
SWEEP_MINUTES = 1
_MOST_NAMESPACES = 100_000
_CANDIDATES = 500  # newest items that a question is compared with
_COMPARED = 2000  # bytes of an item that are
_KEPT_VECTORS = 2000
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")


class Items:
    """The store of all people.

    Args:
        store: LangGraph's own.
        services: whose embedder compares items with a question.
    """

    def __init__(self, store: AsyncSqliteStore, services: Services | None = None) -> None:
        self.store = store
        self._services = services
        self._vectors: dict[str, list[float]] = {}
        self._comparing = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, services: Services | None = None) -> AsyncIterator[Self]:
        """Open the file, and make it if there is none.

        Raises:
            MemoriesError: it cannot be opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            database.connect(path).close()  # private, and in WAL mode
            db = await aiosqlite.connect(path, timeout=database.WAIT_SECONDS, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise MemoriesError(f"The store in {path} cannot be opened: {error}.") from error
        try:
            store = AsyncSqliteStore(
                db, ttl={"refresh_on_read": True, "sweep_interval_minutes": SWEEP_MINUTES}
            )
            async with store:
                await store.setup()
                await store.sweep_ttl()
                await store.start_ttl_sweeper()
                try:
                    yield cls(store, services)
                finally:
                    await store.stop_ttl_sweeper()
        finally:
            await db.close()

    async def put(
        self, owner: str, namespace: Namespace, key: str, value: Mapping[str, Any],
        ttl: float | None = None,
    ) -> None:  # fmt: skip
        """Keep an item, in place of one of the same name; `ttl` is in minutes."""
        await self.store.aput((label(owner), *namespace), key, dict(value), ttl=ttl)

    async def get(
        self, owner: str, namespace: Namespace, key: str, *, refresh: bool | None = None
    ) -> dict[str, Any] | None:
        """Return an item."""
        found = await self.store.aget((label(owner), *namespace), key, refresh_ttl=refresh)
        return None if found is None else _shown(found)

    async def delete(self, owner: str, namespace: Namespace, key: str) -> None:
        """Remove an item, if there is one."""
        await self.store.adelete((label(owner), *namespace), key)

    async def search(
        self, owner: str, prefix: Namespace, *,
        filter: Mapping[str, Any] | None = None, query: str | None = None,
        limit: int = 10, offset: int = 0, refresh: bool | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return items below a namespace: the newest first, or the most alike to a question.

        Args:
            owner: whose.
            prefix: the beginning of their namespaces.
            filter: values that they have, or comparisons as LangGraph's store has them.
            query: ranks the newest 500 by what they mean; without an embedding model it is
                passed over, as LangGraph's store does without an index.
            limit: how many.
            offset: how many are left out before.
            refresh: items that end live longer again.
        """
        checked_filter(filter or {})
        embedded = query is not None and await self._embedder() is not None
        found = await self.store.asearch(
            (label(owner), *prefix),
            filter=dict(filter) if filter else None,
            limit=_CANDIDATES if embedded else limit,
            offset=0 if embedded else offset,
            refresh_ttl=refresh,
        )
        if not embedded:
            return [{**_shown(item), "score": None} for item in found]
        assert query is not None
        scores = await self._alike(query, found)
        ranked = sorted(zip(scores, found, strict=True), key=lambda pair: -pair[0])
        return [{**_shown(item), "score": score} for score, item in ranked[offset : offset + limit]]

    async def namespaces(
        self, owner: str, *,
        prefix: Sequence[str] = (), suffix: Sequence[str] = (), max_depth: int | None = None,
        limit: int = 100, offset: int = 0,
    ) -> list[list[str]]:  # fmt: skip
        """List the namespaces of a person; `*` in a prefix or suffix is any one label."""
        theirs = await self.store.alist_namespaces(prefix=(label(owner),), limit=_MOST_NAMESPACES)
        matching = {
            namespace[:max_depth]
            for whole in theirs
            for namespace in [whole[1:]]
            if _matches(namespace[: len(prefix)], prefix)
            and (not suffix or _matches(namespace[-len(suffix) :], suffix))
        }
        return [list(namespace) for namespace in sorted(matching)[offset : offset + limit]]

    async def forget(self, owner: str) -> int:
        """Remove all that a person has; return how many items."""
        removed = 0
        while found := await self.store.asearch((label(owner),), limit=1000):
            for item in found:
                await self.store.adelete(item.namespace, item.key)
            removed += len(found)
        return removed

    async def _embedder(self) -> Any:
        if self._services is None:
            return None
        from groundling.errors import ModelNotFound

        home = self._services.home
        try:
            return await self._services.work(lambda: home.embedder)
        except ModelNotFound:
            return None

    async def _alike(self, query: str, items: Sequence[Item]) -> list[float]:
        """Return the cosine of a question and each item; vectors are kept for the next one."""
        assert self._services is not None
        texts = [as_json(item.value)[:_COMPARED].decode(errors="ignore") for item in items]
        embedder = self._services.home.embedder

        def compare() -> list[float]:
            new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
            vectors = dict(zip(new, embedder.embed_documents(new), strict=True)) if new else {}
            asked = embedder.embed_query(query)
            known = {text: self._vectors.get(text) or vectors[text] for text in texts}
            self._vectors = dict([*self._vectors.items(), *vectors.items()][-_KEPT_VECTORS:])
            return [sum(map(mul, asked, known[text])) for text in texts]

        async with self._comparing:
            return await self._services.work(compare)


def label(owner: str) -> str:
    """Return the label that a person's namespaces begin with."""
    return f"p{owner.encode().hex()}z"


def checked_filter(filter: Mapping[str, Any]) -> None:
    """Refuse what LangGraph's store could not ask SQLite for.

    Raises:
        Problem: 422, it names the key.
    """
    for key, wanted in filter.items():
        if not _KEY.fullmatch(key):
            raise Problem(422, f"filter: {key!r} is no key; letters, digits, _, - and dots are.")
        if not isinstance(wanted, Mapping):
            continue
        for operator, value in wanted.items():
            if operator not in _OPERATORS:
                told = ", ".join(_OPERATORS)
                raise Problem(422, f"filter.{key}: {operator!r} is none of {told}.")
            if isinstance(value, (Mapping, list)):
                raise Problem(422, f"filter.{key}.{operator}: compares with a text or number.")


def _matches(namespace: Namespace, wanted: Sequence[str]) -> bool:
    return len(namespace) == len(wanted) and all(
        want in ("*", have) for have, want in zip(namespace, wanted, strict=True)
    )


def _shown(item: Item) -> dict[str, Any]:
    return {
        "namespace": list(item.namespace[1:]),
        "key": item.key,
        "value": item.value,
        "created_at": _time(item.created_at),
        "updated_at": _time(item.updated_at),
    }


def _time(moment: datetime) -> str:
    """Write a time; SQLite's are UTC and do not say so."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
