"""The calls that wait for a child's answers, and what becomes of them when the child dies."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from groundling.errors import EngineBusy, ModelError
from groundling.models.calls import Chunk, Job
from groundling.models.isolation.messages import Begun, Cancel, Fault, FromChild, ToChild, pack
from groundling.models.isolation.process import ChildProcess, log

# A call that was waiting in this many processes that crashed may be why.
MOST_LIVES = 3

Told = Callable[[FromChild | Exception], None]


@dataclass
class _Call:
    """What a caller waits for.

    Args:
        frame: the call as it is sent; again where it had not begun.
        told: hears the answers.
        job: None for a question to the vocabulary.
        begun: whether a forward pass may have run for it.
        lives: processes that it was sent to.
    """

    frame: bytes
    told: Told
    job: Job | None
    begun: bool = False
    lives: int = 0

    @property
    def cancelled(self) -> bool:
        return self.job is not None and self.job.cancelled

    def tell(self, answer: FromChild | Exception) -> None:
        """Pass an answer on; a caller that fails over it is alone with that."""
        try:
            self.told(answer)
        except Exception:
            log.exception("An answer of the model was not taken")

    def end(self, error: Exception) -> None:
        """Say that nothing more comes."""
        self.tell(ModelError("The call was cancelled.") if self.cancelled else copy(error))


class Ledger:
    """Calls, from their submission to their last word; usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._child: ChildProcess | None = None
        self._closed: Exception | None = None

    def add(
        self, message: ToChild, told: Told, job: Job | None = None, most: int | None = None
    ) -> int:
        """Send a call as soon as a child is ready, and return its number.

        Args:
            message: what is asked.
            told: hears the answers, from another thread.
            job: how it is cancelled.
            most: calls that there may be.

        Raises:
            EngineBusy: there are as many already.
            ValueError: the message cannot be sent.
        """
        number = next(self._numbers)
        call = _Call(pack(message, number), told, job)
        with self._lock:
            if self._closed is not None:
                raise copy(self._closed)
            if most is not None and len(self._calls) >= most:
                raise EngineBusy(
                    f"{len(self._calls)} calls are running or waiting for this model.",
                    hint="Try again later, or raise model.queue.",
                )
            self._calls[number] = call
            if self._child is not None:
                call.lives += 1
                self._child.send(call.frame)
        return number

    def cancel(self, number: int) -> None:
        """Pass a cancellation on; a call that no child has ends here."""
        with self._lock:
            call = self._calls.get(number)
            if call is None:
                return
            if self._child is not None:
                self._child.send(pack(Cancel(), number))
                return
            del self._calls[number]
        call.end(ModelError("The call was cancelled."))

    def open(self, child: ChildProcess) -> None:
        """Send everything that waits to a child that is ready."""
        with self._lock:
            self._child = child
            for call in self._calls.values():
                call.lives += 1
                child.send(call.frame)

    def deliver(self, number: int, message: FromChild) -> None:
        """Tell a caller what the child said."""
        with self._lock:
            call = self._calls.get(number)
            if call is None:
                return
            if isinstance(message, Begun):
                call.begun = True
                return
            if not isinstance(message, Chunk) or message.finish_reason is not None:
                del self._calls[number]
        call.tell(message.error() if isinstance(message, Fault) else message)

    def lose(self, error: Exception) -> None:
        """End the calls that had begun in a child that crashed; the others wait for the next."""
        with self._lock:
            self._child = None
            over = self._take(lambda call: call.begun or call.cancelled or call.lives >= MOST_LIVES)
        for call in over:
            call.end(error)

    def close(self, why: Exception) -> None:
        """End every call, and refuse those to come."""
        with self._lock:
            self._child = None
            self._closed = why
            over = self._take(lambda _: True)
        for call in over:
            call.end(why)

    def _take(self, wanted: Callable[[_Call], bool]) -> list[_Call]:
        over = {number: call for number, call in self._calls.items() if wanted(call)}
        for number in over:
            del self._calls[number]
        return list(over.values())


def copy(error: Exception) -> Exception:
    """Return the same error anew: raised in several threads, one would mix their tracebacks."""
    return Fault.of(error).error()
