"""Streams: kept alive, broken off, left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from groundling.errors import GraphError, KnowledgeError
from groundling.server.langgraph import streams
from groundling.server.langgraph.streams import streamed
from groundling.server.problems import Problem
from groundling.server.runs.request import Event

HOME = Path("/home/ann/groundling")
SCOPE: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.3"}}


class Source:
    """Events that come when a test says so; it notes when it was left."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self.left = asyncio.Event()

    def say(self, *events: Event | Exception | None) -> None:
        for event in events:
            self.queue.put_nowait(event)

    async def events(self) -> AsyncIterator[Event]:
        try:
            while (event := await self.queue.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.left.set()


def event(n: int, name: str = "values") -> Event:
    return Event(id=f"{n}", event=name, data={"n": n})


async def sent(response: Any, gone: asyncio.Event | None = None) -> bytes:
    """Send a response to a client that stays, or goes when it is told."""
    parts: list[bytes] = []

    async def receive() -> Message:
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        parts.append(message.get("body", b""))

    await response(SCOPE, receive, send)
    return b"".join(parts)


async def test_events_are_frames_and_have_ids_where_one_may_come_back():
    for with_ids in (False, True):
        source = Source()
        source.say(event(1), event(2, "messages/partial"), None)
        body = await sent(await streamed(source.events(), HOME, with_ids=with_ids))
        first = b'event: values\ndata: {"n":1}\n' + (b"id: 1\n" if with_ids else b"") + b"\n"
        assert body.startswith(first)
        assert body.count(b"\n\n") == 2
        await source.left.wait()


@pytest.mark.parametrize(
    ("modes", "kept"),
    [
        ((), ["metadata", "values", "messages/partial", "updates|a:1", "error"]),
        (("values",), ["metadata", "values", "error"]),
        (("messages-tuple",), ["metadata", "messages/partial", "error"]),
        (("updates",), ["metadata", "updates|a:1", "error"]),
    ],
)
async def test_only_the_modes_that_are_wanted(modes: tuple[str, ...], kept: list[str]):
    source = Source()
    names = ["metadata", "values", "messages/partial", "updates|a:1", "error"]
    source.say(*(event(n, name) for n, name in enumerate(names)), None)
    body = (await sent(await streamed(source.events(), HOME, modes=modes))).decode()
    assert [line[7:] for line in body.splitlines() if line.startswith("event: ")] == kept


async def test_a_stream_in_which_nothing_happens_is_kept_alive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.01)
    source = Source()
    source.say(event(1))
    response = await streamed(source.events(), HOME)
    sending = asyncio.create_task(sent(response))
    await asyncio.sleep(0.1)
    source.say(event(2), None)
    body = await sending
    assert b": heartbeat\n\n" in body
    assert body.endswith(b'data: {"n":2}\n\n')  # what was awaited meanwhile is not lost


async def test_what_fails_at_once_is_an_error_of_http():
    source = Source()
    source.say(Problem(422, "There is no event 7."))
    with pytest.raises(Problem, match="no event 7"):
        await streamed(source.events(), HOME)
    await source.left.wait()


async def test_what_fails_later_is_an_event():
    source = Source()
    source.say(event(1), GraphError("The graph is in knots.", hint="Untie it."))
    body = await sent(await streamed(source.events(), HOME))
    told = (
        b'event: error\ndata: {"error":"GraphError","message":"The graph is in knots. Untie it."}'
    )
    assert told in body
    await source.left.wait()


async def test_no_error_tells_where_the_home_folder_lies():
    source = Source()
    damaged = f"{HOME}/knowledge/handbook/knowledge.sqlite is damaged."
    source.say(event(1), KnowledgeError(damaged, hint=f"rm -r {HOME}/knowledge/handbook"))
    body = await sent(await streamed(source.events(), HOME))
    assert b"knowledge/handbook/knowledge.sqlite is damaged. rm -r knowledge/handbook" in body
    assert str(HOME).encode() not in body


async def test_what_nobody_foresaw_is_told_without_its_text(caplog: pytest.LogCaptureFixture):
    source = Source()
    source.say(event(1), KeyError("/home/somebody/secret"))
    body = await sent(await streamed(source.events(), HOME))
    assert b"secret" not in body
    assert b'event: error\ndata: {"error":"KeyError"' in body
    assert "secret" in caplog.text  # the log has it


async def test_a_client_that_goes_away_leaves_the_events():
    source, gone = Source(), asyncio.Event()
    source.say(event(1))
    sending = asyncio.create_task(sent(await streamed(source.events(), HOME), gone))
    await asyncio.sleep(0.05)
    assert not source.left.is_set()
    gone.set()
    await asyncio.wait_for(sending, 5)
    await asyncio.wait_for(source.left.wait(), 5)


async def test_a_client_that_was_gone_before_the_answer_leaves_them_too():
    source, gone = Source(), asyncio.Event()
    gone.set()
    response = await streamed(source.events(), HOME)
    await sent(response, gone)
    await asyncio.wait_for(source.left.wait(), 5)
