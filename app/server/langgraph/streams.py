"""Runs as responses: their events as frames, or their end as JSON.

A stream begins with what the run says first, so that what cannot be begun is an error of
HTTP; what goes wrong later is an event, `error`. While nothing happens a comment, or white
space before the JSON, keeps the connection, and a client that has gone away is noticed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from groundling.server.person import Person
from groundling.server.problems import Problem, told_of
from groundling.server.runs.request import Event, Run
from groundling.server.services import Services
from groundling.server.sse import HEARTBEAT, EventStream, as_json, frame

HEARTBEAT_SECONDS = 15.0
_FIRST_SECONDS = 0.5  # that an answer waits for the first event before it begins without
_LOG = logging.getLogger("groundling.server")


def place(run: Run) -> str:
    """Return the address of a run; one without a thread has one of its own."""
    thread = "" if run.temporary else f"/threads/{run.thread_id}"
    return f"{thread}/runs/{run.run_id}"


def located(run: Run, again: str | None = None) -> dict[str, str]:
    """Return the headers that say where a run is.

    Args:
        run: the run.
        again: where to go on after a broken connection, below the run's own address.
    """
    at = place(run)
    return {"Content-Location": at} | ({"Location": f"{at}/{again}"} if again else {})


def is_resumable(run: Run) -> bool:
    """Tell whether the events of a run are kept."""
    return bool(run.kwargs.get("resumable"))


async def streamed(
    events: AsyncIterator[Event],
    home: Path,
    headers: Mapping[str, str] | None = None,
    *,
    with_ids: bool = False,
    modes: Collection[str] = (),
) -> Response:
    """Answer with events.

    Args:
        events: what is told; leaving the response leaves them.
        home: the home folder; no error tells where it lies.
        headers: of the response.
        with_ids: a client may go on after any of them.
        modes: the stream modes that are wanted; none: all that there are.

    Raises:
        Problem: it cannot be listened to.
    """
    stream = _Stream(events, home, with_ids, _names(modes))
    await stream.begin()
    return _Left(stream.frames(), stream.leave, headers or {})


async def waited(services: Services, run: Run, person: Person, *, cancels: bool) -> Response:
    """Answer with the values that a run ends with.

    Args:
        services: what runs it.
        run: the run.
        person: who waits.
        cancels: the run ends when they go away.
    """
    ending = asyncio.ensure_future(services.runs.wait(UUID(str(run.run_id)), person))
    await asyncio.wait({ending}, timeout=_FIRST_SECONDS)
    if ending.done():
        ending.result()  # what cannot be waited for is an error of HTTP

    async def parts() -> AsyncIterator[bytes]:
        while not ending.done():
            await asyncio.wait({ending}, timeout=HEARTBEAT_SECONDS)
            if not ending.done():
                yield b"\n"
        try:
            yield as_json(ending.result())
        except Exception as error:
            yield as_json({"__error__": _told(error, services.settings.home)})

    def leave() -> None:
        if not ending.done():
            ending.cancel()
            if cancels:
                _soon(_cancel(services, run, person))

    headers = located(run, "join" if is_resumable(run) else None)
    return _Whole(parts(), leave, headers=headers, media_type="application/json")


class _Left(EventStream):
    """A stream that is told when it is left, however that comes about."""

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        leave: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(frames, headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class _Whole(StreamingResponse):
    """The same, of another type of content."""

    def __init__(
        self, parts: AsyncIterator[bytes], leave: Callable[[], None], **options: Any
    ) -> None:
        super().__init__(parts, **options)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class _Stream:
    """Events on their way into frames.

    The next event is awaited in a task of its own, so that a heartbeat does not disturb it.
    """

    def __init__(
        self, events: AsyncIterator[Event], home: Path, with_ids: bool, names: Collection[str]
    ) -> None:
        self._events = events
        self._home = home
        self._with_ids = with_ids
        self._names = names
        self._next = self._ask()

    def _ask(self) -> asyncio.Future[Event | None]:
        return asyncio.ensure_future(anext(self._events, None))

    async def begin(self) -> None:
        """Wait a moment for the first event: what fails at once is no stream."""
        try:
            await asyncio.wait({self._next}, timeout=_FIRST_SECONDS)
            if self._next.done():
                self._next.result()
        except BaseException:
            self.leave()
            raise

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield what is sent."""
        try:
            while True:
                while not self._next.done():
                    await asyncio.wait({self._next}, timeout=HEARTBEAT_SECONDS)
                    if not self._next.done():
                        yield HEARTBEAT
                event = self._next.result()
                if event is None:
                    return
                if not self._names or _kind(event.event) in self._names:
                    id = event.id if self._with_ids else None
                    yield frame(as_json(event.data), event.event, id)
                self._next = self._ask()
        except Exception as error:
            yield frame(as_json(_told(error, self._home)), "error")

    def leave(self) -> None:
        """Leave the events. What that takes happens beside: the caller may be cancelled."""
        _soon(self._close())

    async def _close(self) -> None:
        if not self._next.done():
            self._next.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._next
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


def _names(modes: Collection[str]) -> frozenset[str]:
    """Return the names of events that stream modes give."""
    names = {"messages" if mode == "messages-tuple" else mode for mode in modes}
    return frozenset(names | {"metadata", "error"} if names else ())


def _kind(event: str) -> str:
    """Return the stream mode that an event belongs to: of `messages/partial` and `values|ns`."""
    return event.partition("|")[0].partition("/")[0]


def _told(error: Exception, home: Path) -> dict[str, str]:
    problem = told_of(error, home)
    if problem.status == 500:
        _LOG.exception("A run could not be told of.", exc_info=error)
    hint = f" {problem.hint}" if problem.hint else ""
    name = problem.code if isinstance(error, Problem) else type(error).__name__
    return {"error": name, "message": f"{problem.message}{hint}"}


async def _cancel(services: Services, run: Run, person: Person) -> None:
    with suppress(Problem):
        await services.runs.cancel(UUID(str(run.run_id)), person, wait=False)


_beside: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks only weakly


def _soon(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _beside.add(task)
    task.add_done_callback(_beside.discard)
