"""Threads as clients of LangGraph's server know them: found, made, looked into, changed.

Everything is asked for by a person. What is another's, or was never there, is answered alike:
there is no such thread. A thread that the command line made is the local user's; it has no
row in `server.sqlite` until it is first seen here.
"""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from groundling.memory.thread import time_of
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found
from groundling.server.runs import checkpoints, run_rows, thread_rows
from groundling.server.runs.book import Book
from groundling.server.runs.states import States
from groundling.server.runs.thread_rows import ThreadRow, has
from groundling.server.runs.withholding import Known

if TYPE_CHECKING:
    from groundling.server.services import Services

_LATEST = """
SELECT thread_id, MAX(checkpoint_id), MIN(checkpoint_id) FROM checkpoints
WHERE checkpoint_ns = '' GROUP BY thread_id"""


class ThreadBook:
    """The threads of everyone.

    Args:
        services: what keeps and reads their states.
        book: where their rows are.
        busy: tells whether a thread has runs.
        known: see `States`.
    """

    def __init__(
        self,
        services: Services,
        book: Book,
        busy: Callable[[str], bool],
        known: Callable[[str], Known | None],
    ) -> None:
        self._services = services
        self._book = book
        self.is_busy = busy
        self.states = States(services, known)
        self.leaving: set[str] = set()  # being deleted

    async def create(
        self,
        person: Person,
        thread_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        exist_ok: bool = False,
    ) -> dict[str, Any]:
        """Make a thread.

        Raises:
            Problem: 409, the person has one of that id; 404, somebody else has.
        """
        id = thread_id or str(uuid4())
        row = await self.find(id, person)
        if row is not None:
            if not exist_ok:
                raise Problem(409, f"There is a thread {id} already.")
            return await self._shown(row)
        row = await self._make(id, person, metadata or {})
        return _told(row, None)

    async def get(self, thread_id: str, person: Person) -> dict[str, Any]:
        """Return a thread.

        Raises:
            Problem: 404.
        """
        return await self._shown(await self.own(thread_id, person))

    async def search(
        self,
        person: Person,
        *,
        metadata: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        ids: Sequence[str] | None = None,
        status: str | None = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> builtins.list[dict[str, Any]]:
        """List a person's threads, those that were used last first unless asked otherwise."""
        rows = await self._rows(person, metadata, ids, status, sort_by, sort_order)
        if values:
            found = []
            for row in rows:
                shown = await self._shown(row)
                if has(shown["values"], values):
                    found.append(shown)
                if len(found) >= offset + limit:
                    break
            return found[offset : offset + limit]
        return [await self._shown(row) for row in rows[offset : offset + limit]]

    async def count(
        self,
        person: Person,
        *,
        metadata: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        status: str | None = None,
    ) -> int:
        """Count a person's threads."""
        rows = await self._rows(person, metadata, None, status, None, None)
        if not values:
            return len(rows)
        return sum([has((await self._shown(row))["values"], values) for row in rows])

    async def update(
        self, thread_id: str, person: Person, metadata: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Add to the metadata of a thread.

        Raises:
            Problem: 404.
        """
        await self.own(thread_id, person)
        await self._book.do(
            partial(thread_rows.merge_metadata, thread_id=thread_id, metadata=metadata)
        )
        return await self.get(thread_id, person)

    async def delete(self, thread_id: str, person: Person) -> None:
        """Delete a thread with its states and runs.

        Raises:
            Problem: 404; 409, it has a run.
        """
        await self.own(thread_id, person)
        self._not_busy(thread_id)
        self.leaving.add(thread_id)
        try:
            await self._services.threads.saver.adelete_thread(thread_id)
            await self._book.do(partial(_forget, thread_id=thread_id))
        finally:
            self.leaving.discard(thread_id)

    async def copy(self, thread_id: str, person: Person) -> dict[str, Any]:
        """Copy a thread with its states.

        Raises:
            Problem: 404; 409, it has a run: an answer that no guard has read may be in it.
        """
        row = await self.own(thread_id, person)
        self._not_busy(thread_id)
        copied = thread_rows.fresh(str(uuid4()), person.id, row.metadata)
        copied.interrupts = row.interrupts
        copied.status = "interrupted" if row.interrupts else "idle"
        # The row first: without one, what is copied would be taken for the command line's.
        await self._book.do(partial(thread_rows.insert, row=copied))
        try:
            self._not_busy(thread_id)  # what begins after this writes after the copy is made
            await checkpoints.copy(self._services.threads, thread_id, copied.thread_id)
        except BaseException:
            self._book.later(partial(_forget, thread_id=copied.thread_id))
            raise
        return await self._shown(copied)

    async def state(
        self,
        thread_id: str,
        person: Person,
        *,
        checkpoint: Mapping[str, Any] | None = None,
        subgraphs: bool = False,
    ) -> dict[str, Any]:
        """Return the state of a thread: the latest, or that of a checkpoint.

        Raises:
            Problem: 404, there is no such thread or checkpoint; 422, it is damaged.
        """
        row = await self.own(thread_id, person)
        return await self.states.get(row, person, checkpoint, subgraphs=subgraphs)

    async def history(
        self,
        thread_id: str,
        person: Person,
        *,
        limit: int = 10,
        before: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> builtins.list[dict[str, Any]]:
        """Return the states of a thread, the newest first.

        Raises:
            Problem: 404.
        """
        row = await self.own(thread_id, person)
        return await self.states.history(row, person, limit, before, metadata, checkpoint)

    async def update_state(
        self,
        thread_id: str,
        person: Person,
        values: Any,
        *,
        as_node: str | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write a state, as if a node had.

        Raises:
            Problem: 404; 409, the thread has a run; 400, the graph has no such node or takes
                no such values.
        """
        row = await self.own(thread_id, person)
        self._not_busy(thread_id)
        written = await self.states.update(row, person, values, as_node, checkpoint)
        status, interrupts = await self.states.standing(row, person)
        await self._book.do(lambda db: thread_rows.stands(db, thread_id, status, interrupts, None))
        return written

    # For the runs

    async def find(self, thread_id: str, person: Person) -> ThreadRow | None:
        """Find a thread of a person's; None where nobody has one of that id.

        Raises:
            Problem: 404, another has it.
        """
        row = await self._book.do(partial(thread_rows.get, thread_id=thread_id))
        if row is None:
            if not await checkpoints.exists(self._services.threads, thread_id):
                return None
            row = thread_rows.fresh(thread_id, self._services.people.local.id)
            await self._book.do(partial(thread_rows.insert, row=row))
        if row.owner != person.id or thread_id in self.leaving:
            raise not_found(f"thread {thread_id}")
        return row

    async def own(self, thread_id: str, person: Person) -> ThreadRow:
        """Find a thread of a person's.

        Raises:
            Problem: 404.
        """
        row = await self.find(thread_id, person)
        if row is None:
            raise not_found(f"thread {thread_id}")
        return row

    async def ensure(
        self, thread_id: str, person: Person, metadata: Mapping[str, Any]
    ) -> ThreadRow:
        """Find a thread of a person's, and make it if nobody has one of that id.

        Raises:
            Problem: 404, another has it.
        """
        row = await self.find(thread_id, person)
        return row if row is not None else await self._make(thread_id, person, metadata)

    async def _make(self, thread_id: str, person: Person, metadata: Mapping[str, Any]) -> ThreadRow:
        row = thread_rows.fresh(thread_id, person.id, metadata)
        if not await self._book.do(partial(thread_rows.insert, row=row)):
            return await self.own(thread_id, person)  # made at the same moment
        return row

    def _not_busy(self, thread_id: str) -> None:
        if self.is_busy(thread_id):
            raise Problem(
                409,
                f"Thread {thread_id} has a run.",
                hint="Wait for it, or cancel it.",
            )

    async def _rows(
        self,
        person: Person,
        metadata: Mapping[str, Any] | None,
        ids: Sequence[str] | None,
        status: str | None,
        sort_by: str | None,
        sort_order: str | None,
    ) -> builtins.list[ThreadRow]:
        if person.id == self._services.people.local.id:
            await self._adopt()
        rows = await self._book.do(
            partial(
                thread_rows.search,
                owner=person.id,
                ids=None if ids is None else list(ids),
                status=status,
                sort_by=sort_by,
                descending=sort_order != "asc",
            )
        )
        if metadata:
            rows = [row for row in rows if has(row.metadata, metadata)]
        return rows

    async def _adopt(self) -> None:
        """Give rows to the threads of the command line."""
        threads = self._services.threads
        async with threads.saver.lock, threads.saver.conn.execute(_LATEST) as cursor:
            found = list(await cursor.fetchall())
        local = self._services.people.local.id

        def adopt(db: Any) -> None:
            known = {row[0]: row[1] for row in db.execute(
                "SELECT thread_id, state_updated_at FROM threads")}  # fmt: skip
            new = []
            for id, last, first in found:
                used = time_of(last).isoformat()
                if id in known and known[id] >= used:
                    continue
                row = thread_rows.fresh(id, local)
                row.updated_at = row.state_updated_at = used
                row.created_at = time_of(first).isoformat()
                new.append(row)
            thread_rows.adopt(db, new)

        await self._book.do(adopt)

    async def _shown(self, row: ThreadRow) -> dict[str, Any]:
        values, graph = await self.states.latest(row.thread_id)
        if graph is not None and "graph_id" not in row.metadata:
            row.metadata = {"graph_id": graph, **row.metadata}
        if self.is_busy(row.thread_id):
            row.status = "busy"
        return _told(row, values)


def _forget(db: sqlite3.Connection, thread_id: str) -> None:
    run_rows.delete_of_thread(db, thread_id)
    thread_rows.delete(db, thread_id)


def _told(row: ThreadRow, values: Any) -> dict[str, Any]:
    return {
        "thread_id": row.thread_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "state_updated_at": row.state_updated_at,
        "metadata": row.metadata,
        "status": row.status,
        "config": row.config,
        "values": values,
        "interrupts": row.interrupts,
        "error": row.error,
    }
