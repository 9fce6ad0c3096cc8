"""The whole server on a loopback port, and OpenAI's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk
from openai import OpenAI
from pydantic import Field

from groundling.errors import KnowledgeError
from groundling.home import Home
from groundling.server.application import Application
from tests.scripted import ScriptedChat
from tests.server import live

LEAVE = "# Leave\n\nFull-time employees receive 17 days of paid leave a year.\n"


@dataclass
class Server:
    """A running server."""

    url: str
    application: Application
    home: Home

    @contextmanager
    def client(self, key: str = "unused") -> Iterator[OpenAI]:
        """Make OpenAI's client as a program would have it that knows nothing of Groundling."""
        with OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
            yield client


@contextmanager
def serving(chat: BaseChatModel | None = None, **flags: Any) -> Iterator[Server]:
    """Serve the test's home folder; `flags` are its settings."""
    flags["server"] = {"grace": 2.0, **flags.get("server", {})}
    with Home(**flags) as home, live.serving(home, chat) as running:
        yield Server(running.address, running.app, home)


class Endless(ScriptedChat):
    """Writes until it is stopped, and tells that it was."""

    begun: asyncio.Event = Field(default_factory=asyncio.Event)
    stopped: asyncio.Event = Field(default_factory=asyncio.Event)

    async def _astream(
        self, messages: Any, *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.replies[:] = ["word"]
        [chunk] = self._stream(messages)
        try:
            while True:
                self.begun.set()
                yield chunk
                await asyncio.sleep(0.01)
        finally:
            self.stopped.set()


async def until(event: asyncio.Event) -> None:
    """Wait for an event that another thread's loop sets."""
    for _ in range(1000):
        if event.is_set():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


@pytest.fixture
def server(home: Path, scripted: ScriptedChat) -> Iterator[Server]:
    """A server whose model says what the test enqueues."""
    home.mkdir()
    with serving(scripted) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    """A client of that server."""
    with server.client() as client:
        yield client


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with one document."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    return folder


@pytest.fixture(params=[RuntimeError, KnowledgeError])
def secret_place(
    request: pytest.FixtureRequest, server: Server, scripted: ScriptedChat,
    monkeypatch: pytest.MonkeyPatch,
) -> str:  # fmt: skip
    """Have the model say “Hello there.” and fail; return the folder that its error names."""
    place = str(server.home.settings.home)

    async def breaking(self: ScriptedChat, messages: Any, *_: Any, **__: Any) -> Any:
        for chunk in ScriptedChat._stream(self, messages):
            yield chunk
        raise request.param(f"{place}/knowledge/x is damaged.")

    monkeypatch.setattr(ScriptedChat, "_astream", breaking)
    scripted.enqueue("Hello there.")
    return place
