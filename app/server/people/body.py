"""A request's body as it comes in: never longer, and never slower, than allowed."""

from __future__ import annotations

import asyncio
import re
import time

from starlette.types import Message, Receive

from groundling.sections import ServerSettings
from groundling.server.people.heads import Heads
from groundling.server.problems import Problem

SILENCE = 20.0  # seconds without a byte
GRACE = 30.0  # seconds before a body has to have come at the slowest rate
SLOWEST = 4096  # bytes each second, from the beginning on
_UPLOADS = re.compile(r"/api/knowledge/.+/documents/?", re.DOTALL)
_CLOSE = {"Connection": "close"}  # what of the body is on its way is not read


class Body:
    """Passes a body on, and stops where it breaks a limit.

    What breaks it is a `Problem`, raised where the route reads. A route may swallow that, as
    some libraries do; `problem` then tells the middleware, which answers in its place. The
    same way a request is ended whose person may not be here any more.

    Args:
        receive: the server's.
        heads: of the request.
        path: of the request.
        settings: with the limits.

    Raises:
        Problem: 413 or 415, what the headers say is enough to know.
    """

    def __init__(self, receive: Receive, heads: Heads, path: str, settings: ServerSettings) -> None:
        self.problem: Problem | None = None
        self._receive = receive
        self._upload = _UPLOADS.fullmatch(path) is not None
        self._most = settings.upload_bytes if self._upload else settings.body_bytes
        self._got = 0
        self._began = 0.0
        self._done = not heads.has_body
        self._over = asyncio.Event()
        if (heads.length or 0) > self._most:
            raise self._too_large()
        if not self._done:
            self._check_type(heads, path)

    def let_go(self, problem: Problem) -> None:
        """End the request as if its client had gone away.

        Args:
            problem: the answer, where none has begun.
        """
        self.problem = self.problem or problem
        self._over.set()

    async def receive(self) -> Message:
        """Return the next part of the body, or that the client has gone.

        Raises:
            Problem: 413, it is too long; 408, it comes too slowly.
        """
        if self._done:
            return await self._next()
        if self.problem is not None:
            raise self.problem
        if not self._began:
            self._began = time.monotonic()
        try:
            async with asyncio.timeout(SILENCE):
                message = await self._receive()
        except TimeoutError:
            raise self._refuse(f"No byte of the body came for {SILENCE:.0f} seconds.") from None
        if message["type"] != "http.request":
            self._done = True
            return message
        self._got += len(message.get("body", b""))
        if self._got > self._most:
            self.problem = self._too_large()
            raise self.problem
        self._done = not message.get("more_body", False)
        took = time.monotonic() - self._began
        if not self._done and took > GRACE and self._got < SLOWEST * took:
            raise self._refuse(f"The body comes more slowly than {SLOWEST:,} bytes a second.")
        return message

    async def _next(self) -> Message:
        """Return what comes after the body, once there is something."""
        came = asyncio.ensure_future(self._receive())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({came, over}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if over.done() else came.result()
        finally:
            came.cancel()
            over.cancel()

    def _refuse(self, reason: str) -> Problem:
        self.problem = Problem(408, reason, code="too_slow", headers=_CLOSE)
        return self.problem

    def _too_large(self) -> Problem:
        setting = "upload_bytes" if self._upload else "body_bytes"
        return Problem(
            413,
            f"The body is larger than {self._most:,} bytes.",
            hint=f"The setting server.{setting} is the limit.",
            headers=_CLOSE,
        )

    def _check_type(self, heads: Heads, path: str) -> None:
        """Take JSON only: forms of other sites can be sent without the browser asking."""
        if path.startswith("/langsmith/"):
            return  # admins only; its clients send multipart and compressed bodies
        kind = (heads.content_type or "").partition(";")[0].strip().lower()
        if self._upload and kind == "multipart/form-data":
            return
        if kind != "application/json" and not (kind.startswith("application/") and "+json" in kind):
            raise Problem(
                415,
                f"The body is {kind[:100] or 'of no type'}; this takes JSON.",
                hint="Send Content-Type: application/json.",
                code="unsupported_media_type",
                headers=_CLOSE,
            )
