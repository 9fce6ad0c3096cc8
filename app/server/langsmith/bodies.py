"""Bodies of requests: let in when there is room, read as they come, worked on in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from groundling.server.langsmith.encodings import Measured, decoder
from groundling.server.langsmith.errors import BadPart, too_large, wrong
from groundling.server.langsmith.service import service
from groundling.server.langsmith.wire import read_json

T = TypeVar("T")

_BLOCK = 256_000  # bytes that are taken to a thread at once
_PATIENCE = 2.0  # seconds that a request waits before it is read
_DRAINED = 4  # times the limit that is read of a request that is too large


class Incoming:
    """A body that is arriving.

    Args:
        request: what it belongs to.
        silence: seconds without a byte after which the client is thought to be gone.
    """

    def __init__(self, request: Request, silence: float) -> None:
        self._request = request
        self._silence = silence
        self._whole = False

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, in blocks worth taking to a thread.

        Raises:
            HTTPException: 408, the client has fallen silent.
            ClientDisconnect: the client is gone.
        """
        gathered: list[bytes] = []
        size = 0
        while not self._whole:
            try:
                async with asyncio.timeout(self._silence):
                    message = await self._request.receive()
            except TimeoutError:
                raise HTTPException(408, f"Nothing came for {self._silence:g} seconds.") from None
            if message["type"] != "http.request":
                if size:
                    yield b"".join(gathered)
                raise ClientDisconnect
            self._whole = not message.get("more_body", False)
            gathered.append(message.get("body", b""))
            size += len(gathered[-1])
            if size >= _BLOCK or (self._whole and size):
                yield b"".join(gathered)
                gathered, size = [], 0

    async def through(self, feed: Callable[[bytes], None], finish: Callable[[], T]) -> T:
        """Take the body to a function, block by block, and then what another one makes of it.

        Both run in a thread; a body of one block goes there once, because the way there and
        back takes longer than what is usually done with it.
        """
        held = service(self._request)
        last = b""
        try:
            async for block in self.blocks():
                before, last = last, block
                if before:
                    await held.work(feed, before)
        except ClientDisconnect:
            await held.work(feed, last)
            raise

        def end() -> T:
            if last:
                feed(last)
            return finish()

        return await held.work(end)

    async def drain(self, most: int) -> None:
        """Read the rest of a body that is refused, so that the client hears why.

        One that is still sending when the connection closes sees only a broken connection,
        and sends everything again.
        """
        async for block in self.blocks():
            most -= len(block)
            if most < 0:
                return


@asynccontextmanager
async def incoming(request: Request) -> AsyncIterator[Incoming]:
    """Let a request's body in when there is room for it, for the length of the block.

    Raises:
        HTTPException: 413, it is too large; 503, there is no room.
    """
    held = service(request)
    limits = held.limits
    body = Incoming(request, limits.silence)
    declared = _number(request, "content-length")
    unpacked = _number(request, "x-pre-compressed-size")
    try:
        if declared is not None and declared > limits.body:
            raise too_large(limits.body)
        async with held.held.take(max(declared or _BLOCK, unpacked or 0), _PATIENCE):
            yield body
    except HTTPException as error:
        if error.status_code == 413:
            await body.drain(limits.body * _DRAINED)
        raise


async def read_body(request: Request) -> Any:
    """Read a whole JSON body.

    Raises:
        HTTPException: 413, 415 or 422, it is too large, packed strangely, or no JSON.
    """
    held = service(request)
    packed = Measured(decoder(request), held.limits.body)
    whole = bytearray()

    def take(block: bytes) -> None:
        for piece in packed.feed(block):
            whole.extend(piece)

    def read() -> Any:
        packed.close()
        try:
            return read_json(bytes(whole))
        except BadPart as error:
            raise BadPart(f"The body is {error}") from error

    async with incoming(request) as body:
        return await body.through(take, read)


async def read_object(request: Request) -> Mapping[str, Any]:
    """Read a JSON body that must be an object.

    Raises:
        HTTPException: as `read_body`.
    """
    body = await read_body(request)
    if not isinstance(body, Mapping):
        raise wrong("The body should be a JSON object.")
    return body


async def read_list(request: Request) -> Sequence[Mapping[str, Any]]:
    """Read a JSON body that must be a list of objects.

    Raises:
        HTTPException: as `read_body`.
    """
    body = await read_body(request)
    if not isinstance(body, list) or not all(isinstance(each, Mapping) for each in body):
        raise wrong("The body should be a list of JSON objects.")
    return body


def _number(request: Request, header: str) -> int | None:
    value = request.headers.get(header, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
