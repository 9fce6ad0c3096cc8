"""A thread that stores runs, so that the program whose runs they are never waits.

What the disk does is not the program's concern: while it is full or locked, patches wait in
memory up to a bound and are then dropped; a damaged file is moved aside and a new one begun.
Every patch that is dropped is counted and the count stored as soon as that is possible.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Self

from groundling.errors import TraceError
from groundling.tracing.run import Patch
from groundling.tracing.store import Redact, TraceStore

LINGER = 0.25  # seconds in which patches gather, so that most runs are written once
BATCH = 512
WAITING_BYTES = 64_000_000
RETRY = 1.0  # seconds
_DAMAGE = ("malformed", "not a database", "file is encrypted")

MAINTAIN_EVERY = 3600.0  # seconds; where there was too much to do at once, sooner
MAINTAIN_SOON = 5.0
FORK_WAIT = 5.0  # seconds

# What may be better in a moment, and is not the fault of what is written.
_OUTSIDE = (sqlite3.OperationalError, TraceError, OSError)

_Part = tuple[Sequence[Patch], Future[None] | None, int]  # with its size in bytes
Tell = Callable[[str], None]
Maintain = Callable[[TraceStore], bool]


class TraceWriter:
    """Writes patches into a store, in batches.

    Args:
        file: the `traces.sqlite`; opened, and made if need be, by the thread.
        redact: see `TraceStore`.
        tell: called with a message for the person, once for each kind of trouble.
        maintain: called with the store after the first batch, and every hour; tells whether
            all was done.
        most: bytes that may wait.
        retry: seconds between attempts while the disk is full or the file locked.
    """

    def __init__(
        self,
        file: Path,
        redact: Redact | None = None,
        *,
        tell: Tell | None = None,
        maintain: Maintain | None = None,
        most: int = WAITING_BYTES,
        retry: float = RETRY,
    ) -> None:
        self.file = file
        self._redact = redact
        self._tell = tell
        self._maintain = maintain
        self._next_maintenance = 0.0
        self._most = most
        self._retry = retry
        self._told: set[str] = set()
        self._begin()
        # A process that forks while SQLite works leaves the child with locks nobody opens.
        os.register_at_fork(
            before=self._pause,
            after_in_parent=self._forked,
            after_in_child=self._begin_anew,
        )
        atexit.register(self.close, 5.0)

    def _pause(self) -> None:
        self._paused = self._working.acquire(timeout=FORK_WAIT)

    def _forked(self) -> None:
        if self._paused:
            self._working.release()

    def _begin_anew(self) -> None:
        """Start with nothing in a forked child, which inherits no thread.

        Its parent's connection must not be closed here: that would end the parent's log.
        """
        self._inherited = self._store
        self._begin()

    def _begin(self) -> None:
        self._changed = Condition()
        self._working = Lock()
        self._paused = False
        self._waiting: deque[_Part] = deque()
        self._bytes = 0
        self._busy = False
        self._urgent = False
        self._ending = False
        self._thread: Thread | None = None
        self._store: TraceStore | None = None
        self.dropped: Counter[str] = Counter()
        self._uncounted: Counter[str] = Counter()

    # what a program calls

    def put(self, patch: Patch) -> None:
        """Store a patch soon; never waits and never raises."""
        size = patch.size
        with self._changed:
            if self._ending or self._bytes + size > self._most:
                self._drop("more runs came than could be written", 1)
                return
            self._enqueue((patch,), None, size)
            if len(self._waiting) == 1 or len(self._waiting) >= BATCH:
                self._changed.notify_all()

    def submit(self, patches: Sequence[Patch]) -> Future[None]:
        """Store patches together; the future is done when they are on the disk.

        Its exception is the reason why they could not be stored.
        """
        future: Future[None] = Future()
        size = sum(patch.size for patch in patches)
        with self._changed:
            if self._ending or self._bytes + size > self._most:
                self._drop("more runs came than could be written", len(patches))
                future.set_exception(
                    TraceError(
                        "More runs wait to be written than may wait.", hint="Send them again later."
                    )
                )
                return future
            self._enqueue(patches, future, size)
            self._urgent = True
            self._changed.notify_all()
        return future

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put so far is stored; tell whether it is."""
        with self._changed:
            if not self._waiting and not self._busy:
                return True
            reached: Future[None] = Future()
            self._enqueue((), reached, 0)
            self._urgent = True
            self._changed.notify_all()
        try:
            return reached.exception(timeout) is None
        except TimeoutError:
            return False

    def close(self, timeout: float = 10.0) -> None:
        """Store what waits, for `timeout` seconds at most, and end the thread.

        Where the disk is full or the like, what waits is dropped: nobody waits for it to mend.
        """
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # the thread

    def _enqueue(self, patches: Sequence[Patch], future: Future[None] | None, size: int) -> None:
        self._waiting.append((patches, future, size))
        self._bytes += size
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="groundling-traces", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                if not self._waiting:
                    break
                if not self._urgent and not self._ending and len(self._waiting) < BATCH:
                    self._changed.wait(LINGER)
                self._urgent = False
                taken = self._take()
                self._busy = True
            with self._working:
                self._store_all(taken)
                self._look_after()
            with self._changed:
                self._busy = False
                self._bytes -= sum(size for _, _, size in taken)
                self._changed.notify_all()
        with self._working:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _take(self) -> list[_Part]:
        """Take what is written next: whole parts, until they have a batch of patches."""
        taken: list[_Part] = []
        patches = 0
        while self._waiting and patches < BATCH:
            taken.append(self._waiting.popleft())
            patches += len(taken[-1][0])
        return taken

    def _store_all(self, taken: Sequence[_Part]) -> None:
        """Write a batch; of one that fails for what it holds, each part by itself."""
        patches = [patch for part, _, _ in taken for patch in part]
        try:
            self._patiently(patches)
        except Exception as error:
            if len(taken) > 1 and not isinstance(error, _OUTSIDE):
                for part in taken:
                    self._store_all([part])
                return
            reason = _reason(error)
            with self._changed:
                self._drop(reason, len(patches))
            self._say(f"Runs are not recorded: {reason}. Everything else goes on.")
            for _, future, _ in taken:
                if future is not None:
                    future.set_exception(error)
        else:
            for _, future, _ in taken:
                if future is not None:
                    future.set_result(None)

    def _patiently(self, patches: Sequence[Patch]) -> None:
        """Write; wait while the disk is full or the file locked and there is room to wait."""
        while True:
            try:
                store = self._opened()
                for patch in patches:
                    if patch.writer is not None:
                        patch.writer = store.writers.number
                store.write(patches)
                self._count(store)
                return
            except (*_OUTSIDE, sqlite3.DatabaseError) as error:
                if _is_damage(error):
                    self._move_aside(error)
                    continue
                if not isinstance(error, _OUTSIDE):
                    raise
                with self._changed:
                    if self._ending or self._bytes > self._most // 2:
                        raise
                self._say(f"Runs wait to be recorded: {_reason(error)}.")
                with self._changed:
                    self._changed.wait(self._retry)

    def _look_after(self) -> None:
        """Do now and then what keeps the file in order; put it off where it cannot be done."""
        if self._maintain is None or time.monotonic() < self._next_maintenance:
            return
        wait = MAINTAIN_EVERY
        try:
            if not self._maintain(self._opened()):
                wait = MAINTAIN_SOON
        except (sqlite3.Error, TraceError, OSError) as error:
            self._say(f"Old runs could not be removed: {_reason(error)}.")
        self._next_maintenance = time.monotonic() + wait

    def _opened(self) -> TraceStore:
        if self._store is None:
            self._store = TraceStore(self.file, self._redact)
        return self._store

    def _count(self, store: TraceStore) -> None:
        with self._changed:
            uncounted, self._uncounted = self._uncounted, Counter()
        for reason, count in uncounted.items():
            store.count_drop(reason, count)

    def _drop(self, reason: str, count: int) -> None:
        self.dropped[reason] += count
        self._uncounted[reason] += count

    def _move_aside(self, error: BaseException) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        aside = move_aside(self.file)
        self._say(f"{self.file} is damaged ({_reason(error)}); it is now {aside}.")

    def _say(self, message: str) -> None:
        if self._tell is not None and message not in self._told:
            self._told.add(message)
            self._tell(message)


def move_aside(file: Path) -> Path:
    """Give a damaged database, with its log, another name; return it."""
    aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("-wal", "-shm", ""):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


def _is_damage(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, sqlite3.DatabaseError) and any(sign in str(cause) for sign in _DAMAGE):
            return True
        cause = cause.__cause__
    return False


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, TraceError) and error.__cause__ else error
    return str(cause) or type(cause).__name__
