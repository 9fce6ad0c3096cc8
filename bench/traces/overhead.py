"""What recording costs a graph of twelve nodes, beside LangSmith's own client.

Each node calls a scripted model once, which takes as long as it is told: nothing at all, so
that all time is the framework's, and as long as a small model takes for a short answer. The
ways of recording take turns in every round. CPU seconds are the whole process's, the threads
that store and send included; `at the end` is how long what waits then takes to be stored.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tracers.langchain import LangChainTracer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langsmith import Client

from bench.engines.figures import Table, median
from bench.traces import sink
from groundling.settings import load
from groundling.tracing import attach

NODES = 12
PACES = (0.0, 0.025)  # seconds that the model takes
PASSAGE = "Up to 6 days of unused annual leave may be carried over to the next year. " * 8
USAGE = {"input_tokens": 180, "output_tokens": 12, "total_tokens": 192}


class State(TypedDict, total=False):
    """What goes through the graph."""

    question: str
    answer: str
    steps: int


class Paced(BaseChatModel):
    """Answers always alike, after a while."""

    seconds: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "paced"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        reply = AIMessage("Up to 6 days may be carried over.", usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=reply)])


def graph(model: BaseChatModel) -> CompiledStateGraph[Any, None, Any, Any]:
    """Build the graph."""
    built = StateGraph(State)
    names = [f"node_{n}" for n in range(NODES)]

    async def step(state: State) -> State:
        reply = await model.ainvoke([HumanMessage(f"{PASSAGE}\n{state['question']}")])
        return {"answer": reply.text, "steps": state.get("steps", 0) + 1}

    for name in names:
        built.add_node(name, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        built.add_edge(before, after)
    return built.compile(name="twelve")


@dataclass
class Way:
    """A way of recording, and what it took."""

    name: str
    start: Callable[[], list[Any]]
    stop: Callable[[], object]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)


@asynccontextmanager
async def _ways(folder: Path) -> AsyncIterator[list[Way]]:
    with sink.running() as address:
        client = Client(api_url=address, api_key="none")
        settings = {
            redact: load({"home": folder / str(redact), "tracing": {"redact": redact}})
            for redact in (True, False)
        }

        def ours(redact: bool) -> Callable[[], list[Any]]:
            def start() -> list[Any]:
                attach.attach(settings[redact])
                return []

            return start

        def stop() -> None:
            assert attach.flush(60)
            attach._tracer.sink = None

        yield [
            Way("nothing", list, lambda: None),
            Way("groundling", ours(True), stop),
            Way("groundling, unredacted", ours(False), stop),
            Way("LangSmith's client", lambda: [LangChainTracer(client=client)], client.flush),
        ]
        attach.detach()
        client.cleanup()


async def _measure(rounds: int, runs: int) -> list[Table]:
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for pace in PACES:
            compiled = graph(Paced(seconds=pace))
            async with _ways(Path(folder) / str(pace)) as ways:
                for turn in range(rounds + 1):
                    for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                        await _round(way, compiled, runs if pace == 0 else max(2, runs // 4))
                        if turn == 0:  # to warm up
                            way.wall, way.cpu, way.end = [], [], []
            tables.append(_table(pace, ways))
    return tables


async def _round(way: Way, compiled: CompiledStateGraph[Any, None, Any, Any], runs: int) -> None:
    config = {"callbacks": way.start()}
    cpu, begun = time.process_time(), time.perf_counter()
    for _ in range(runs):
        await compiled.ainvoke({"question": "How many days may I keep?"}, config)
    ended = time.perf_counter()
    way.stop()
    way.wall.append((ended - begun) / runs)
    way.end.append(time.perf_counter() - ended)
    way.cpu.append((time.process_time() - cpu) / runs)


def _table(pace: float, ways: list[Way]) -> Table:
    table = Table(
        f"A graph of {NODES} nodes, each with a model call of {1e3 * pace:.0f} ms",
        ["recorded by", "ms a graph", "more, %", "ms a node", "CPU ms a node", "at the end, ms"],
    )
    bare = ways[0]
    for way in ways:
        more = [one - other for one, other in zip(way.wall, bare.wall, strict=True)]
        cpu = [one - other for one, other in zip(way.cpu, bare.cpu, strict=True)]
        table.add(
            way.name,
            1e3 * median(way.wall),
            100 * statistics.median(more) / median(bare.wall),
            1e3 * median(more) / NODES,
            1e3 * median(cpu) / NODES,
            1e3 * median(way.end),
        )
    return table


def measure(*, rounds: int, runs: int) -> list[Table]:
    """Run the graph in each way, in turns."""
    return asyncio.run(_measure(rounds, runs))
