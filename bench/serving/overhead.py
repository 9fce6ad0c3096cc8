"""What the server adds to a graph: until the first event, the first token, and the end.

The graph is `ask` with a model that costs nothing. In process it runs in an event loop as a
script would run it; over HTTP one client asks over one kept connection. Both take turns.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bench.engines.figures import Table, percentile
from bench.serving.client import connected, post, stream
from bench.serving.echo import Echo
from bench.serving.processes import groundling

QUESTION = {"question": "How many days of leave can I carry over?"}
MODES = ["values", "messages-tuple"]
_WARM_UP = 20
Times = tuple[float, float, float]


def measure(runs: int) -> list[Table]:
    """Time so many runs each way, in turns."""
    return [asyncio.run(_measure(runs))]


async def _measure(runs: int) -> Table:
    with groundling() as server:
        async with connected(server.address) as session:
            graph = _in_process()

            async def in_process() -> Times:
                return await _run(graph)

            async def stateless() -> Times:
                return await _ask(session, "/runs/stream")

            async def threaded() -> Times:
                thread = await post(session, "/threads", {"thread_id": str(uuid.uuid4())})
                return await _ask(session, f"/threads/{thread['thread_id']}/runs/stream")

            ways: dict[str, Callable[[], Awaitable[Times]]] = {
                "the graph in process": in_process,
                "over HTTP, stateless": stateless,
                "over HTTP, on a thread": threaded,
            }
            times: dict[str, list[Times]] = {name: [] for name in ways}
            for n in range(runs + _WARM_UP):
                for name, way in ways.items():
                    took = await way()
                    if n >= _WARM_UP:
                        times[name].append(took)
    return _table(times, runs)


def _in_process() -> Any:
    from groundling.home import Home

    with tempfile.TemporaryDirectory(prefix="groundling-bench-") as folder:
        return Home(Path(folder), tracing={"enabled": False}).graph("ask", model=Echo())


async def _run(graph: Any) -> Times:
    began = time.perf_counter()
    first = token = 0.0
    async for mode, data in graph.astream(QUESTION, stream_mode=["values", "messages"]):
        now = time.perf_counter() - began
        first = first or now
        if mode == "messages" and data[0].type == "AIMessageChunk":
            token = token or now
    return first, token, time.perf_counter() - began


async def _ask(session: aiohttp.ClientSession, path: str) -> Times:
    body = {"assistant_id": "ask", "input": QUESTION, "stream_mode": MODES}
    answer = await stream(session, path, body)
    assert not any(name == "error" for name, _, _ in answer.events), answer.events[-1]
    return answer.first("values"), answer.token, answer.wall


def _table(times: dict[str, list[Times]], runs: int) -> Table:
    table = Table(
        f"A run of `ask` with a scripted model, {runs} times each, in turns (ms)",
        ["", "first event p50", "p95", "first token p50", "p95", "end p50", "p95",
         "first event over in process"],
    )  # fmt: skip
    base = percentile([1000 * first for first, _, _ in next(iter(times.values()))], 0.5)
    for name, each in times.items():
        columns = [[1000 * value for value in column] for column in zip(*each, strict=True)]
        first = percentile(columns[0], 0.5)
        table.add(
            name,
            *(percentile(column, share) for column in columns for share in (0.5, 0.95)),
            first - base,
        )
    table.notes.append("The client and the server share the machine. Target: 5 ms.")
    return table
