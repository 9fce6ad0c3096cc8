"""LangGraph's checkpoints, looked at by run: undone, thinned out, and rid of unread answers.

Each checkpoint of the server's carries the id of its run in its metadata. All of this is for
the top level of a thread; what belongs to subgraphs goes with the checkpoint above it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundling.memory.threads import Threads
from groundling.server.runs.withholding import Known

_ROWS = """
SELECT checkpoint_id, parent_checkpoint_id, CAST(metadata AS TEXT) FROM checkpoints
WHERE thread_id = ? AND checkpoint_ns = '' ORDER BY checkpoint_id"""
_DELETE = "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' AND checkpoint_id = ?"
_SWEEP = (
    """DELETE FROM checkpoints WHERE thread_id = :thread AND checkpoint_ns != '' AND NOT EXISTS (
    SELECT 1 FROM checkpoints c WHERE c.thread_id = :thread AND c.checkpoint_ns = '')""",
    """DELETE FROM writes WHERE thread_id = :thread AND checkpoint_ns = '' AND NOT EXISTS (
    SELECT 1 FROM checkpoints c WHERE c.thread_id = :thread AND c.checkpoint_ns = ''
    AND c.checkpoint_id = writes.checkpoint_id)""",
)


@dataclass(frozen=True)
class Step:
    """A checkpoint: its id, the one it came from, and the run that wrote it."""

    id: str
    parent: str | None
    run: str | None


async def exists(
    threads: Threads, thread: str, checkpoint: Mapping[str, Any] | None = None
) -> bool:
    """Tell whether a thread has a checkpoint: any, or a certain one."""
    at = checkpoint or {}
    query = "SELECT 1 FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ?"
    given = [thread, at.get("checkpoint_ns") or ""]
    if id := at.get("checkpoint_id"):
        query += " AND checkpoint_id = ?"
        given.append(id)
    async with (
        threads.saver.lock,
        threads.saver.conn.execute(f"{query} LIMIT 1", given) as cursor,
    ):
        return await cursor.fetchone() is not None


async def steps(threads: Threads, thread: str) -> list[Step]:
    """List the checkpoints of a thread, the oldest first."""
    async with threads.saver.lock, threads.saver.conn.execute(_ROWS, [thread]) as cursor:
        rows = list(await cursor.fetchall())
    return [Step(id, parent, _run(metadata)) for id, parent, metadata in rows]


async def undo(threads: Threads, thread: str, run: str) -> None:
    """Delete what a run has written: the thread stands as before it."""
    found = await steps(threads, thread)
    await remove(threads, thread, found, {step.id for step in found if step.run == run})


async def thin_out(threads: Threads, thread: str, present: str) -> None:
    """Keep of each earlier run its last state alone.

    The inner states of the present run stay: going back to the one before the answer is how
    other people's pages have an answer written again.

    Args:
        present: the run whose inner states stay.
    """
    found = await steps(threads, thread)
    await remove(threads, thread, found, inner(found, present))


def inner(found: Sequence[Step], present: str) -> set[str]:
    """Return the states that are not the last of their run, but for those of the present run.

    States of no run, such as the command line's and those that a person wrote, are not.
    """
    last = {step.run: step.id for step in found}
    return {
        step.id
        for step in found
        if step.run is not None and step.run != present and last[step.run] != step.id
    }


def relinked(found: Sequence[Step], doomed: set[str]) -> list[tuple[str | None, str]]:
    """Return new parents for states whose parents go: the nearest ancestors that stay."""
    parents = {step.id: step.parent for step in found}
    moved: list[tuple[str | None, str]] = []
    for step in found:
        if step.id in doomed or step.parent not in doomed:
            continue
        parent: str | None = step.parent
        while parent in doomed:
            parent = parents.get(str(parent))
        moved.append((parent, step.id))
    return moved


async def remove(
    threads: Threads, thread: str, found: Sequence[Step], doomed: Iterable[str]
) -> None:
    """Delete states; those that came from them come from their ancestors then."""
    gone = set(doomed)
    if not gone:
        return
    db = threads.saver.conn
    async with threads.saver.lock:
        try:
            await db.executemany(
                "UPDATE checkpoints SET parent_checkpoint_id = ? WHERE checkpoint_id = ?"
                " AND checkpoint_ns = '' AND thread_id = ?",
                [(parent, id, thread) for parent, id in relinked(found, gone)],
            )
            await db.executemany(_DELETE, [(thread, id) for id in sorted(gone)])
            for query in _SWEEP:
                await db.execute(query, {"thread": thread})
        except BaseException:
            await db.rollback()
            raise
        await db.commit()


async def forget_unread(
    threads: Threads, thread: str, run: str, *, known: Known | None = None, keep_last: bool
) -> bool:
    """Delete the states of a run that have an answer which its guard may not have read.

    Args:
        known: what had been answered before the run; default: what its first state has, which
            is then of its input alone.
        keep_last: the run has come to its end, or asks a person: its last state stays.

    Returns:
        Whether the thread's latest state may be another one.
    """
    found = await steps(threads, thread)
    mine = [step for step in found if step.run == run]
    doomed: set[str] = set()
    for step in mine:
        values = await _values(threads, thread, step.id)
        if known is None:
            known = Known(values)
        elif known.has_new(values):
            doomed.add(step.id)
    last = mine[-1].id if mine else None
    if keep_last:
        doomed.discard(str(last))
    await remove(threads, thread, found, doomed)
    # What a step gives is also kept with the state before it, and read with that.
    stale = [step.id for step in mine if step.id != last or not keep_last]
    await _forget_writes(threads, thread, stale)
    return bool(mine) and not keep_last


async def known_before(threads: Threads, thread: str, run: str) -> Known | None:
    """Return what had been answered before a run, by the first state that it wrote."""
    first = next((step.id for step in await steps(threads, thread) if step.run == run), None)
    return None if first is None else Known(await _values(threads, thread, first))


async def _forget_writes(threads: Threads, thread: str, ids: Sequence[str]) -> None:
    db = threads.saver.conn
    async with threads.saver.lock:
        await db.executemany(
            "DELETE FROM writes WHERE thread_id = ? AND checkpoint_ns = '' AND checkpoint_id = ?",
            [(thread, id) for id in ids],
        )
        await db.commit()


async def _values(threads: Threads, thread: str, checkpoint: str) -> Mapping[str, Any]:
    query = (
        "SELECT type, checkpoint FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ''"
        " AND checkpoint_id = ?"
    )
    async with (
        threads.saver.lock,
        threads.saver.conn.execute(query, [thread, checkpoint]) as cursor,
    ):
        row = await cursor.fetchone()
    return channels(threads, row[0], row[1]) if row else {}


def channels(threads: Threads, kind: str, blob: bytes) -> dict[str, Any]:
    """Read a checkpoint's channels, LangGraph's own among them; a damaged one has none."""
    try:
        return dict(threads.saver.serde.loads_typed((kind, blob))["channel_values"])
    except Exception:  # whatever damaged bytes make of a decoder
        return {}


def _run(metadata: str | None) -> str | None:
    try:
        run = json.loads(metadata or "{}").get("run_id")
    except (ValueError, AttributeError):
        return None
    return run if isinstance(run, str) else None


_COPY = (
    """INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
    type, checkpoint, metadata) SELECT :new, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
    type, checkpoint, metadata FROM checkpoints WHERE thread_id = :thread""",
    """INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx,
    channel, type, value) SELECT :new, checkpoint_ns, checkpoint_id, task_id, task_path, idx,
    channel, type, value FROM writes WHERE thread_id = :thread""",
)


async def copy(threads: Threads, thread: str, new: str) -> None:
    """Copy all states of a thread to another one."""
    db = threads.saver.conn
    async with threads.saver.lock:
        try:
            for query in _COPY:
                await db.execute(query, {"thread": thread, "new": new})
        except BaseException:
            await db.rollback()
            raise
        await db.commit()
