"""What happened to every call of an engine: none may be lost, none may end twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from groundling.models.calls import Answer, Choice, Chunk, Job, ModelEngine, Request, Sink, Weights


class Ledger:
    """Write down how each call that is submitted to an engine ends.

    Args:
        engine: whose `submit` is watched from now on.
    """

    def __init__(self, engine: ModelEngine) -> None:
        self.submitted = 0
        self.endings: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.late = 0
        self._open: dict[int, str] = {}
        self._lock = threading.Lock()
        self._submit: Callable[[Request | Choice, Sink], Job] = engine.submit
        engine.submit = self.submit  # type: ignore[method-assign]

    @property
    def lost(self) -> list[str]:
        """Calls that have not ended."""
        with self._lock:
            return list(self._open.values())

    def submit(self, request: Request | Choice, sink: Sink) -> Job:
        """Submit a call and follow it to its end."""
        with self._lock:
            number = self.submitted
            self.submitted += 1
            self._open[number] = f"{type(request).__name__} of {len(request.tokens)} tokens"

        def note(answer: Answer) -> None:
            ending = ending_of(answer)
            with self._lock:
                if number not in self._open:
                    self.late += 1
                elif ending is not None:
                    del self._open[number]
                    self.endings[ending] += 1
                    if ending == "error":
                        self.errors[f"{type(answer).__name__}: {answer}"[:120]] += 1
            sink(answer)

        try:
            return self._submit(request, note)
        except BaseException:
            with self._lock:
                del self._open[number]
                self.endings["refused"] += 1
            raise

    def settle(self, seconds: float) -> None:
        """Wait until every call has ended, but no longer than that."""
        deadline = time.monotonic() + seconds
        while self.lost and time.monotonic() < deadline:
            time.sleep(0.05)


def ending_of(answer: Answer) -> str | None:
    """Name the ending that an answer is; None where more will come."""
    if isinstance(answer, Chunk):
        return None if answer.finish_reason is None else "finished"
    if isinstance(answer, Weights):
        return "finished"
    return "cancelled" if "cancelled" in str(answer) else "error"
