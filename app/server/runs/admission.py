"""Who may run, who waits, and who is told to come again: fair among people, and bounded.

    async with admission.place(person.id):
        …

At most `runs` places are taken at once and at most `queue` wait. Free places go to people in
turn, and to each person's runs in the order they came. While others wait, a person has at most
`per_person` places; who has that many of both may take only the first half of the queue, and
none of it while others wait: a place to wait is left for those who have asked for little.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from groundling.server.problems import Problem, too_busy

_LONGEST = 120  # seconds that anyone is told to wait before asking again
_WEIGHT = 0.2  # of the newest run, in the mean of how long runs take


class Ticket:
    """One claim to a place. It counts as waiting from the start, and queues from `take` on."""

    def __init__(self, admission: Admission, person: str) -> None:
        self._admission = admission
        self.person = person
        self.granted: asyncio.Future[None] | None = None
        self.began: float | None = None
        self.released = False

    async def take(self) -> None:
        """Wait for a place. Cancelled while waiting, the claim is given up.

        Raises:
            CancelledError: it was given up, here or before.
        """
        if self.released:
            raise asyncio.CancelledError
        self.granted = asyncio.get_running_loop().create_future()
        self._admission._queue(self)
        try:
            await self.granted
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give back the place, or the claim to one; a second call does nothing."""
        if not self.released:
            self.released = True
            self._admission._gone(self)


class Admission:
    """The places there are. It belongs to one event loop.

    Args:
        runs: places.
        queue: claims that may wait for one.
        per_person: see above.
    """

    def __init__(self, runs: int, queue: int, per_person: int) -> None:
        self.runs = runs
        self.queue = queue
        self.per_person = per_person
        self.closed = False
        self.waiting = 0
        self.running = 0
        self._waits: dict[str, int] = {}
        self._runs: dict[str, int] = {}
        # In the order of whose turn is next; only people who queue.
        self._turns: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._seconds = 2.0

    @asynccontextmanager
    async def place(self, person: str) -> AsyncIterator[None]:
        """Have a place while the block lasts.

        Raises:
            Problem: 429, as many wait as may wait; 503, the server ends.
        """
        ticket = self.ticket(person)
        try:
            await ticket.take()
            yield
        finally:
            ticket.release()

    def ticket(self, person: str, *, always: bool = False) -> Ticket:
        """Claim a place.

        Args:
            person: for whom.
            always: also where the queue is full: it was promised before.

        Raises:
            Problem: as `place`.
        """
        if not always:
            self._refuse(person)
        self.waiting += 1
        self._waits[person] = self._waits.get(person, 0) + 1
        return Ticket(self, person)

    def close(self) -> None:
        """Let nobody in any more; who has a place or waits for one keeps it."""
        self.closed = True

    def retry_after(self) -> int:
        """Return in how many seconds a place to wait may be free, by how long runs have taken."""
        rounds = (self.waiting + 1) / self.runs
        return max(1, min(_LONGEST, math.ceil(rounds * self._seconds)))

    def _refuse(self, person: str) -> None:
        if self.closed:
            raise ending()
        if self.running + self.waiting < self.runs:
            return
        mine = self._waits.get(person, 0)
        heavy = mine + self._runs.get(person, 0) >= self.per_person
        room = self.queue
        if heavy:
            room = 0 if self.waiting > mine else self.queue // 2
        if self.waiting >= room + max(0, self.runs - self.running):
            who = "You have" if heavy else "The server has"
            raise too_busy(f"{who} as many runs as may wait.", self.retry_after())

    def _queue(self, ticket: Ticket) -> None:
        self._turns.setdefault(ticket.person, deque()).append(ticket)
        self._grant()

    def _gone(self, ticket: Ticket) -> None:
        if ticket.began is not None:
            self.running -= 1
            _less(self._runs, ticket.person)
            self._seconds += _WEIGHT * (monotonic() - ticket.began - self._seconds)
        else:
            self.waiting -= 1
            _less(self._waits, ticket.person)
            queued = self._turns.get(ticket.person)
            if queued is not None and ticket in queued:
                queued.remove(ticket)
                if not queued:
                    del self._turns[ticket.person]
            if ticket.granted is not None:
                ticket.granted.cancel()  # `take` need not wait any longer
        self._grant()

    def _grant(self) -> None:
        while self.running < self.runs and (person := self._next()) is not None:
            queued = self._turns.pop(person)
            ticket = queued.popleft()
            if queued:
                self._turns[person] = queued  # at the end: the others come first
            assert ticket.granted is not None
            self.waiting -= 1
            _less(self._waits, person)
            if ticket.granted.done():  # cancelled, and not yet told
                ticket.released = True
                continue
            self.running += 1
            self._runs[person] = self._runs.get(person, 0) + 1
            ticket.began = monotonic()
            ticket.granted.set_result(None)

    def _next(self) -> str | None:
        """Return whose turn it is: who has `per_person` places comes after all who have less."""
        for person in self._turns:
            if self._runs.get(person, 0) < self.per_person:
                return person
        return next(iter(self._turns), None)


def ending() -> Problem:
    """Say that the server takes nothing new."""
    return Problem(503, "The server is ending.", headers={"Retry-After": "5"})


def _less(counts: dict[str, int], person: str) -> None:
    counts[person] -= 1
    if not counts[person]:
        del counts[person]
