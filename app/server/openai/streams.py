"""Answers on their way: several at once, kept alive, ended when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from groundling.server.problems import GONE, Problem
from groundling.server.sse import EventStream

T = TypeVar("T")
BEAT_SECONDS = 10.0  # without a word; proxies close a connection after 30 or 60
_closing: set[asyncio.Task[None]] = set()  # asyncio itself does not keep them


async def together(
    sources: Sequence[AsyncIterator[T]], beat: float = BEAT_SECONDS
) -> AsyncGenerator[tuple[int, T] | None]:
    """Yield the pieces of several answers as they come, each with its answer's number.

    Leaving the loop ends all of them.

    Args:
        sources: the answers.
        beat: seconds without a piece after which None is yielded.

    Raises:
        Exception: what the first answer that fails raised.
    """
    came: asyncio.Queue[tuple[int, T] | int | Exception] = asyncio.Queue()

    async def drain(number: int, source: AsyncIterator[T]) -> None:
        try:
            async with aclosing(cast("AsyncGenerator[T]", source)) as pieces:
                async for piece in pieces:
                    came.put_nowait((number, piece))
        except Exception as error:
            came.put_nowait(error)
        else:
            came.put_nowait(number)

    tasks = [asyncio.create_task(drain(n, source)) for n, source in enumerate(sources)]
    try:
        left = len(tasks)
        while left:
            try:
                # Python 3.11's `wait_for` loses a cancellation that comes with a piece.
                async with asyncio.timeout(beat):
                    one = await came.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(one, Exception):
                raise one
            if isinstance(one, int):
                left -= 1
            else:
                yield one
    finally:
        for task in tasks:
            task.cancel()
            _closing.add(task)
            task.add_done_callback(_closing.discard)
        # Unlike `gather`, this does not cancel them again where the wait itself is cancelled
        # again, as anyio does at once: a run that is closing would be left half closed.
        await asyncio.wait(tasks)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for work, which is cancelled when the client goes away; its body has been read.

    Raises:
        Problem: the client is gone.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Problem(GONE, "The client did not wait for the answer.")
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.wait({task, gone})


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Frames(EventStream):
    """A stream whose source is closed with it, also where it was left half way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with aclosing(cast("AsyncGenerator[bytes]", self.body_iterator)):
            await super().__call__(scope, receive, send)


async def begun(request: Request, pieces: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Wait for the first piece, so that what fails before it is an answer of its own.

    Raises:
        Problem: the client is gone.
        Exception: what went wrong before the first piece.
    """
    try:
        first = await unless_gone(request, anext(pieces))
    except BaseException:
        await pieces.aclose()
        raise

    async def all_of_them() -> AsyncGenerator[T]:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return all_of_them()
