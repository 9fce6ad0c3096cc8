"""Whoever is disabled or removed has nothing going on any more, whatever it was."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from groundling.server.people.people import People
from groundling.server.person import Role
from groundling.settings import load
from tests.scripted import ScriptedChat
from tests.server.live import Live, serving

MODEL = "qwen2.5-coder-1.5b"
SAID = {"messages": [{"role": "user", "content": "Go on and on."}]}
ASKED = {"assistant_id": "ask", "input": SAID, "stream_mode": ["messages-tuple"]}
CHAT = {"model": MODEL, **SAID}


class Endless(ScriptedChat):
    """Writes until it is stopped; it knows how many answers it is writing."""

    writing: list[int] = Field(default_factory=list)

    async def _astream(
        self, messages: Any, *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.writing.append(1)
        try:
            while True:
                yield ChatGenerationChunk(message=AIMessageChunk(content="word "))
                await asyncio.sleep(0.02)
        finally:
            self.writing.pop()


@pytest.fixture
def model() -> Endless:
    return Endless()


@pytest.fixture
def live(model: Endless) -> Iterator[Live]:
    limits = {"runs": 8, "per_person": 8, "requests_per_minute": 0}
    with serving(model=model, server=limits, guard={"enabled": False}) as live:
        yield live


@pytest.fixture
def keys(live: Live) -> dict[str, str]:
    people = live.app.people
    roles = {"root": Role.ADMIN, "ann": Role.MEMBER, "bob": Role.MEMBER}
    for name, role in roles.items():
        people.users.add(name, role)
    return {name: people.keys.add(name)[1] for name in roles}


@contextmanager
def elsewhere() -> Iterator[People]:
    """Open the people as the command line does, beside the server."""
    people = People.open(load())
    try:
        yield people
    finally:
        people.close()


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)


class Reader(threading.Thread):
    """Asks, and reads the answer to its end."""

    def __init__(self, live: Live, key: str, method: str, path: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self.client = live.client(headers={"x-api-key": key})
        self.asking = (method, path, options)
        self.status = 0
        self.error: Exception | None = None
        self.read = b""
        self.start()

    def run(self) -> None:
        method, path, options = self.asking
        try:
            with self.client.stream(method, path, **options) as answer:
                self.status = answer.status_code
                for part in answer.iter_bytes():
                    self.read += part
        except Exception as error:
            self.error = error
        finally:
            self.client.close()


def switched_off(name: str, _: httpx.Client) -> None:
    with elsewhere() as people:
        people.users.change(name, disabled=True)


def removed(name: str, _: httpx.Client) -> None:
    with elsewhere() as people:
        people.users.remove(name)


def purged(name: str, root: httpx.Client) -> None:
    assert root.delete(f"/api/users/{name}?purge=true").json()["purged"] is True


@pytest.mark.parametrize("leave", [switched_off, removed, purged])
def test_runs_streams_and_calls_end(
    live: Live,
    keys: dict[str, str],
    model: Endless,
    leave: Callable[[str, httpx.Client], None],
    caplog: pytest.LogCaptureFixture,
):
    ann = live.client(headers={"x-api-key": keys["ann"]})
    threads = [ann.post("/threads", json={}).json()["thread_id"] for _ in range(4)]
    background = ann.post(f"/threads/{threads[0]}/runs", json=ASKED).json()["run_id"]
    goes_on = {**ASKED, "on_disconnect": "continue"}
    streams = [
        Reader(live, keys["ann"], "POST", f"/threads/{threads[1]}/runs/stream", json=goes_on),
        Reader(live, keys["ann"], "GET", f"/threads/{threads[2]}/stream"),
        Reader(live, keys["ann"], "POST", f"/threads/{threads[3]}/runs/wait", json=ASKED),
        Reader(live, keys["ann"], "POST", "/v1/chat/completions", json={**CHAT, "stream": True}),
    ]
    waits = Reader(live, keys["ann"], "POST", "/v1/chat/completions", json=CHAT)
    bobs = Reader(live, keys["bob"], "POST", "/v1/chat/completions", json={**CHAT, "stream": True})
    until(lambda: len(model.writing) == 6 and all(each.status for each in streams))

    root = live.client(headers={"x-api-key": keys["root"]})
    leave("ann", root)
    for each in [*streams, waits]:
        each.join(20)
        assert not each.is_alive(), each.asking
        assert each.error is None, (each.asking, each.error)
    assert [each.status for each in streams] == [200] * 4
    assert waits.status == 401
    assert b"ann" in waits.read
    until(lambda: len(model.writing) == 1 and not live.services.runs.present)
    assert bobs.is_alive()
    if leave is not purged:
        assert live.services.runs._recent[background].run.status == "interrupted"
    assert ann.get("/threads").status_code == 401
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    switched_off("bob", root)
    bobs.join(20)
    assert model.writing == []
    ann.close()
    root.close()


def test_the_local_user_goes_on_without_users(live: Live, model: Endless):
    people, name = live.app.people, live.app.people.local.id
    people.users.add(name, Role.ADMIN)
    people.users.remove(name)
    stream = Reader(live, "", "POST", "/v1/chat/completions", json={**CHAT, "stream": True})
    until(lambda: len(model.writing) == 1)
    time.sleep(1.5)
    assert (stream.is_alive(), len(model.writing)) == (True, 1)
    with live.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=CHAT, timeout=0.5)
