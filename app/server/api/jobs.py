"""Jobs: what goes on after its request was answered, such as reading documents in.

A job runs in a thread of its own kind, of which there are few; it is asked how far it is, or
watched, and goes on when nobody does. It is known while the server runs, and for a while
after it ended.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groundling.errors import GroundlingError
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found, too_busy, without_home

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = Callable[["Job"], dict[str, Any]]
AT_ONCE = 2
MOST = 64  # that are not over
KEPT = 200
_PAUSE = 0.1  # seconds between two frames, so that many small steps are not many frames
_LOG = logging.getLogger("groundling.server.api")


class Cancelled(Exception):
    """Someone does not want the job any more.

    Args:
        report: what it came to until then.
    """

    def __init__(self, report: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.report = report


@dataclass(eq=False)
class Job:
    """One job.

    Args:
        owner: who began it.
        folder: of the knowledge base that it writes to; nobody else may, meanwhile.
        shown: what is told of it beside its progress.
        what: what it is at.
        done: how much of `total` of that.
        report: what it came to.
        error: why it failed.
    """

    owner: str
    folder: str
    shown: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    state: JobState = "waiting"
    what: str = "waiting"
    done: int = 0
    total: int = 0
    report: dict[str, Any] | None = None
    error: str | None = None
    _stop: Literal["", "cancelled", "ending"] = ""
    _watchers: set[asyncio.Event] = field(default_factory=set)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")

    def as_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        return {
            "id": self.id,
            "state": self.state,
            "what": self.what,
            "done": self.done,
            "total": self.total,
            "error": self.error,
            "report": self.report,
            **self.shown,
        }

    @property
    def cancelled(self) -> bool:
        """Whether someone does not want it any more; a server that ends is not meant."""
        return self._stop == "cancelled"

    def tell(self, what: str, done: int, total: int) -> None:
        """Note how far it is; called by its work.

        Raises:
            Cancelled: it is to stop.
        """
        self.what, self.done, self.total = what, done, total
        self._changed()
        if self._stop:
            raise Cancelled

    def cancel(self, why: Literal["cancelled", "ending"] = "cancelled") -> None:
        """Have it stop at its next step."""
        self._stop = self._stop or why

    def end(
        self, state: JobState, report: dict[str, Any] | None = None, error: str | None = None
    ) -> None:
        """Note how it ended."""
        self.report, self.error, self.state = report, error, state
        self._changed()

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what is told of it, at first and whenever that changes, until it is over."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            while not self.over:
                yield self.as_json()
                await changed.wait()
                changed.clear()
                await asyncio.sleep(_PAUSE)
            yield self.as_json()
        finally:
            self._watchers.discard(changed)

    def _changed(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for watcher in self._watchers:
            watcher.set()


class Jobs:
    """The jobs of a server; all but their work happens on the event loop.

    Args:
        home: the home folder, which no message is to name.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._jobs: OrderedDict[uuid.UUID, Job] = OrderedDict()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="groundling-job")

    def writer(self, folder: str) -> Job | None:
        """Return the job that writes to a knowledge base."""
        return next((j for j in self._jobs.values() if j.folder == folder and not j.over), None)

    def check_free(self, folder: str, shown: str) -> None:
        """Make sure that no job writes to a knowledge base.

        Raises:
            Problem: 409, one does.
        """
        if (job := self.writer(folder)) is not None:
            raise Problem(
                409,
                f"Documents are being added to {shown}.",
                hint=f"Wait until job {job.id} has ended, or cancel it.",
            )

    def start(self, person: Person, folder: str, shown: dict[str, Any], work: Work) -> Job:
        """Begin a job.

        Raises:
            Problem: 429, too many wait.
        """
        if sum(not job.over for job in self._jobs.values()) >= MOST:
            raise too_busy(f"{MOST} jobs wait already.", 30)
        job = Job(person.id, folder, shown, asyncio.get_running_loop())
        self._jobs[job.id] = job
        for old in [each for each in self._jobs.values() if each.over][: -KEPT or None]:
            del self._jobs[old.id]
        self._threads.submit(_run, job, work, self._home)
        return job

    def get(self, id: uuid.UUID, person: Person) -> Job:
        """Return a job of a person.

        Raises:
            Problem: 404, there is none of theirs.
        """
        job = self._jobs.get(id)
        if job is None or job.owner != person.id:
            raise not_found(f"job {id}")
        return job

    def of(self, person: Person) -> list[Job]:
        """Return a person's jobs, the newest first."""
        return [job for job in reversed(self._jobs.values()) if job.owner == person.id]

    async def close(self) -> None:
        """Stop all jobs and wait until they have."""
        for job in self._jobs.values():
            job.cancel("ending")
        await asyncio.to_thread(self._threads.shutdown)


def _run(job: Job, work: Work, home: Path) -> None:
    """Do a job's work; whatever comes of it is told of the job."""
    try:
        job.state = "running"
        report = work(job)
    except Cancelled as cancelled:
        job.end("cancelled", cancelled.report)
    except Problem as error:
        job.end("failed", error=error.message)
    except GroundlingError as error:
        told = f"{error} {error.hint}" if error.hint else str(error)
        job.end("failed", error=without_home(told, home))
    except Exception:
        _LOG.exception("A job failed.")
        job.end("failed", error="Something failed inside the server.")
    else:
        job.end("done", report)
