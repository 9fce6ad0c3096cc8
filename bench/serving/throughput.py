"""Runs a second with a model that costs nothing, beside `langgraph dev` with the same graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench.engines.figures import Table, median, percentile
from bench.serving.client import connected, post, stream
from bench.serving.overhead import QUESTION
from bench.serving.processes import Process, groundling, langgraph_dev

CLIENTS = 16
_WAYS = {
    "wait": ("/runs/wait", False),
    "stream": ("/runs/stream", True),
}


def measure(seconds: float, rounds: int, tell: Callable[[str], None]) -> list[Table]:
    """Let 16 clients ask for so many seconds, in turns, and count what was answered."""
    table = Table(
        f"Stateless runs of `ask` with a scripted model, {CLIENTS} clients, "
        f"{rounds} × {seconds:g} s each",
        ["", "way", "runs/s", "÷ langgraph dev", "run p50 (ms)", "p95 (ms)"],
    )
    with ExitStack() as stack:
        servers = {"groundling serve": stack.enter_context(groundling())}
        rival = stack.enter_context(langgraph_dev())
        if rival is None:
            table.notes.append("langgraph dev is not installed: uv sync --locked --group reference")
        else:
            servers["langgraph dev"] = rival
        rates: dict[tuple[str, str], list[float]] = {}
        waits: dict[tuple[str, str], list[float]] = {}
        for n in range(rounds + 1):
            for way in _WAYS:
                for name, server in servers.items():
                    tell(f"throughput: round {n} of {rounds}, {name}, {way}")
                    took = asyncio.run(_load(server, way, seconds if n else 1.0))
                    if n:  # the first round warms up
                        rates.setdefault((way, name), []).append(sum(map(len, took)) / seconds)
                        waits.setdefault((way, name), []).extend(t for each in took for t in each)
    for (way, name), each in rates.items():
        base = rates.get((way, "langgraph dev"))
        ratio = median(each) / median(base) if base else None
        ms = [1000 * wait for wait in waits[way, name]]
        table.add(name, way, median(each), ratio, percentile(ms, 0.5), percentile(ms, 0.95))
    return [table]


async def _load(server: Process, way: str, seconds: float) -> list[list[float]]:
    path, streamed = _WAYS[way]
    body = {"assistant_id": "ask", "input": QUESTION, "stream_mode": ["messages-tuple"]}
    ends = time.perf_counter() + seconds

    async def client() -> list[float]:
        took = []
        while (began := time.perf_counter()) < ends:
            await (stream if streamed else post)(session, path, body)
            took.append(time.perf_counter() - began)
        return took

    async with connected(server.address) as session:
        return await asyncio.gather(*(client() for _ in range(CLIENTS)))
