"""The states of threads, read from LangGraph's checkpoints.

A state is read with the graph that wrote it, which knows what comes next. Where that graph
cannot be made, because its documents are gone, the bare values are still shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langgraph.errors import InvalidUpdateError
from langgraph.types import StateSnapshot

from groundling.errors import GroundlingError
from groundling.memory.thread import time_of
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found
from groundling.server.runs import checkpoints
from groundling.server.runs.checking import Graph
from groundling.server.runs.converting import interrupts_of, plain, state_of
from groundling.server.runs.thread_rows import ThreadRow, has
from groundling.server.runs.withholding import GUARD, Known

if TYPE_CHECKING:
    from groundling.server.services import Services

EMPTY: dict[str, Any] = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
}
_ROW = """
SELECT checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints
WHERE thread_id = ? AND checkpoint_ns = '' AND (? IS NULL OR checkpoint_id = ?)
ORDER BY checkpoint_id DESC LIMIT 1"""


class States:
    """Reads and writes states; whose a thread is was asked before.

    Args:
        services: graphs and their checkpoints.
        known: of a thread in which a guarded graph runs, what had been answered before.
    """

    def __init__(self, services: Services, known: Callable[[str], Known | None]) -> None:
        self._services = services
        self._known = known

    async def get(
        self,
        row: ThreadRow,
        person: Person,
        checkpoint: Mapping[str, Any] | None = None,
        *,
        subgraphs: bool = False,
    ) -> dict[str, Any]:
        """Return a state: the latest, or that of a checkpoint.

        Raises:
            Problem: 404, there is no such checkpoint; 422, it is damaged.
        """
        threads = self._services.threads
        if not await checkpoints.exists(threads, row.thread_id, checkpoint):
            if checkpoint:
                raise not_found(
                    f"checkpoint {checkpoint.get('checkpoint_id')} of thread {row.thread_id}"
                )
            return dict(EMPTY)
        graph = await self.graph(row, person)
        if graph is None:
            return await self._bare(row.thread_id, (checkpoint or {}).get("checkpoint_id"))
        config = _config(row, checkpoint)
        try:
            snapshot = await graph.aget_state(config, subgraphs=subgraphs)
        except Exception as error:
            raise _damaged(row.thread_id) from error
        return state_of(self._cleared(snapshot, row, graph))

    async def history(
        self,
        row: ThreadRow,
        person: Person,
        limit: int,
        before: Mapping[str, Any] | None,
        metadata: Mapping[str, Any] | None,
        checkpoint: Mapping[str, Any] | None,
    ) -> list[dict[str, Any]]:
        """Return states, the newest first, down to one that is damaged.

        Raises:
            Problem: 422, the newest is damaged already.
        """
        graph = await self.graph(row, person)
        if graph is None:
            if not await checkpoints.exists(self._services.threads, row.thread_id):
                return []
            return [await self._bare(row.thread_id, None)]
        found: list[dict[str, Any]] = []
        given: Any = None
        if before and before.get("checkpoint_id"):
            given = _config(row, before)
        elif checkpoint and checkpoint.get("checkpoint_id"):
            given = _config(row, checkpoint)
        config = _config(row, {"checkpoint_ns": (checkpoint or {}).get("checkpoint_ns")})
        if checkpoint and given is not None and not before and limit > 0:
            try:
                found.append(await self.get(row, person, checkpoint))
            except Problem as problem:
                if problem.status != 404:
                    raise
                return []
        try:
            async for snapshot in graph.aget_state_history(config, before=given):
                if len(found) >= limit:
                    break
                told = state_of(self._cleared(snapshot, row, graph))
                if metadata is None or has(told["metadata"] or {}, metadata):
                    found.append(told)
        except Exception as error:
            if not found:
                raise _damaged(row.thread_id) from error
        return found[:limit]

    async def update(
        self,
        row: ThreadRow,
        person: Person,
        values: Any,
        as_node: str | None,
        checkpoint: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Write a state; return where it is.

        Raises:
            Problem: 404, 400.
        """
        graph = await self.graph(row, person)
        if graph is None:
            raise Problem(
                400,
                f"No graph has run in thread {row.thread_id}: its values have no names yet.",
                hint="Give it metadata with a graph_id, or run a graph in it first.",
            )
        if as_node is not None and as_node not in {*graph.builder.nodes, "__start__", "__end__"}:
            nodes = ", ".join(sorted(graph.builder.nodes))
            raise Problem(400, f"There is no node {as_node[:80]}.", hint=f"{nodes}.")
        threads = self._services.threads
        if checkpoint and not await checkpoints.exists(threads, row.thread_id, checkpoint):
            raise not_found(
                f"checkpoint {checkpoint.get('checkpoint_id')} of thread {row.thread_id}"
            )
        if isinstance(values, Mapping) and (unknown := set(values) - set(graph.channels)):
            raise Problem(400, f"values: the graph has no {sorted(map(str, unknown))[0][:80]}.")
        config = _config(row, checkpoint)
        config["configurable"]["graph_id"] = row.metadata.get("graph_id") or graph.name
        try:
            written = await graph.aupdate_state(config, values, as_node)
        except (InvalidUpdateError, ValueError, TypeError, KeyError, NotImplementedError) as error:
            first = (str(error).strip().splitlines() or ["they do not fit the graph"])[0]
            raise Problem(400, f"The state cannot be written: {first}") from error
        at = written["configurable"]
        keys = ("thread_id", "checkpoint_ns", "checkpoint_id")
        return {"checkpoint": {key: at[key] for key in keys if key in at}}

    async def standing(
        self, row: ThreadRow, person: Person
    ) -> tuple[str, dict[str, list[dict[str, Any]]]]:
        """Return how a thread stands that no run is in: its status, and what it waits for."""
        graph = await self.graph(row, person)
        if graph is None or not await checkpoints.exists(self._services.threads, row.thread_id):
            return "idle", {}
        try:
            snapshot = await graph.aget_state(_config(row))
        except Exception:
            return "error", {}
        return ("interrupted" if snapshot.next else "idle"), interrupts_of(snapshot)

    async def latest(self, thread_id: str) -> tuple[Any, str | None]:
        """Return the latest values of a thread, and the graph that wrote them.

        None where nothing was written, or it is damaged.
        """
        row = await self._row(thread_id, None)
        if row is None:
            return None, None
        metadata = row[4]
        return plain(self._readable(thread_id, row)) or None, _graph_of(metadata)

    async def graph(self, row: ThreadRow, person: Person) -> Graph | None:
        """Return the graph that a thread is of; None where that is unknown, or it is gone."""
        name = row.metadata.get("graph_id")
        if not isinstance(name, str):
            found = await self._row(row.thread_id, None)
            name = _graph_of(found[4]) if found is not None else None
        if name is None:
            return None
        services = self._services
        try:
            return await services.work(services.graphs.get, name, person)
        except GroundlingError:
            return None

    async def _bare(self, thread_id: str, checkpoint: str | None) -> dict[str, Any]:
        """Return a state without what only its graph knows."""
        row = await self._row(thread_id, checkpoint)
        if row is None:
            return dict(EMPTY)
        id, parent, _, _, metadata = row
        at = {"thread_id": thread_id, "checkpoint_ns": ""}
        return {
            **EMPTY,
            "values": plain(self._readable(thread_id, row)),
            "metadata": json.loads(metadata or b"{}"),
            "created_at": time_of(id).isoformat(),
            "checkpoint": {"checkpoint_id": id, **at},
            "parent_checkpoint": {"checkpoint_id": parent, **at} if parent else None,
        }

    def _cleared(self, snapshot: StateSnapshot, row: ThreadRow, graph: Graph) -> StateSnapshot:
        guarded = GUARD in graph.nodes and self._services.settings.guard.enabled
        return cleared(snapshot, self._known(row.thread_id), guarded=guarded)

    def _readable(self, thread_id: str, row: tuple[Any, ...]) -> dict[str, Any]:
        """Return the values of a checkpoint, without an answer that is not read yet."""
        channels = checkpoints.channels(self._services.threads, row[2], row[3])
        values = {key: value for key, value in channels.items() if not _is_inner(key)}
        if f"branch:to:{GUARD}" in channels:
            return Known(values, waiting=True).without_new(values)
        known = self._known(thread_id)
        return values if known is None else known.without_new(values)

    async def _row(self, thread_id: str, checkpoint: str | None) -> tuple[Any, ...] | None:
        saver = self._services.threads.saver
        given = [thread_id, checkpoint, checkpoint]
        async with saver.lock, saver.conn.execute(_ROW, given) as cursor:
            row = await cursor.fetchone()
        return None if row is None else tuple(row)


def _config(row: ThreadRow, checkpoint: Mapping[str, Any] | None = None) -> Any:
    at: dict[str, Any] = {"thread_id": row.thread_id, "checkpoint_ns": ""}
    for key in ("checkpoint_id", "checkpoint_ns"):
        if checkpoint and checkpoint.get(key):
            at[key] = checkpoint[key]
    return {"configurable": at}


def cleared(
    snapshot: StateSnapshot, known: Known | None = None, *, guarded: bool = True
) -> StateSnapshot:
    """Take out of a state the answer that its guard has not read yet.

    Args:
        known: what had been answered before the run that goes on; None: none does.
        guarded: whether the graph has a guard at its end.
    """
    if not isinstance(snapshot.values, Mapping):
        return snapshot
    # A state before the answer has it among what its step gives.
    bare = tuple(
        task._replace(result=None)
        if isinstance(task.result, Mapping) and Known({}).has_new(task.result)
        else task
        for task in snapshot.tasks
    )
    if guarded:
        snapshot = snapshot._replace(tasks=bare)
    if known is not None and known.has_new(snapshot.values):
        return snapshot._replace(values=known.without_new(snapshot.values))
    if GUARD not in snapshot.next:
        return snapshot
    return snapshot._replace(
        values=Known(snapshot.values, waiting=True).without_new(snapshot.values)
    )


def _is_inner(channel: str) -> bool:
    return channel.startswith(("__", "branch:"))


def _graph_of(metadata: bytes | str | None) -> str | None:
    try:
        said = json.loads(metadata or b"{}")
    except ValueError:
        return None
    name = said.get("graph_id") or said.get("graph") if isinstance(said, dict) else None
    return name if isinstance(name, str) else None


def _damaged(thread_id: str) -> Problem:
    return Problem(
        422,
        f"A state of thread {thread_id} is damaged and cannot be read.",
        hint=f"groundling threads fork {thread_id} --at …  copies it up to a whole one; "
        f"groundling threads history {thread_id}  lists them.",
    )
