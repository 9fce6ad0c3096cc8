"""Admits a request to the interfaces, or refuses it, before any of their code sees it.

In this order: the host and origin it names, who sends it, how often they do, what their role
may, and how large its body is. What comes after it finds `scope["state"]["person"]` and
`scope["state"]["request_id"]`. It adds the headers that every answer has, and counts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundling.server.access import interface_of
from groundling.server.people import audit
from groundling.server.people.body import Body
from groundling.server.people.heads import Heads
from groundling.server.people.keys import Holder, Refused
from groundling.server.people.limits import Buckets, Taken, network
from groundling.server.people.origins import Origins
from groundling.server.people.rights import SAFE, role_for
from groundling.server.people.roles import forbidden
from groundling.server.people.sessions import CSRF_HEADER
from groundling.server.person import Person
from groundling.server.problems import GONE, Problem, answer
from groundling.server.run import is_loopback
from groundling.settings import Settings

if TYPE_CHECKING:
    from groundling.server.metrics import Metrics
    from groundling.server.people.people import People

_LOG = logging.getLogger("groundling.server")
_MINUTE = 60
_NOTES = 50  # refusals of one address that are written down at once; then one each minute
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PRIVATE = (b"cache-control", b"no-store")


class Admittance:
    """The middleware; pure ASGI, some 0.1 ms for a request.

    Args:
        app: the interfaces.
        people: who there is.
        settings: of the home folder.
        metrics: counts requests.
    """

    def __init__(self, app: ASGIApp, people: People, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._people = people
        self._settings = settings.server
        self._metrics = metrics
        self._origins = Origins(settings.server)
        each_minute = settings.server.requests_per_minute
        self._buckets = Buckets(each_minute, each_minute / _MINUTE) if each_minute else None
        self._notes = Buckets(_NOTES, 1 / _MINUTE)
        self._background: set[asyncio.Future[None]] = set()
        self._open: dict[str, set[Body]] = {}

    @property
    def present(self) -> set[str]:
        """Whose requests are being answered."""
        return set(self._open)

    def let_go(self, name: str, reason: str) -> None:
        """End someone's requests and streams; what has not been answered is refused."""
        for body in list(self._open.get(name, ())):
            body.let_go(_Unauthorised(reason))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # there are none here
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request = secrets.token_hex(8)
        audit.request_id.set(request)
        scope["state"] = {**scope.get("state", {}), "request_id": request}
        out = _Answer(send, request)
        try:
            await self._admit(scope, receive, out)
        finally:
            took = time.perf_counter() - began
            status = out.status or GONE
            self._metrics.request(interface_of(scope["path"]), scope["method"], status, took)

    async def _admit(self, scope: Scope, receive: Receive, out: _Answer) -> None:
        path = scope["path"]
        body: Body | None = None
        try:
            heads = Heads.read(scope)
            has_users = self._people.required
            origin = self._origins.check(heads, scope["method"], has_users=has_users)
            out.extra += self._origins.headers(origin)
            if origin is not None and scope["method"] == "OPTIONS" and heads.wanted_method:
                await self._origins.preflight()(scope, receive, out.send)
                return
            role = role_for(scope["method"], path)
            person = self._who(scope, heads, origin, has_users=has_users, needed=role is not None)
            self._limit(scope, person, out)
            if person is not None:
                scope["state"]["person"] = person
                if role is not None and not person.role.covers(role):
                    raise forbidden(person, role)
            body = out.body = Body(receive, heads, path, self._settings)
            with self._opened(person, body):
                await self._app(scope, body.receive, out.send)
        except Problem as problem:
            if out.status is not None or (body is not None and problem is not body.problem):
                raise
            self._note(scope, problem)
            await answer(problem, path)(scope, receive, out.send_refusal)
        except Exception:
            if body is None or body.problem is None or out.status is not None:
                raise
            await answer(body.problem, path)(scope, receive, out.send_refusal)
        else:
            if body.problem is not None and out.status is None:
                await answer(body.problem, path)(scope, receive, out.send_refusal)
            elif body.problem is not None:
                await out.finish()

    @contextmanager
    def _opened(self, person: Person | None, body: Body) -> Iterator[None]:
        """Have a request among those of its person while it is answered."""
        if person is None:
            yield
            return
        mine = self._open.setdefault(person.id, set())
        mine.add(body)
        try:
            yield
        finally:
            mine.discard(body)
            if not mine and self._open.get(person.id) is mine:
                del self._open[person.id]

    def _who(
        self, scope: Scope, heads: Heads, origin: str | None, *, has_users: bool, needed: bool
    ) -> Person | None:
        """Find out who sends a request.

        Raises:
            Problem: 400, 401, 403 or 429.
        """
        if not has_users:
            if not is_loopback(self._settings.host) or not is_loopback(_address(scope)):
                raise Problem(
                    401,
                    "This server has no users, and so serves its own machine alone.",
                    hint="On that machine: groundling user add NAME --role admin",
                )
            return self._people.local
        if (key := heads.key) is not None:
            held = self._people.keys.holder(key)
            if isinstance(held, Holder):
                if held.stale:
                    self._later(self._people.keys.used, held.key)
                return Person(held.user, held.role, "key")
            self._refuse(scope, held, needed=needed)
            return None
        # A page of another origin never acts as the one who is logged in here.
        if origin is None and (token := heads.session) is not None:
            session = self._people.sessions.find(token)
            if isinstance(session, Refused):
                self._refuse(scope, session, needed=needed)
                return None
            if needed and scope["method"] not in SAFE and not session.proves(heads.csrf or ""):
                raise Problem(
                    403,
                    f"The header {CSRF_HEADER} is missing or wrong.",
                    hint="GET /api/session tells it.",
                    code="csrf",
                )
            return Person(session.holder.user, session.holder.role, "session")
        if not needed:
            return None
        raise _Anonymous("This request does not say who sends it.")

    def _refuse(self, scope: Scope, refused: Refused, *, needed: bool) -> None:
        """Refuse a key or cookie that is not taken; where none is needed, pass over it."""
        if needed:
            self._people.failures.count(network(_address(scope)))
            raise _Unauthorised(refused.reason)

    def _limit(self, scope: Scope, person: Person | None, out: _Answer) -> None:
        """Count a request, against the person if one is known and else against the address.

        Whoever says who they are is not counted by address: behind a proxy all have the same.

        Raises:
            Problem: 429.
        """
        if self._buckets is None or (person is not None and person.via == "local"):
            return
        name = f"person {person.id}" if person else f"address {network(_address(scope))}"
        taken = self._buckets.take(name)
        out.extra += _rate_headers(self._buckets, taken)
        if not taken.allowed:
            raise Problem(
                429,
                f"More than {self._buckets.most:,} requests came in a minute.",
                hint="The setting server.requests_per_minute is the limit.",
                headers={"Retry-After": str(math.ceil(taken.wait))},
            )

    def _note(self, scope: Scope, problem: Problem) -> None:
        """Write a refusal into the audit log, beside the answer.

        Only so many of one address: nobody is to fill the disk by being refused.
        """
        if problem.status not in (401, 403) or isinstance(problem, _Anonymous):
            return
        if not self._notes.take(network(_address(scope))).allowed:
            return
        person = scope["state"].get("person")
        self._later(
            self._people.log.write,
            person.id if person else "",
            "request.refused",
            f"{scope['method']} {scope['path']}",
            status=problem.status,
            reason=problem.message,
            address=_address(scope),
            request=scope["state"]["request_id"],
        )

    def _later(self, function: object, *args: object, **kwargs: object) -> None:
        """Have something written by a worker; the answer does not wait for it."""

        def work() -> None:
            try:
                function(*args, **kwargs)  # type: ignore[operator]
            except Exception:
                _LOG.exception("people.sqlite could not be written.")

        future = asyncio.get_running_loop().run_in_executor(None, work)
        self._background.add(future)
        future.add_done_callback(self._background.discard)


class _Answer:
    """Sends an answer on, with the headers that all have."""

    def __init__(self, send: Send, request: str) -> None:
        self.status: int | None = None
        self.whole = False
        self.body: Body | None = None
        self.extra: list[tuple[bytes, bytes]] = [(b"x-request-id", request.encode())]
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message of a route; not once the body was refused, which is then answered."""
        if self.status is None and self.body is not None and self.body.problem is not None:
            return
        await self.send_refusal(message)

    async def send_refusal(self, message: Message) -> None:
        """Send a message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            headers += self.extra
            headers += (pair for pair in _HEADERS if pair[0] not in names)
            if _CSP[0] not in names:
                headers.append(_CSP)
            if _PRIVATE[0] not in names:
                headers.append(_PRIVATE)
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.whole = not message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """End an answer that was broken off."""
        if not self.whole:
            await self.send_refusal({"type": "http.response.body", "body": b""})


class _Unauthorised(Problem):
    """A key or cookie is not taken."""

    def __init__(self, message: str) -> None:
        super().__init__(
            401,
            message,
            hint="Send x-api-key: KEY or Authorization: Bearer KEY; "
            "groundling user key add makes one.",
            headers={"WWW-Authenticate": "Bearer"},
        )


class _Anonymous(_Unauthorised):
    """Nothing was sent that says who asks; common, and not worth a line of the log."""


def _rate_headers(buckets: Buckets, taken: Taken) -> list[tuple[bytes, bytes]]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers-10."""
    policy = f'"requests";q={buckets.most};w={_MINUTE}'
    now = f'"requests";r={taken.left};t={math.ceil(taken.wait)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())]


def _address(scope: Scope) -> str:
    """Return the address that a request comes from; one without is of this machine's socket."""
    client = scope.get("client")
    return str(client[0]) if client else "127.0.0.1"
