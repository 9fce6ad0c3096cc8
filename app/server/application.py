"""The whole server as one ASGI application.

    serve(Application(home), host="127.0.0.1", port=2025)     # groundling.server.run

It answers `/health`, and shows the page, at once. Reading code, opening files and loading the
model go on beside it: other requests wait for the first two, answers of the model for the
third, and `/ready` tells how far it is. The interfaces:

    /assistants /threads /runs /store …   LangGraph's       groundling.server.langgraph
    /v1/…                                 OpenAI's          groundling.server.openai
    /mcp                                  MCP's             groundling.server.mcp
    /langsmith/…                          LangSmith's       groundling.server.langsmith
    /api/…                                Groundling's own  groundling.server.api
    /                                     the page          groundling.server.page
    /health /ready /metrics               for who runs it   here
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from groundling.errors import ModelNotFound, SettingsError
from groundling.server import page
from groundling.server.access import Access
from groundling.server.interfaces import HANDLERS
from groundling.server.lease import lease
from groundling.server.logs import note
from groundling.server.metrics import Metrics
from groundling.server.people.middleware import Admittance
from groundling.server.people.people import People
from groundling.server.problems import Problem, answer, told_of
from groundling.server.run import Served, is_loopback

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.home import Home
    from groundling.server.services import Services

_LOG = logging.getLogger("groundling.server")
_PATIENCE = 60.0  # seconds that a request waits for the server to open
_LOOK_SECONDS = 1.0  # from when a user is disabled or removed until what they run is stopped
_LOOK_AGAIN = 3.0  # seconds until a missing model is looked for once more
State = Literal["opening", "loading", "ready", "no model", "failed", "ending"]
_SAID: dict[State, str] = {
    "loading": "The server is open; the model is being read.",
    "ready": "The server is ready.",
    "no model": "The server has no model yet.",
    "failed": "The server cannot answer.",
    "ending": "The server ends; running answers may finish.",
}


class Application(Served):
    """The server's application; its lifespan opens and closes everything.

    Args:
        home: the home folder that is served.
        model: answers instead of the configured one.
        load_model: read the model's weights beside the start, not at the first question.
    """

    services: Services

    def __init__(
        self, home: Home, model: BaseChatModel | None = None, *, load_model: bool = True
    ) -> None:
        self.home = home
        self.state: State = "opening"
        self.reason: str | None = None
        self.hint: str | None = None
        self.metrics = Metrics()
        self.people = People.open(home.settings)
        self.tell: Callable[[State, dict[str, Any]], object] | None = None
        self._model = model
        self._load_model = load_model and model is None
        self._began = time.monotonic()
        self._opened = asyncio.Event()
        self._inner: ASGIApp | None = None
        self._page = Starlette(routes=page.ROUTES, exception_handlers=HANDLERS)
        self._door = Admittance(self._route, self.people, home.settings, self.metrics)
        self._outer: ASGIApp = Access(self._door)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or live through the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] in ("/health", "/ready"):
            await self._tell(scope["path"])(scope, receive, send)
        else:
            await self._outer(scope, receive, send)

    # How it is served; see `Served`.

    def admit(self, host: str) -> None:
        """Let other machines in only where everybody has to say who they are.

        A further name says that they come, too, through a proxy on this one.
        """
        if self.people.required:
            return
        names = self.home.settings.server.names
        if not is_loopback(host) or names:
            where = f"Under the name {names[0]}" if is_loopback(host) else f"On {host}"
            raise SettingsError(
                f"{where} other machines could read and change everything here.",
                hint="Make a user first: groundling user add NAME --role admin; or bind 127.0.0.1.",
            )

    def at(self, address: str) -> AbstractContextManager[None]:
        """Have the home folder for oneself."""
        return lease(self.home.settings.home, address)

    async def drain(self, seconds: float | None = None) -> None:
        """Take no new runs, and wait for those that run, as long as `server.grace` says."""
        grace = self.home.settings.server.grace if seconds is None else seconds
        self._become("ending")
        if (services := getattr(self, "services", None)) is not None:
            await services.runs.drain(grace)

    # Health

    def _become(self, state: State, error: Exception | None = None) -> None:
        if self.state == "ending":
            return
        self.state, self.reason, self.hint = state, None, None
        if error is not None:
            told = told_of(error, self.home.settings.home)
            self.reason, self.hint = told.message, told.hint
        seconds = round(time.monotonic() - self._began, 3)
        _LOG.info(_SAID[state], extra={"fields": {"seconds": seconds, **self._why()}})
        if self.tell is not None:
            self.tell(state, self._why())

    def _why(self) -> dict[str, Any]:
        return {k: v for k, v in (("reason", self.reason), ("hint", self.hint)) if v}

    def _tell(self, path: str) -> Response:
        if path == "/health":
            return JSONResponse({"status": "ok"})
        said = {"status": self.state, "seconds": round(time.monotonic() - self._began, 3)}
        ready = self.state == "ready"
        headers = None if ready else {"Retry-After": "2"}
        return JSONResponse(said | self._why(), 200 if ready else 503, headers=headers)

    # Requests

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an admitted request on, once there is something to pass it to."""
        path, state = scope["path"], scope["state"]
        person = state.get("person")  # who loads the page need not say who they are
        note(request=state.get("request_id"), **({"person": person.id} if person else {}))
        if path == "/metrics":  # an admin's: behind a proxy of this machine everybody is local
            await self.metrics.response(Request(scope))(scope, receive, send)
            return
        if self._inner is None and _is_page(path):
            await self._page(scope, receive, send)
            return
        if not self._opened.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._opened.wait()
        if self._inner is None:
            reason = self.reason or "The server is still opening."
            problem = Problem(503, reason, hint=self.hint, headers={"Retry-After": "2"})
            await answer(problem, path)(scope, receive, send)
            return
        await self._inner(scope, receive, send)

    # The lifespan

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        life = asyncio.create_task(self._open_and_wait(), name="groundling-server")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        life.cancel()
        try:
            await life
        except asyncio.CancelledError:
            await send({"type": "lifespan.shutdown.complete"})
        except Exception as error:
            _LOG.exception("The server did not end in order.")
            await send({"type": "lifespan.shutdown.failed", "message": type(error).__name__})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _open_and_wait(self) -> None:
        """Open everything, stay open until cancelled, close in the opposite order."""
        async with AsyncExitStack() as stack:
            stack.callback(self.people.close)
            try:
                self._inner = await stack.enter_async_context(self._open())
            except Exception as error:
                self._become("failed", error)
                _LOG.exception("The server could not be opened.")
                self._opened.set()
            else:
                self._become("loading")
                self._opened.set()
                await self._load()
            await asyncio.Event().wait()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[ASGIApp]:
        read = await asyncio.to_thread(_read_code)
        async with AsyncExitStack() as stack:
            stack.enter_context(read.counting(self.metrics))
            self.services = await stack.enter_async_context(
                read.Services.open(self.home, self.people, self.metrics, self._model)
            )
            inner = await asyncio.to_thread(read.interfaces, self.services)
            await stack.enter_async_context(inner.router.lifespan_context(inner))
            inner.state.server = self
            watching = asyncio.create_task(self._watch(), name="groundling-people")
            stack.callback(watching.cancel)
            yield inner

    def let_go(self, name: str) -> None:
        """Stop what a person has going on, if they are disabled or removed."""
        if (reason := self.people.gone(name)) is not None:
            self.services.runs.stop(name)
            self._door.let_go(name, reason)

    async def _watch(self) -> None:
        """Let go of people whom the command line, beside the server, disables or removes."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                for name in self._door.present | self.services.runs.present:
                    self.let_go(name)
            except Exception:
                _LOG.exception("It could not be looked up who may be here.")

    async def _load(self) -> None:
        """Read the model's weights; one that is missing may be fetched meanwhile."""
        while self._load_model:
            try:
                await asyncio.to_thread(_warm, self.home)
                break
            except ModelNotFound as error:
                if self.state != "no model":
                    self._become("no model", error)
                await asyncio.sleep(_LOOK_AGAIN)
            except Exception as error:
                self._become("failed", error)
                _LOG.exception("The model could not be loaded.")
                return
        self._become("ready")


def _is_page(path: str) -> bool:
    return path in ("/", "/favicon.ico") or path.startswith("/page/")


class _Code:
    """What takes long to import, that which the services import when they open with it."""

    def __init__(self) -> None:
        import groundling.memory.threads
        import groundling.server.runs.runs
        import groundling.tracing.attach  # noqa: F401
        from groundling.server.counting import counting
        from groundling.server.interfaces import interfaces
        from groundling.server.services import Services

        self.counting, self.interfaces, self.Services = counting, interfaces, Services


def _read_code() -> _Code:
    """Import what takes long to import; run in a thread."""
    return _Code()


def _warm(home: Home) -> None:
    """Have the model's weights and the embedder read."""
    home.model.get_num_tokens("ready?")
    with suppress(ModelNotFound):  # documents are then found by words
        _ = home.embedder
