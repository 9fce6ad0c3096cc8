"""What a run has told, for those who listen: from the beginning, from now, or after an event.

The latest events are in memory, where one list serves all listeners. Of a resumable run, all
are in SQLite too, and whoever comes late or reads slowly is given them from there. Of others
nothing is kept: the run waits for a listener that is `MOST` events behind, up to `PATIENCE`
seconds; then that listener is told so and left behind. So memory stays bounded whoever listens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import UUID

from groundling.server.problems import Problem
from groundling.server.runs.book import Book
from groundling.server.runs.request import Event
from groundling.server.runs.run_rows import read_events, write_events
from groundling.server.sse import as_json

MOST = 256
PATIENCE = 10.0  # seconds
_PART = 500  # events that are read from SQLite at once


class Log:
    """The events of one run.

    Args:
        run_id: of the run.
        book: where they are kept; None: nowhere.
        first: the place of the next event; above 1 where a run goes on.
    """

    def __init__(self, run_id: UUID, book: Book | None, first: int = 1) -> None:
        self._run_id = str(run_id)
        self._book = book
        self._events: deque[Event] = deque()
        self._next = first
        self._first: Event | None = None  # of this life of the run: `metadata`
        self._listeners: dict[int, int] = {}  # where each has got to, by its number
        self._numbers = 0
        self._unwritten: list[tuple[int, str, bytes]] = []
        self._writing: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.ended = False
        self.awaited = True  # a listener is still to come: what it has not read is kept for it

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def last(self) -> int:
        """The place of the latest event."""
        return self._next - 1

    @property
    def _oldest(self) -> int:
        """The place of the oldest event in memory."""
        return self._next - len(self._events)

    def add(self, event: str, data: Any) -> None:
        """Tell something.

        Args:
            event: its name.
            data: JSON, or a function that makes it, which is called where somebody reads it.
        """
        if self._book is not None and callable(data):
            data = data()
        told = Event(str(self._next), event, data)
        self._first = self._first or told
        self._events.append(told)
        if self._book is not None:
            self._unwritten.append((self._next, event, as_json(data)))
            self._write_soon()
        self._next += 1
        self._trim()
        self._wake()

    async def room(self) -> None:
        """Wait until whoever listens has caught up, as long as patience lasts."""
        if self._book is not None or len(self._events) < MOST:
            return
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while len(self._events) >= MOST and (self._listeners or self.awaited):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                self.awaited = False
                self._listeners = {
                    number: place
                    for number, place in self._listeners.items()
                    if place > self._oldest
                }
                self._trim()
                self._wake()
                return
            await asyncio.sleep(min(left, 0.01))
            self._trim()

    def end(self) -> None:
        """Tell everyone that nothing more comes."""
        self.ended = True
        self.flush()
        self._wake()

    def flush(self) -> None:
        """Hand what is not yet written to the book."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        if self._book is not None and self._unwritten:
            rows, self._unwritten = self._unwritten, []
            self._book.later(partial(write_events, run_id=self._run_id, rows=rows))

    async def follow(self, after: int | None) -> AsyncIterator[Event]:
        """Yield events as they come.

        Args:
            after: go on after this place; None: from the beginning where that is still known,
                else from now on.
        """
        number = self._numbers = self._numbers + 1
        place = 1 if after is None else after + 1
        if after is None and self._book is None and self._oldest > 1:
            place = self._oldest if self.awaited else self._next
        self._listeners[number] = place
        self.awaited = False
        try:
            if after is None and place > 1 and self._first is not None:
                yield self._first
            while True:
                changed = self._changed
                if place < self._oldest:
                    if self._book is None:
                        yield _left_behind()
                        return
                    self.flush()
                    read = partial(read_events, run_id=self._run_id, place=place, limit=_PART)
                    found = await self._book.do(read)
                    place = place if found else self._oldest  # they were deleted meanwhile
                    for event in found:
                        place = int(event.id) + 1
                        yield event
                    continue
                while place < self._next and place >= self._oldest:
                    event = self._read(place)
                    place += 1
                    self._listeners[number] = place
                    yield event
                    if number not in self._listeners:
                        yield _left_behind()
                        return
                if place >= self._next:
                    if self.ended:
                        return
                    await changed.wait()
        finally:
            self._listeners.pop(number, None)

    def _read(self, place: int) -> Event:
        """Return an event that is in memory, its data made into JSON once for all."""
        at = place - self._oldest
        event = self._events[at]
        if callable(event.data):
            event = self._events[at] = event._replace(data=event.data())
        return event

    def _trim(self) -> None:
        if self._book is not None or not (self._listeners or self.awaited):
            keep_from = self._next - MOST
        else:
            keep_from = min(self._listeners.values(), default=0)
        while self._events and self._oldest < keep_from:
            self._events.popleft()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(0.05, self.flush)


def place_of(after: str | None) -> int | None:
    """Read the id of an event.

    Raises:
        Problem: 422, no event has such an id.
    """
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 16):
        raise Problem(
            422,
            f"There is no event {after[:80]} to go on after.",
            hint="Give the id of an event of this run, or none.",
            param="Last-Event-ID",
        )
    return int(after)


def _left_behind() -> Event:
    message = "The stream was read too slowly, and what came meanwhile is not kept."
    return Event("", "error", {"error": "TooSlow", "message": message})
