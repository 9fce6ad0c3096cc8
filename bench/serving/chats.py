"""Chats at once on a real model through `/v1/chat/completions`, beside llama.cpp's own server.

Both get the same messages, write the same number of tokens at temperature 0, and have as many
slots as there are chats at most. Each prompt begins differently, so that no cache serves it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import orjson

from bench.engines import server as rival
from bench.engines.contenders import Timing
from bench.engines.figures import Table, median, percentile
from bench.engines.stage import turns
from bench.serving.client import connected, stream
from bench.serving.processes import groundling

OURS, THEIRS = "groundling serve", "C++ server (portable)"
_WORDS = 96
_CONTEXT = 512


def measure(
    model: str,
    models: Path,
    file: Path,
    counts: tuple[int, ...],
    rounds: int,
    reply: int,
    tell: Callable[[str], None],
) -> list[Table]:
    """Let so many chats ask at the same moment, both servers in turns."""
    slots = max(counts)
    runs: dict[tuple[int, str], list[list[Timing]]] = {}
    settings = {
        "model": {"parallel": slots, "context": _CONTEXT, "cache_tokens": (slots + 1) * _CONTEXT},
        "server": {"requests_per_minute": 0, "per_person": slots, "runs": slots},
        "tracing": {"enabled": False},
    }
    with ExitStack() as stack:
        tell("chats: loading")
        ours = stack.enter_context(groundling(model, models=models, settings=settings))
        theirs = rival.start(file, slots, _CONTEXT)
        stack.callback(theirs.close)
        addresses = {OURS: ours.address, THEIRS: f"http://127.0.0.1:{theirs._port}"}
        for count in counts:
            for n, name in enumerate(turns(list(addresses), rounds)):
                tell(f"chats: {count} × {name}")
                took = asyncio.run(_ask(addresses[name], model, count, reply, n))
                runs.setdefault((count, name), []).append(took)
    table = Table(
        f"Chats at once on {model}: about {_WORDS} words read, {reply} tokens written by each, "
        f"medians of {rounds}",
        ["", "at once", "together (tok/s)", "÷ C++ server", "first token p50 (s)", "p95 (s)",
         "÷ C++ server", "written"],
    )  # fmt: skip
    for (count, name), those in runs.items():
        rate, base = _rate(those), _rate(runs[count, THEIRS])
        firsts = [timing.first for run in those for timing in run]
        late = percentile(firsts, 0.95)
        their = percentile([t.first for run in runs[count, THEIRS] for t in run], 0.95)
        written = sum(timing.written for run in those for timing in run)
        table.add(
            name, count, rate, rate / base, percentile(firsts, 0.5), late, late / their, written
        )
    table.notes.append(f"{THEIRS}: xllamacpp, {slots} slots; both have caches for all of them.")
    return [table]


def _rate(runs: list[list[Timing]]) -> float:
    return median(
        [
            sum(timing.written for timing in run)
            / (max(t.arrivals[-1] for t in run) - min(t.started for t in run))
            for run in runs
        ]
    )


async def _ask(address: str, model: str, count: int, reply: int, n: int) -> list[Timing]:
    async with connected(address) as session:
        return await asyncio.gather(
            *(_chat(session, model, _prompt(n * count + k), reply) for k in range(count))
        )


async def _chat(session: aiohttp.ClientSession, model: str, prompt: str, reply: int) -> Timing:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": reply,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer = await stream(session, "/v1/chat/completions", body)
    timing = Timing(answer.started)
    for _, data, when in answer.events:
        if data == b"[DONE]":
            continue
        chunk = orjson.loads(data)
        assert "error" not in chunk, chunk
        if chunk.get("usage"):
            timing.prompt = chunk["usage"]["prompt_tokens"]
            timing.written = chunk["usage"]["completion_tokens"]
        if any(choice["delta"].get("content") for choice in chunk["choices"]):
            timing.arrivals.append(when)
    if not timing.arrivals:
        timing.arrivals.append(time.perf_counter())
    return timing


def _prompt(n: int) -> str:
    """Return a prompt of its own, which makes a small model talk on."""
    numbers = " ".join(f"{(n * 7919 + k * 104_729) % 9973}" for k in range(_WORDS // 4))
    return f"List {n}: {numbers}. Write a long story about a town with that many houses."
