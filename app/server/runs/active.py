"""A run that is in memory: it waits, runs, or has just ended."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from groundling.server.runs.admission import Ticket
from groundling.server.runs.converting import Converter
from groundling.server.runs.log import Log
from groundling.server.runs.request import Run, RunRequest
from groundling.server.runs.withholding import Known, Withholding

Reason = Literal["interrupt", "rollback", "ending", "left"]


class Active:
    """A run, and what happens with it.

    Args:
        request: what was asked.
        run: what is kept and shown of it.
        log: what it tells.
        ticket: its claim to a place.
        attempt: 1, or more where a server was killed in the middle.
        goes_on: it begins at its thread's latest checkpoint, not with its input.
    """

    def __init__(
        self,
        request: RunRequest,
        run: Run,
        log: Log,
        ticket: Ticket,
        attempt: int = 1,
        goes_on: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.run = run
        self.log = log
        self.attempt = attempt
        self.goes_on = goes_on
        self.turn: asyncio.Future[None] = loop.create_future()  # of its thread
        self.ended = asyncio.Event()
        self.ticket = ticket
        self.work: asyncio.Task[None] | None = None
        self.life: asyncio.Task[None] | None = None
        self.reason: Reason | None = None  # why it was cancelled
        self.asked = loop.time()
        self.began: float | None = None  # when it had its place; seconds of the loop's clock
        self.graph: Any = None
        self.known: Known | None = None  # where it goes on: what was answered before it
        self.withholding: Withholding | None = None
        self.convert = Converter()
        self.values: Any = None  # the latest, as the graph has them, that may be shown
        self.result: Any = None  # what `wait` gives, once it has ended

    def cancel(self, reason: Reason) -> None:
        """Stop it within a token; a second reason counts only where it undoes more."""
        if self.reason is None or reason == "rollback":
            self.reason = reason
        if self.work is not None and not self.ended.is_set():
            self.work.cancel()
