"""Threads: the conversations of a home folder, kept as LangGraph's checkpoints in SQLite.

    async with Threads.open(settings.state_path, settings.conversation) as threads:
        graph = home.graph("chat", checkpointer=threads.saver)
        await graph.ainvoke({"question": "…"}, thread_config("a1b2"), durability=DURABILITY)
        await threads.prune("a1b2")

A checkpoint is the whole state of a thread at one moment, so that each can be gone back to
and none needs another. `durability="exit"` writes one for each turn, at its end, and at an
interrupt; a turn that is killed half way leaves the thread as it was before. `prune` keeps
the latest ones. What is stored is read with an allow-list of types; nothing is imported
because a file names it. Ids that people give are bound as parameters and never reach the
saver's filters.
"""

from __future__ import annotations

import builtins
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self

import aiosqlite
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from groundling import database
from groundling.errors import MemoriesError, UnknownThread
from groundling.memory.thread import Checkpoint, Thread, at_least, seen, told
from groundling.sections import ConversationSettings

DURABILITY: Final[Literal["exit"]] = "exit"  # docs/measurements.md: a ninth of the bytes of async
_SHORTEST = 4  # digits that name a checkpoint
_LIST = """
SELECT thread_id, MAX(checkpoint_id), COUNT(*), SUM(LENGTH(checkpoint)) FROM checkpoints
WHERE checkpoint_ns = '' GROUP BY thread_id ORDER BY 2 DESC LIMIT ?"""
_STATES = """
SELECT checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints
WHERE thread_id = ? AND checkpoint_ns = '' ORDER BY checkpoint_id DESC LIMIT ?"""
_COPY = (
    """INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
    type, checkpoint, metadata) SELECT :new, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
    type, checkpoint, metadata FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns = ''
    AND checkpoint_id IN (SELECT value FROM json_each(:ids))""",
    """INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx,
    channel, type, value) SELECT :new, checkpoint_ns, checkpoint_id, task_id, task_path, idx,
    channel, type, value FROM writes WHERE thread_id = :thread AND checkpoint_ns = ''
    AND checkpoint_id IN (SELECT value FROM json_each(:ids))""",
)
_FORGET = """
DELETE FROM checkpoints WHERE thread_id IN (
    SELECT thread_id FROM checkpoints GROUP BY thread_id HAVING MAX(checkpoint_id) < :oldest)"""
_TRIM = """
DELETE FROM checkpoints WHERE rowid IN (SELECT rowid FROM (
    SELECT rowid, ROW_NUMBER() OVER (
        PARTITION BY thread_id, checkpoint_ns ORDER BY checkpoint_id DESC) AS place
    FROM checkpoints WHERE :thread IS NULL OR thread_id = :thread) WHERE place > :most)"""
_SWEEP = """
DELETE FROM writes WHERE (:thread IS NULL OR thread_id = :thread) AND NOT EXISTS (
    SELECT 1 FROM checkpoints c WHERE c.thread_id = writes.thread_id
    AND c.checkpoint_ns = writes.checkpoint_ns AND c.checkpoint_id = writes.checkpoint_id)"""


def thread_config(thread: str, checkpoint: str | None = None) -> RunnableConfig:
    """Return what makes a graph go on with a thread; from a checkpoint: as a branch of it."""
    configurable = {"thread_id": thread, "checkpoint_ns": ""}
    if checkpoint is not None:
        configurable["checkpoint_id"] = checkpoint
    return {"configurable": configurable}


class Threads:
    """The threads of one file; several processes may have it open.

    Args:
        saver: LangGraph's own, to be given to graphs.
        limits: how much is kept.
    """

    def __init__(self, saver: AsyncSqliteSaver, limits: ConversationSettings) -> None:
        self.saver = saver
        self.limits = limits

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, limits: ConversationSettings | None = None
    ) -> AsyncIterator[Self]:
        """Open a file of threads, and make it if there is none; its owner alone may read it.

        Raises:
            MemoriesError: it cannot be opened, read or written, now or while it is open.
        """
        try:
            _made_private(path)
            async with aiosqlite.connect(path, timeout=database.WAIT_SECONDS) as db:
                await db.execute("PRAGMA synchronous = NORMAL")
                serde = JsonPlusSerializer(allowed_msgpack_modules=None)
                saver = AsyncSqliteSaver(db, serde=serde)
                await saver.setup()
                yield cls(saver, limits or ConversationSettings())
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, OSError) and error.filename != str(path.parent):
                raise
            raise MemoriesError(
                f"The conversations in {path} cannot be read or written: {error}.",
                hint=f"Free the disk if it is full; if the file is damaged, put it aside: "
                f"mv {path} {path}.damaged",
            ) from error

    async def list(self, limit: int = -1) -> builtins.list[Thread]:
        """List the threads, the one that was used last first.

        Args:
            limit: how many; negative: all.
        """
        return [
            told(thread, (await self._history(thread, limit=1))[0], states, size or 0)
            for thread, _, states, size in await self._rows(_LIST, [limit])
        ]

    async def get(self, thread: str) -> Checkpoint:
        """Return the latest state of a thread.

        Raises:
            UnknownThread: there is no such thread.
            MemoriesError: what was stored cannot be read; the hint names the last that can.
        """
        history = await self._history(thread, limit=1)
        if not history[0].damaged:
            return history[0]
        whole = [each.id for each in await self._history(thread) if not each.damaged]
        raise MemoriesError(
            f"The latest state of conversation {thread} is damaged and cannot be read.",
            hint=f"groundling threads fork {thread} --at {whole[0]}  copies it up to the last "
            "state that can be read"
            if whole
            else f"groundling threads delete {thread}",
        )

    async def history(self, thread: str) -> builtins.list[Checkpoint]:
        """Return the states of a thread that are kept, the newest first.

        Raises:
            UnknownThread: there is no such thread.
        """
        return await self._history(thread)

    async def messages(self, thread: str) -> builtins.list[BaseMessage]:
        """Return what was said in a thread. Raises as `get` does."""
        return (await self.get(thread)).messages

    async def last(self) -> str | None:
        """Return the thread that was used last."""
        rows = await self._rows(
            "SELECT thread_id FROM checkpoints WHERE checkpoint_ns = '' "
            "ORDER BY checkpoint_id DESC LIMIT 1"
        )
        return str(rows[0][0]) if rows else None

    async def resolve(self, thread: str, checkpoint: str) -> Checkpoint:
        """Return the state that an id, its beginning or its end names.

        Raises:
            UnknownThread: there is no such thread.
            MemoriesError: no state of it is named so, several are, or it is damaged.
        """
        history = await self._history(thread)
        wanted = checkpoint.strip().lower()
        named = [
            each
            for each in history
            if each.id == wanted
            or (
                len(wanted) >= _SHORTEST
                and (each.id.startswith(wanted) or each.id.endswith(wanted))
            )
        ]
        if len(named) == 1 and not named[0].damaged:
            return named[0]
        reason = (
            "is damaged"
            if len(named) == 1
            else "is not one of"
            if not named
            else "may be several of"
        )
        raise MemoriesError(
            f"{checkpoint} {reason} the states kept of conversation {thread}.",
            hint=f"groundling threads history {thread}",
        )

    async def fork(self, thread: str, checkpoint: str | None = None) -> str:
        """Copy a thread, up to a checkpoint, into a new one; return the new one's id.

        Args:
            checkpoint: as `resolve` reads it; default: the latest.

        Raises:
            UnknownThread: there is no such thread.
            MemoriesError: there is no such checkpoint.
        """
        history = await self._history(thread)
        parents = {each.id: each.parent for each in history}
        at = (await self.resolve(thread, checkpoint)).id if checkpoint else history[0].id
        chain: builtins.list[str] = []
        step: str | None = at
        while step is not None and step in parents and step not in chain:
            chain.append(step)
            step = parents[step]
        new = uuid.uuid4().hex[:8]
        given = {"new": new, "thread": thread, "ids": json.dumps(chain)}
        await self._change(_COPY, given)
        return new

    async def delete(self, thread: str) -> None:
        """Delete a thread with all its states.

        Raises:
            UnknownThread: there is no such thread.
        """
        await self._history(thread, limit=1)
        await self.saver.adelete_thread(thread)

    async def prune(self, thread: str | None = None, *, now: datetime | None = None) -> int:
        """Delete what the limits do not keep, and give the room back; return how many states.

        Args:
            thread: only older states of this one: cheap, for after a turn.
            now: threads not used for `keep_days` before it are deleted, too; default: none.
        """
        oldest = ""  # before all ids
        if now is not None and self.limits.keep_days:
            oldest = at_least(now - timedelta(days=self.limits.keep_days))
        given = {"thread": thread, "most": self.limits.checkpoints, "oldest": oldest}
        removed = await self._change([_FORGET, _TRIM], given)
        await self._change([_SWEEP], given)
        async with self.saver.lock:
            # As a script: Python takes one step of a statement without columns, here one page.
            await self.saver.conn.executescript("PRAGMA incremental_vacuum")
        return removed

    async def vacuum(self) -> None:
        """Write the file anew without what was deleted; an older version's shrinks then, too."""
        async with self.saver.lock:
            await self.saver.conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
            await self.saver.conn.execute("VACUUM")
            await self.saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _history(self, thread: str, limit: int = -1) -> builtins.list[Checkpoint]:
        rows = await self._rows(_STATES, [thread, limit])
        if not rows:
            raise UnknownThread(
                f"There is no conversation {thread}.", hint="groundling threads list"
            )
        return [self._checkpoint(row) for row in rows]

    def _checkpoint(self, row: Sequence[Any]) -> Checkpoint:
        id, parent, kind, blob, metadata = row
        try:
            state = self.saver.serde.loads_typed((kind, blob))
        except Exception:  # whatever damaged bytes make of a decoder; said by `damaged`
            state = None
        return seen(id, parent, state, metadata)

    async def _rows(self, query: str, given: Sequence[Any] = ()) -> builtins.list[Sequence[Any]]:
        async with self.saver.lock, self.saver.conn.execute(query, given) as cursor:
            return [tuple(row) for row in await cursor.fetchall()]

    async def _change(self, queries: Sequence[str], given: Mapping[str, Any]) -> int:
        """Do all of it or nothing; return how many rows were changed."""
        db = self.saver.conn
        async with self.saver.lock:
            try:
                changed = [(await db.execute(query, given)).rowcount for query in queries]
            except BaseException:
                await db.rollback()
                raise
            await db.commit()
            return sum(changed)


def _made_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    database.connect(path).close()
    with suppress(OSError):  # another's file: SQLite says whether it can be used
        path.chmod(0o600)
