"""What the routes share: the stores, the threads that use them, and the bounds of a request."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from starlette.requests import Request

from groundling.server.langsmith.errors import busy
from groundling.tracing.feedback import FeedbackBook
from groundling.tracing.store import TraceStore
from groundling.tracing.writer import TraceWriter

if TYPE_CHECKING:
    from groundling.evaluation.datasets import DatasetStore

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 8


@dataclass(frozen=True)
class Limits:
    """How much a client may ask of the server.

    Args:
        body: bytes of one request, after decompression; more is answered 413.
        attachment: bytes of one attachment; a larger one is left out.
        parts: of one multipart request.
        held: bytes of all requests that are being read; further ones wait.
        unwritten: bytes of runs that wait for the disk; further ones wait.
        patience: seconds a client waits for the disk before it is asked to come again.
            LangSmith's client gives up after 10 and then sends everything again.
        silence: seconds without a byte after which a client is thought to be gone.
    """

    body: int = 100_000_000
    attachment: int = 20_000_000
    parts: int = 20_000
    held: int = 256_000_000
    unwritten: int = 32_000_000
    patience: float = 8.0
    silence: float = 30.0


class Service:
    """What the routes work with; `service(request)` finds it.

    Args:
        traces: the runs, for all but storing runs.
        datasets: the data sets.
        writer: stores runs.
        limits: of a request.
    """

    def __init__(
        self, traces: TraceStore, datasets: DatasetStore, writer: TraceWriter, limits: Limits
    ) -> None:
        self.traces = traces
        self.datasets = datasets
        self.writer = writer
        self.limits = limits
        self.feedback = FeedbackBook(traces)
        self.secret = secrets.token_bytes(32)
        self.held = Room(limits.held)
        self.unwritten = Room(limits.unwritten)
        # Not anyio's threads: those end when idle, and each would leave a connection behind.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="groundling-langsmith")

    async def work(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread: all that computes or uses SQLite goes this way."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown()


def service(request: Request) -> Service:
    """Return the service behind the application that a request came to."""
    return cast("Service", request.app.state.service)


class Room:
    """Bytes that requests may hold together; those that do not fit wait in line.

    Args:
        size: in bytes; one request never counts for more.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, wanted: int, patience: float) -> AsyncIterator[None]:
        """Hold bytes while the block lasts.

        Raises:
            HTTPException: 503, none came free within `patience` seconds.
        """
        wanted = min(wanted, self._size)
        if self._waiting or wanted > self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, turn))
            try:
                async with asyncio.timeout(patience):
                    await turn
            except (TimeoutError, asyncio.CancelledError) as error:
                if turn.done() and not turn.cancelled():  # its turn came in the same instant
                    self._free += wanted
                turn.cancel()
                self._next()
                if isinstance(error, TimeoutError):
                    raise busy("More arrives than can be stored.") from None
                raise
        else:
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._next()

    def _next(self) -> None:
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.cancelled():
                if wanted > self._free:
                    return
                self._free -= wanted
                turn.set_result(None)
            self._waiting.popleft()
