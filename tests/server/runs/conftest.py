"""The real services over a test's own home folder, with a scripted model, without HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from langchain_core.language_models import BaseChatModel

from groundling.graphs import registry
from groundling.home import Home
from groundling.server.metrics import Metrics
from groundling.server.people.people import People
from groundling.server.person import Person, Role
from groundling.server.runs.request import Event, Run, RunRequest
from groundling.server.services import Services
from tests.scripted import ScriptedChat
from tests.server.runs import slow

ANN = Person("ann", Role.MEMBER, "key")
BOB = Person("bob", Role.MEMBER, "key")
Open = Callable[..., AbstractAsyncContextManager[Services]]


@asynccontextmanager
async def opened(scripted: BaseChatModel | None, /, **flags: Any) -> AsyncIterator[Services]:
    """Open the services of the test's home folder."""
    flags["server"] = {"grace": 0.2, **flags.get("server", {})}
    with Home(**flags) as home:
        people = People.open(home.settings)
        try:
            async with Services.open(home, people, Metrics(), scripted) as services:
                yield services
        finally:
            people.close()


@pytest.fixture
def local() -> Iterator[Person]:
    """The local user, as the settings name them."""
    with Home() as home:
        yield Person(home.settings.memory.user, Role.ADMIN, "local")


@pytest.fixture
async def services(home: Path, scripted: ScriptedChat) -> AsyncIterator[Services]:
    """The services, without the guard, and with a scripted model."""
    async with opened(scripted, guard={"enabled": False}) as services:
        yield services


def uuid(run: Run) -> UUID:
    return UUID(run.run_id)


async def told(services: Services, run: Run, person: Person, **options: Any) -> list[Event]:
    """Return all that a run tells."""
    events = cast("Any", services.runs.events(uuid(run), person, **options))
    return [event async for event in events]


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that comes about beside the test."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def slow_graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the registry know a graph whose pace a test sets."""
    monkeypatch.setitem(registry.GRAPHS, "slow", "Counts.")
    monkeypatch.setitem(sys.modules, "groundling.graphs.slow", slow)
    yield
    slow.began.clear()
    slow.gates.clear()


def counting(person: Person, name: str = "a", thread: str | None = "t", **more: Any) -> RunRequest:
    """Ask for a run of the slow graph."""
    options = {
        field: more.pop(field) for field in list(more) if field in RunRequest.__dataclass_fields__
    }
    given: dict[str, Any] = {"if_not_exists": "create", "durability": "async", **options}
    given.setdefault("input", {"name": name, **more})
    return RunRequest(person, "slow", thread_id=thread, **given)
