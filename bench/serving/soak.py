"""Chats that go on and on: does the server grow, and does anything get lost?

Eight people talk on threads of their own, a few turns each, then on a new one. Some go away
in the middle of an answer. In the end every turn that was answered must stand in its thread.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from bench.engines.figures import Table, median, percentile, slope
from bench.engines.trend import SLACK, settled
from bench.serving.client import connected, post, stream
from bench.serving.processes import Process, groundling

CHATS = 8
TURNS = 4
_LEAVE = 0.1  # the share of turns whose reader goes away
_SUBJECTS = ("the sea", "a small town", "bread", "winter", "a train", "letters", "gardens")
Samples = dict[str, list[tuple[float, float]]]


@dataclass
class Book:
    """What was asked and answered.

    Args:
        answers: by thread, in order.
        waits: seconds until the first piece of text, and to the end.
    """

    counts: Counter[str] = field(default_factory=Counter)
    answers: dict[str, list[str]] = field(default_factory=dict)
    waits: list[tuple[float, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def measure(model: str, models: Path, seconds: float, tell: Callable[[str], None]) -> list[Table]:
    """Let eight chats go on for so many seconds.

    Raises:
        SystemExit: something was lost, or memory or open files grew.
    """
    settings = {
        "model": {"max_tokens": 32, "context": 1024},
        "server": {"requests_per_minute": 0, "grace": 5.0},
        "memory": {"enabled": False},
    }
    book, samples = Book(), Samples()
    with groundling(model, models=models, settings=settings) as server:
        tell(f"soak: {seconds:g} s")
        asyncio.run(_talk(server, seconds, book, samples))
        lost = asyncio.run(_missing(server, book))
    if not book.waits:
        raise SystemExit(f"Nothing was answered in {seconds:g} s: {book.problems[:3]}")
    firsts, ends = zip(*book.waits, strict=True)
    talk = Table(
        f"{CHATS} chats for {seconds:g} s on {model}",
        ["", "turns asked", "answered", "left by their reader", "failed", "threads",
         "answers not in their thread", "first text p50 (s)", "p95", "turn p50 (s)"],
    )  # fmt: skip
    talk.add(
        "chat", book.counts["asked"], book.counts["answered"], book.counts["left"],
        book.counts["failed"], len(book.answers), len(lost),
        percentile(firsts, 0.5), percentile(firsts, 0.95), percentile(ends, 0.5),
    )  # fmt: skip
    talk.notes += [f"failed: {problem}" for problem in book.problems[:3]]
    grown = Table(
        "The server meanwhile, without the first quarter of the time",
        ["", "median", "growth", "growth an hour", "may grow"],
    )
    leaks = []
    for name, points in samples.items():
        late = settled(points)
        over = late[-1][0] - late[0][0] if late else 0.0
        middle, rise = median([value for _, value in late]), slope(late)
        allowed = max(SLACK[name], 0.03 * middle)
        grown.add(name, middle, rise * over, rise * 3600, allowed)
        if rise * over > allowed:
            leaks.append(name)
    if lost or leaks or book.counts["failed"]:
        for table in (talk, grown):
            print(table.text())
        raise SystemExit(f"lost: {lost[:3]}, grown: {leaks}, failed: {book.problems[:3]}")
    return [talk, grown]


async def _talk(server: Process, seconds: float, book: Book, samples: Samples) -> None:
    ends = time.monotonic() + seconds
    async with connected(server.address) as session:
        chats = [asyncio.create_task(_chat(session, n, ends, book)) for n in range(CHATS)]
        began = time.monotonic()
        while not all(chat.done() for chat in chats):
            now = time.monotonic() - began
            for name, value in (("memory (MB)", server.memory), ("open files", server.files)):
                samples.setdefault(name, []).append((now, float(value)))
            await asyncio.wait(chats, timeout=max(0.5, seconds / 400))
        for chat in chats:
            chat.result()


async def _chat(session: aiohttp.ClientSession, n: int, ends: float, book: Book) -> None:
    dice = random.Random(n)
    while time.monotonic() < ends:
        thread = (await post(session, "/threads", {"thread_id": str(uuid.uuid4())}))["thread_id"]
        book.answers[thread] = []
        for turn in range(TURNS):
            if time.monotonic() >= ends:
                return
            subject = f"{dice.choice(_SUBJECTS)}, {turn}-{dice.randrange(10_000)}"
            body = {
                "assistant_id": "chat",
                "input": {"question": f"Tell me about {subject}."},
                "stream_mode": ["messages-tuple", "values"],
                "on_disconnect": "cancel",
                "multitask_strategy": "interrupt",
            }
            book.counts["asked"] += 1
            path = f"/threads/{thread}/runs/stream"
            if dice.random() < _LEAVE:
                await _leave(session, path, body)
                book.counts["left"] += 1
                continue
            answer = await stream(session, path, body)
            failed = [data for name, data, _ in answer.events if name == "error"]
            values = [data for name, data, _ in answer.events if name == "values"]
            last = orjson.loads(values[-1]) if values else {}
            if failed or not last.get("answer"):
                book.counts["failed"] += 1
                book.problems.append(str(failed[:1] or answer.events[-1:])[:300])
                continue
            book.counts["answered"] += 1
            book.answers[thread].append(last["answer"])
            book.waits.append((answer.token, answer.wall))


async def _leave(session: aiohttp.ClientSession, path: str, body: object) -> None:
    """Ask, read a little, and go away."""
    async with session.post(path, json=body) as response:
        for _ in range(6):
            await response.content.readline()
        response.close()


async def _missing(server: Process, book: Book) -> list[str]:
    """Return the threads that do not have what they were answered."""
    lost = []
    async with connected(server.address) as session:
        for thread, answers in book.answers.items():
            async with session.get(f"/threads/{thread}/state") as response:
                state = await response.json()
            said = [
                message["content"]
                for message in (state["values"] or {}).get("messages", [])
                if message["type"] == "ai"
            ]
            if any(answer not in said for answer in answers):
                lost.append(thread)
    return lost
