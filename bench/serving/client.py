"""A client that costs little: one connection, and when each event of an answer came."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

_PIECE = b'"AIMessageChunk"'


@dataclass
class Stream:
    """An answer as it came.

    Args:
        started: when the request was sent, in seconds of one clock.
        status: of HTTP.
        events: name, data as bytes, and when it came.
    """

    started: float
    status: int = 0
    events: list[tuple[str, bytes, float]] = field(default_factory=list)

    def first(self, *names: str) -> float:
        """Return the seconds until the first event of these names."""
        for name, _, when in self.events:
            if name in names:
                return when - self.started
        raise RuntimeError(f"No event {names} came: {[name for name, _, _ in self.events]}")

    @property
    def token(self) -> float:
        """Seconds until the model's first piece; a question is a message, too."""
        for name, data, when in self.events:
            if name == "messages" and _PIECE in data:
                return when - self.started
        raise RuntimeError("The model said nothing.")

    @property
    def wall(self) -> float:
        """Seconds until the last event."""
        return self.events[-1][2] - self.started


class Reader:
    """Takes server-sent events apart; comments and ids are passed over."""

    def __init__(self, answer: Stream) -> None:
        self._answer = answer
        self._waiting = b""
        self._name = ""

    def feed(self, data: bytes, now: float) -> None:
        """Read a piece that came at that time, however it was cut."""
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in (line.rstrip(b"\r") for line in lines):
            if line.startswith(b"event: "):
                self._name = line[7:].decode()
            elif line.startswith(b"data: "):
                self._answer.events.append((self._name, line[6:], now))
            elif not line:
                self._name = ""


@asynccontextmanager
async def connected(address: str, most: int = 0) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session; `most` is the number of connections at once, 0: any."""
    connector = aiohttp.TCPConnector(limit=most, force_close=False)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=600)
    async with aiohttp.ClientSession(address, connector=connector, timeout=timeout) as session:
        yield session


async def stream(session: aiohttp.ClientSession, path: str, body: Any) -> Stream:
    """Post a body and read the events to the end."""
    answer = Stream(time.perf_counter())
    async with session.post(path, data=orjson.dumps(body), headers=JSON) as response:
        answer.status = response.status
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {(await response.read())[:300]!r}")
        reader = Reader(answer)
        async for data in response.content.iter_any():
            reader.feed(data, time.perf_counter())
    return answer


async def post(session: aiohttp.ClientSession, path: str, body: Any) -> Any:
    """Post a body and return the JSON of the answer."""
    async with session.post(path, data=orjson.dumps(body), headers=JSON) as response:
        answer = await response.read()
        if response.status >= 300:
            raise RuntimeError(f"{response.status}: {answer[:300]!r}")
        return orjson.loads(answer) if answer else None


JSON = {"Content-Type": "application/json"}
