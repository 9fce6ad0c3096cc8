"""What an open stream costs while nothing comes: of its own run, or joined to another's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp

from bench.engines.figures import Table
from bench.serving.client import connected, post
from bench.serving.overhead import QUESTION
from bench.serving.processes import Process, groundling

_HOLD = 600.0  # seconds that the model says nothing
_SETTLE = 2.0


def measure(streams: int, tell: Callable[[str], None]) -> list[Table]:
    """Open so many streams and weigh the server before, meanwhile and after."""
    table = Table(
        f"{streams} open streams in which nothing happens",
        ["", "before (MB)", "meanwhile (MB)", "a stream (KB)", "files meanwhile",
         "after (MB)", "files before", "files after", "/health meanwhile (ms)"],
    )  # fmt: skip
    settings = {
        "server": {
            "requests_per_minute": 0,
            "runs": streams + 8,
            "per_person": streams + 8,
            "grace": 1.0,
        }
    }
    for name, joined in (("each of its own run", False), ("all joined to one run", True)):
        with groundling(hold=_HOLD, settings=settings) as server:
            tell(f"idle: {streams} streams, {name}")
            table.add(name, *asyncio.run(_measure(server, streams, joined)))
    return [table]


async def _measure(server: Process, streams: int, joined: bool) -> list[float]:
    body = {
        "assistant_id": "ask",
        "input": QUESTION,
        "stream_mode": ["values", "messages-tuple"],
        "on_disconnect": "cancel",
    }
    async with connected(server.address) as session:
        for _ in range(20):  # what is made at first use is there
            await asyncio.gather(*(session.get("/ok") for _ in range(5)))
        path = "/runs/stream"
        if joined:
            thread = (await post(session, "/threads", {}))["thread_id"]
            background = {**body, "stream_resumable": True}
            run = await post(session, f"/threads/{thread}/runs", background)
            path = f"/threads/{thread}/runs/{run['run_id']}/stream"
        await asyncio.sleep(_SETTLE)
        before, files = server.memory, server.files
        opened = [await _open(session, path, None if joined else body) for _ in range(streams)]
        await asyncio.sleep(_SETTLE)
        meanwhile, open_files = server.memory, server.files
        began = time.perf_counter()
        async with session.get("/health") as answer:
            assert answer.status == 200
        health = 1000 * (time.perf_counter() - began)
        for response in opened:
            response.close()
        await asyncio.sleep(2 * _SETTLE)
        after, files_after = server.memory, server.files
    each = 1000 * (meanwhile - before) / streams
    return [before, meanwhile, each, open_files, after, files, files_after, health]


async def _open(
    session: aiohttp.ClientSession, path: str, body: object | None
) -> aiohttp.ClientResponse:
    """Open a stream and read its first event."""
    response = await (session.get(path) if body is None else session.post(path, json=body))
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {(await response.read())[:300]!r}")
    await response.content.readline()
    return response
