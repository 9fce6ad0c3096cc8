"""People of a test's home folder, and their middleware before an application that tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from groundling.server.people.middleware import Admittance
from groundling.server.people.people import People
from groundling.server.person import Role
from groundling.server.run import Served, listening
from groundling.settings import Settings, load


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Counted:
    """What the middleware counts."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def request(self, interface: str, method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((interface, method, status))


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer who was admitted, and how long the body was."""
    request = Request(scope, receive)
    person = scope["state"].get("person")
    length = sum([len(part) async for part in request.stream()])
    shown = None if person is None else [person.id, person.role, person.via]
    await JSONResponse({"person": shown, "length": length})(scope, receive, send)


@dataclass
class Door:
    """The middleware, the people behind it, and ways to knock."""

    people: People
    settings: Settings
    counted: Counted
    app: Admittance

    def client(self, address: str = "http://127.0.0.1:2025", **options: Any) -> httpx.AsyncClient:
        """Return a client in this process."""
        where = options.pop("client", ("127.0.0.1", 40_000))
        transport = httpx.ASGITransport(self.app, client=where)
        return httpx.AsyncClient(transport=transport, base_url=address, **options)

    def key(self, name: str, role: Role = Role.ADMIN, days: float | None = None) -> str:
        """Return a key of a user, whom it makes if there is none."""
        if name not in {user.id for user in self.people.users.list()}:
            self.people.users.add(name, role)
        return self.people.keys.add(name, days=days)[1]

    @contextmanager
    def open(self) -> Iterator[str]:
        """Serve it on a real port; give the address."""
        with listening(_Small(self.app)) as address:
            yield address


class _Small(Served):
    def __init__(self, app: Admittance) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await self._app(scope, receive, send)

    def admit(self, host: str) -> None:
        """Take any."""

    def at(self, address: str) -> AbstractContextManager[None]:
        return nullcontext()

    async def drain(self, seconds: float | None = None) -> None:
        """Have nothing to wait for."""


@pytest.fixture
def clock() -> Clock:
    """The time of keys and sessions."""
    return Clock()


@pytest.fixture
def people(clock: Clock) -> Iterator[People]:
    """The people of the test's home folder."""
    people = People.open(load(), clock)
    yield people
    people.close()


@pytest.fixture
def door(people: People) -> Callable[..., Door]:
    """Return a function that puts the middleware before `tell`, with settings of the server."""

    def make(app: Any = tell, **server: Any) -> Door:
        settings = load({"server": server})
        counted = Counted()
        return Door(people, settings, counted, Admittance(app, people, settings, counted))  # type: ignore[arg-type]

    return make
