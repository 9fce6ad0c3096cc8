"""One run of a graph: called, streamed, told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid5

from langchain_core.runnables import RunnableConfig

from groundling.server.runs.active import Active
from groundling.server.runs.checking import Graph, graph_input
from groundling.server.runs.request import RunRequest
from groundling.server.runs.telling import Teller, graph_modes
from groundling.server.runs.withholding import GUARD, INTERRUPT, Known, Withholding

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from groundling.guardrails.guard import Guard
    from groundling.server.services import Services

Streamed = tuple[tuple[str, ...], str, Any]
_EVENT = "events"  # LangChain's own, beside what the graph streams
_NEEDED = {"tasks", "updates"}  # to know when the guard has read the answer
_RESERVED = ("thread_id", "run_id", "graph_id", "assistant_id", "user_id")


def trace_of(run_id: UUID, attempt: int) -> UUID:
    """Return the id of the trace of a run; each attempt has one of its own."""
    return run_id if attempt == 1 else uuid5(run_id, f"attempt {attempt}")


def config_of(active: Active) -> RunnableConfig:
    """Return the configuration that a run's graph is called with."""
    request, run = active.request, active.run
    given = request.config
    configurable = {
        key: value
        for key, value in (given.get("configurable") or {}).items()
        if key not in _RESERVED and not key.startswith(("__", "langgraph_", "checkpoint_"))
    }
    configurable |= {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "graph_id": run.graph,
        "assistant_id": run.assistant_id,
        "checkpoint_ns": "",
    }
    if request.checkpoint and not active.goes_on:
        configurable |= {key: value for key, value in request.checkpoint.items() if value}
    config: dict[str, Any] = {
        "run_id": trace_of(request.run_id, active.attempt),
        "configurable": configurable,
        "metadata": {**request.metadata, "run_id": run.run_id},
    }
    for key in ("tags", "recursion_limit"):
        if given.get(key):
            config[key] = given[key]
    return cast("RunnableConfig", config)


class Executor:
    """Runs graphs in the server's event loop.

    Args:
        services: what the graphs are made of.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._guard: Guard | None = None

    async def graph(self, request: RunRequest) -> Graph:
        """Return the compiled graph of a run. Raises as `Graphs.get`."""
        services = self._services
        return await services.work(
            services.graphs.get,
            request.graph,
            request.person,
            request.wishes,
            threads=request.thread_id is not None,
        )

    async def go(self, active: Active) -> None:
        """Run a graph to its end, telling of it; cancelled, it stops within a token."""
        request, log = active.request, active.log
        graph = active.graph
        convert = active.convert
        teller = Teller(request.stream_mode, convert)
        hold = active.withholding = await self._withholding(active)
        clock, asked = asyncio.get_running_loop().time, active.asked
        seen = False
        async with aclosing(cast("AsyncGenerator[Streamed]", self._stream(active))) as streamed:
            async for namespace, mode, data in streamed:
                if mode == _EVENT:
                    log.add(_EVENT, convert(hold.event(data) if hold else data))
                    await log.room()
                    continue
                if mode == "messages" and not seen and data[0].text:
                    seen = True
                    self._services.metrics.first_token(graph.name, clock() - asked)
                if hold is None:
                    self._tell(active, teller, namespace, mode, data)
                else:
                    async for told in hold.pass_on(namespace, mode, data):
                        self._tell(active, teller, *told)
                await log.room()

    def release(self, active: Active, *, ended: bool) -> None:
        """Tell what was held back until the end of a run; see `Withholding.finish`."""
        if active.withholding is None:
            return
        teller = Teller(active.request.stream_mode, active.convert)
        for namespace, mode, data in active.withholding.finish(ended=ended):
            self._tell(active, teller, namespace, mode, data)

    def _tell(
        self,
        active: Active,
        teller: Teller,
        namespace: tuple[str, ...],
        mode: str,
        data: Any,
    ) -> None:
        if mode == "values" and not namespace:
            active.values = data
        for name, told in teller.tell(namespace, mode, data):
            active.log.add(name, told)

    async def _stream(self, active: Active) -> AsyncIterator[Streamed]:
        """Yield namespace, mode and data of what the graph streams."""
        request, graph = active.request, active.graph
        modes = graph_modes(request.stream_mode)
        if active.withholding is not None:
            modes = sorted({*modes, *_NEEDED})
        options: dict[str, Any] = {
            "stream_mode": modes,
            "subgraphs": request.subgraphs,
            "interrupt_before": _nodes(request.interrupt_before),
            "interrupt_after": _nodes(request.interrupt_after),
        }
        if request.context:
            options["context"] = dict(request.context)
        if request.thread_id is not None:
            options["durability"] = request.durability
        given = None if active.goes_on else graph_input(request)
        config = config_of(active)
        if _EVENT not in request.stream_mode:
            async with aclosing(graph.astream(given, config, **options)) as parts:
                async for part in parts:
                    yield _part(part, request.subgraphs)
            return
        root = str(config["run_id"])
        events = graph.astream_events(given, config, version="v2", **options)
        async with aclosing(events):
            async for event in events:
                if event["event"] == "on_chain_stream" and event["run_id"] == root:
                    yield _part(event["data"]["chunk"], request.subgraphs)
                elif "langsmith:hidden" not in (event.get("tags") or ()):
                    yield (), _EVENT, event

    def is_guarded(self, graph: Graph) -> bool:
        """Tell whether an answer of a graph is read before it may be told."""
        return GUARD in graph.nodes and self._services.settings.guard.enabled

    async def _withholding(self, active: Active) -> Withholding | None:
        """Return what holds the answer back until it is read; None where nothing reads it."""
        services, request = self._services, active.request
        if not self.is_guarded(active.graph):
            return None
        if self._guard is None:
            from groundling.guardrails.guard import Guard

            self._guard = await services.work(
                Guard.from_settings, services.settings, services.graphs.model
            )
        known = active.known
        resumed = request.input is None or request.command is not None
        if known is None and resumed and request.thread_id is not None:
            state = await active.graph.aget_state(config_of(active))
            known = Known(state.values, waiting=GUARD in state.next)
        return Withholding(self._guard, known)


def is_interrupted(values: Any) -> bool:
    """Tell whether values are those of a run that waits for a person."""
    return isinstance(values, Mapping) and INTERRUPT in values


def _part(part: Any, subgraphs: bool) -> Streamed:
    if subgraphs:
        namespace, mode, data = part
        return tuple(namespace), mode, data
    mode, data = part
    return (), mode, data


def _nodes(nodes: Any) -> Any:
    return nodes if nodes == "*" else list(nodes) or None
