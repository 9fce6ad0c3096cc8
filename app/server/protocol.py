"""HTTP/1.1 by uvicorn and h11, with an end to patience.

uvicorn closes a connection that is idle after an answer, and waits without end for one that
never asks, or asks a byte at a time (Slowloris, CVE-2007-6750), or never reads what it is
sent. Here each of the three has a deadline. Bodies are read by the application, whose own
middleware bounds them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0  # from a connection, or the first byte of a further request, to its head's end
UNREAD_SECONDS = 120.0  # that a client may leave unread what it asked for
HEAD_BYTES = 64 * 1024


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which gives up on clients that neither ask nor read."""

    head_seconds = HEAD_SECONDS
    unread_seconds = UNREAD_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on; the clock of a request's head is not started again by each byte of it."""
        super().data_received(data)
        if self._answering:
            self._stop_waiting()
        elif self._head is None and not self.transport.is_closing():
            self._await_head()

    def on_response_complete(self) -> None:
        """Go on with a request that came meanwhile, or wait as long as uvicorn waits."""
        super().on_response_complete()
        if self._answering:
            self._stop_waiting()
        elif self.conn.trailing_data[0] and not self.transport.is_closing():
            self._await_head()  # the beginning of a further request came with the one before

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        self._stop_waiting()
        self._stop_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._stop_unread()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in JSON as everything else here."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        body = b'{"detail":"This is not a valid HTTP/1.1 request, or its head is too large."}'
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self.head_seconds, self._give_up)

    def _give_up(self) -> None:
        self._head = None
        if not self._answering and not self.transport.is_closing():
            self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
