"""Everything that runs a graph for a client goes through here.

    run = await runs.start(RunRequest(person, "chat", {"question": "…"}, thread_id=thread))
    async for event in runs.events(run.run_id, person):
        …
    values = await runs.wait(run.run_id, person)

Runs of one thread come one after the other; how many go on at once, and who waits, is
`Admission`'s. A run is in memory while it waits and runs, and a little longer; what is asked
of it later is answered from `server.sqlite`.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import UUID, uuid4

from groundling.server.person import Person
from groundling.server.problems import Problem, not_found
from groundling.server.runs import checkpoints, run_rows
from groundling.server.runs.active import Active
from groundling.server.runs.admission import Admission, ending
from groundling.server.runs.assistants import AssistantBook, default_id
from groundling.server.runs.book import Book, now
from groundling.server.runs.checking import Graph, check_nodes, check_shape, goes_on
from groundling.server.runs.executor import Executor
from groundling.server.runs.finishing import Finisher
from groundling.server.runs.log import Log, place_of
from groundling.server.runs.recovery import recover, saved
from groundling.server.runs.request import Event, Run, RunRequest
from groundling.server.runs.shown import kwargs_of, shown_metadata
from groundling.server.runs.thread_rows import ThreadRow
from groundling.server.runs.threads import ThreadBook
from groundling.server.runs.withholding import Known

if TYPE_CHECKING:
    from groundling.server.services import Services

_LOG = logging.getLogger("groundling.server")
_KEPT = 256  # ended runs that stay in memory
_SWEEP_SECONDS = 3600.0
Action = Literal["interrupt", "rollback"]


class Runs:
    """The runs of everyone; `open` is the way to make one.

    Args:
        services: what they work with.
        book: where they are kept.
    """

    def __init__(self, services: Services, book: Book) -> None:
        limits = services.settings.server
        self._services = services
        self._book = book
        self._active: dict[str, Active] = {}
        self._recent: OrderedDict[str, Active] = OrderedDict()
        self._lines: dict[str, builtins.list[Active]] = {}  # of each thread, who is next
        self.admission = Admission(limits.runs, limits.queue, limits.per_person)
        self.threads = ThreadBook(services, book, lambda thread: thread in self._lines, self._known)
        self.assistants = AssistantBook(services, book)
        self._executor = Executor(services)
        self._finisher = Finisher(services, book, self.threads, self._executor)
        self._streams = 0
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, services: Services) -> AsyncIterator[Self]:
        """Open the runs of a home folder.

        What a killed server left behind is taken up: background runs go on, others are marked.
        At the end of the block running ones have `server.grace` seconds to finish.
        """
        book = await services.work(Book.open, services.settings.server_path)
        runs = cls(services, book)
        try:
            await recover(runs, services, book)
            services.metrics.watch(
                lambda: runs.admission.waiting,
                lambda: runs.admission.running,
                lambda: runs._streams,
            )
            runs._sweeping = asyncio.create_task(runs._sweep(), name="groundling-runs-sweep")
            yield runs
        finally:
            if runs._sweeping is not None:
                runs._sweeping.cancel()
            await runs.drain(services.settings.server.grace)
            await runs._finisher.close()
            await asyncio.to_thread(book.close)

    # Beginning

    async def start(self, request: RunRequest) -> Run:
        """Begin a run, or put it in line behind those of its thread.

        Raises:
            Problem: 404, no such thread, checkpoint or assistant's graph; 409, the thread has a
                run, or there is one of that id; 422, something asked for is impossible; 429, as
                many wait as may wait; 503, the server is ending.
            GroundlingError: the graph cannot be made.
        """
        check_shape(request)
        if self.admission.closed:
            raise ending()
        graph = await self._executor.graph(request)
        check_nodes(request, graph)
        thread_id = request.thread_id or str(uuid4())
        if request.thread_id is not None:
            await self._check_thread(request)
        run_id = str(request.run_id)
        if run_id in self._active or run_id in self._recent:
            raise Problem(409, f"There is a run {run_id} already.")
        present = list(self._lines.get(thread_id, ()))
        if present and request.multitask == "reject":
            raise Problem(
                409,
                f"Thread {thread_id} has a run already.",
                hint="Wait for it or cancel it, or choose another multitask_strategy.",
            )
        run = _run_of(request, thread_id)
        keep = saved(request) if request.background else None
        active = self._enter(request, run, graph)
        if request.multitask in ("interrupt", "rollback"):
            for other in present:
                other.cancel("rollback" if request.multitask == "rollback" else "interrupt")
        write = partial(run_rows.insert, run=run, request=keep)
        if not request.background:
            self._book.later(write)
            return run
        try:
            await self._book.do(write)
        except Exception:
            active.cancel("rollback")
            raise
        return run

    def _enter(
        self,
        request: RunRequest,
        run: Run,
        graph: Graph,
        *,
        attempt: int = 1,
        first: int = 1,
        goes_on: bool = False,
        always: bool = False,
    ) -> Active:
        """Put a run into its line; without a break, so that nobody comes between."""
        ticket = self.admission.ticket(request.person.id, always=always)
        log = Log(request.run_id, self._book if request.resumable else None, first)
        active = Active(request, run, log, ticket, attempt, goes_on)
        active.graph = graph
        log.awaited = not request.background and attempt == 1
        line = self._lines.setdefault(run.thread_id, [])
        line.append(active)
        if line[0] is active:
            active.turn.set_result(None)
        self._active[run.run_id] = active
        active.work = asyncio.create_task(self._work(active), name=f"run {run.run_id}")
        active.life = asyncio.create_task(self._live(active), name=f"life of run {run.run_id}")
        return active

    async def again(
        self, request: RunRequest, run: Run, *, attempt: int, first: int, goes_on: bool
    ) -> None:
        """Begin a run that a killed server has left. Raises as `start`.

        Args:
            attempt: which one it is.
            first: the place of its next event.
            goes_on: at its latest checkpoint, not with its input.
        """
        graph = await self._executor.graph(request)
        known = None
        if goes_on and self._executor.is_guarded(graph):
            known = await checkpoints.known_before(
                self._services.threads, run.thread_id, run.run_id
            )
        active = self._enter(
            request, run, graph, attempt=attempt, first=first, goes_on=goes_on, always=True
        )
        active.known = known

    async def _check_thread(self, request: RunRequest) -> None:
        """Make sure that the thread is the person's, and has the state that is asked for."""
        threads, person = self.threads, request.person
        thread = str(request.thread_id)
        row = await threads.find(thread, person)
        if row is None and request.if_not_exists == "reject":
            raise not_found(f"thread {thread}")
        if thread not in self._lines:  # else what the run before leaves is not known yet
            saver = self._services.threads
            if request.checkpoint and not await checkpoints.exists(
                saver, thread, request.checkpoint
            ):
                id = str(request.checkpoint.get("checkpoint_id"))[:80]
                raise not_found(f"checkpoint {id} of thread {thread}")
            if goes_on(request) and not await checkpoints.exists(saver, thread):
                raise Problem(422, f"Thread {thread} has no state to go on from: give an input.")
            if row is not None and "resume" in (request.command or {}) and goes_on(request):
                await self._check_waiting(request, row)
        await threads.ensure(thread, person, {})  # once more: it may be gone meanwhile
        if thread in threads.leaving:
            raise not_found(f"thread {thread}")

    async def _check_waiting(self, request: RunRequest, row: ThreadRow) -> None:
        state = await self.threads.states.get(row, request.person, request.checkpoint)
        if not state["next"]:
            raise Problem(
                422,
                f"Thread {row.thread_id} waits for nothing that could be resumed.",
                hint="Give it an input.",
                param="command",
            )

    # Running

    async def _work(self, active: Active) -> None:
        """Wait for everything that a run waits for, and run it."""
        request = active.request
        if request.after_seconds and active.attempt == 1:
            await asyncio.sleep(request.after_seconds)
        await active.turn
        await active.ticket.take()
        active.began = asyncio.get_running_loop().time()
        self._services.metrics.run_began(active.run.graph)
        active.run.status = "running"
        await self._finisher.began(active)
        await self._executor.go(active)

    async def _live(self, active: Active) -> None:
        """See a run through, whatever becomes of it."""
        assert active.work is not None
        await asyncio.wait({active.work})
        active.ticket.release()  # here: work that is cancelled before it begins does nothing
        work, run = active.work, active.run
        error = None if work.cancelled() else work.exception()
        try:
            await self._finisher.finish(active, error, cancelled=work.cancelled())
        except Exception as failure:
            _LOG.exception("Run %s could not be finished.", run.run_id, exc_info=failure)
            self._finisher.give_up(active, failure)
        finally:
            del self._active[run.run_id]
            line = self._lines[run.thread_id]
            line.remove(active)
            if not line:
                del self._lines[run.thread_id]
            elif not line[0].turn.done():
                line[0].turn.set_result(None)
            if active.reason != "rollback":
                self._recent[run.run_id] = active
                while len(self._recent) > _KEPT:
                    self._recent.popitem(last=False)
            active.log.end()
            active.ended.set()
            self._finisher.tidy(active)

    # Listening

    async def events(
        self,
        run_id: UUID,
        person: Person,
        after: str | None = None,
        *,
        cancel_on_disconnect: bool | None = None,
    ) -> AsyncIterator[Event]:
        """Yield what a run tells; the first is `metadata`, and it ends when the run ends.

        Args:
            after: go on after the event of this id.
            cancel_on_disconnect: leaving the loop cancels the run, unless others listen;
                default: as the run was asked, for the one who listens first.

        Raises:
            Problem: 404, no such run of the person's; 422, no such event.
        """
        place = place_of(after)
        active = self._in_memory(run_id, person)
        if active is None:
            async for event in self._past_events(await self.get(run_id, person), place):
                yield event
            return
        log = active.log
        if place is not None and place > log.last:
            raise Problem(422, f"Run {run_id} has no event {place}.", param="Last-Event-ID")
        cancels = cancel_on_disconnect
        if cancels is None:
            cancels = log.awaited and active.request.on_disconnect == "cancel"
        self._streams += 1
        whole = False
        try:
            async with aclosing(log.follow(place)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
            whole = True
        finally:
            self._streams -= 1
            if cancels and not whole and not active.ended.is_set() and not log.listeners:
                active.cancel("left")

    async def wait(self, run_id: UUID, person: Person) -> Any:
        """Wait for the end of a run; return its values, or `{"__error__": {…}}`.

        Raises:
            Problem: 404, no such run of the person's.
        """
        active = self._in_memory(run_id, person)
        if active is not None:
            active.log.awaited = False
            await active.ended.wait()
            return active.result
        run = await self.get(run_id, person)
        result = await self._book.do(partial(run_rows.result, run_id=str(run_id)))
        if run.status == "error" or run.temporary:
            return result if result is not None else {}
        return (await self.threads.state(run.thread_id, person))["values"]

    # Looking and stopping

    async def get(self, run_id: UUID, person: Person) -> Run:
        """Return a run.

        Raises:
            Problem: 404.
        """
        active = self._in_memory(run_id, person)
        if active is not None:
            return active.run
        run = await self._book.do(partial(run_rows.get, run_id=str(run_id), owner=person.id))
        if run is None:
            raise not_found(f"run {run_id}")
        return run

    async def list(
        self,
        thread_id: str,
        person: Person,
        *,
        limit: int = 10,
        offset: int = 0,
        status: str | None = None,
    ) -> builtins.list[Run]:
        """List the runs of a thread, the newest first.

        Raises:
            Problem: 404.
        """
        await self.threads.own(thread_id, person)
        return await self._book.do(
            partial(
                run_rows.of_thread,
                thread_id=thread_id, limit=limit, offset=offset, status=status,
            )
        )  # fmt: skip

    def under_way(self, person: Person) -> builtins.list[Run]:
        """List a person's runs that wait or run, those without a thread among them."""
        return [active.run for active in self._active.values() if active.run.owner == person.id]

    @property
    def present(self) -> set[str]:
        """Whose runs wait or run."""
        return {active.run.owner for active in self._active.values()}

    def stop(self, owner: str) -> None:
        """Stop all runs of someone who may not be here any more; what they have done stays."""
        for active in list(self._active.values()):
            if active.run.owner == owner and active.reason is None:
                active.cancel("interrupt")

    async def ids(self, owner: str) -> builtins.list[UUID]:
        """List all runs of someone, those without a thread among them, which `list` never shows."""
        return [UUID(id) for id in await self._book.do(partial(run_rows.ids, owner=owner))]

    async def cancel(
        self,
        run_id: UUID,
        person: Person,
        action: Action = "interrupt",
        wait: bool = True,
    ) -> None:
        """Stop a run within a token.

        Args:
            action: keep what it has done, or undo it and forget it.
            wait: until it has stopped.

        Raises:
            Problem: 404, no such run of the person's; 409, it is over.
        """
        active = self._in_memory(run_id, person)
        if active is None or active.ended.is_set():
            run = await self.get(run_id, person)
            raise Problem(409, f"Run {run.run_id} is over; there is nothing to cancel.")
        active.cancel(action)
        if wait:
            await active.ended.wait()

    async def delete(self, run_id: UUID, person: Person) -> None:
        """Forget a run with its events; what it has done stays.

        Raises:
            Problem: 404; 409, it is not over.
        """
        run = await self.get(run_id, person)
        if run.active:
            raise Problem(409, f"Run {run_id} is not over.", hint="Cancel it first.")
        self._recent.pop(str(run_id), None)
        await self._book.do(partial(run_rows.delete, run_id=str(run_id)))

    async def drain(self, seconds: float) -> None:
        """Take nothing new, and return when nothing runs any more.

        What still runs after that many seconds is cancelled; listeners are told so. Background
        runs stay in the book and go on when the server is started again.
        """
        self.admission.close()
        for active in list(self._active.values()):
            if active.began is None and active.request.background:
                active.cancel("ending")  # it waits; it begins when the server is back
        lives = [active.life for active in self._active.values() if active.life is not None]
        if lives:
            await asyncio.wait(lives, timeout=max(seconds, 0.001))
        for active in list(self._active.values()):
            active.cancel("ending")
        while lives := [a.life for a in self._active.values() if a.life is not None]:
            await asyncio.wait(lives)

    # Inside

    def _in_memory(self, run_id: UUID, person: Person) -> Active | None:
        active = self._active.get(str(run_id)) or self._recent.get(str(run_id))
        if active is not None and active.run.owner != person.id:
            raise not_found(f"run {run_id}")
        return active

    def _known(self, thread_id: str) -> Known | None:
        line = self._lines.get(thread_id)
        if not line:
            return None
        hold = line[0].withholding
        return line[0].known if hold is None else hold.known

    async def _past_events(self, run: Run, place: int | None) -> AsyncIterator[Event]:
        """Yield the events of a run that is over."""
        if run.kwargs.get("resumable"):
            last = await self._book.do(partial(run_rows.last_place, run_id=run.run_id))
            if place is not None and place > last:
                raise Problem(422, f"Run {run.run_id} has no event {place}.")
            log = Log(UUID(run.run_id), self._book, last + 1)
            log.ended = True
            async for event in log.follow(place or 0):
                yield event
            return
        if place is not None:
            raise Problem(
                422,
                f"The events of run {run.run_id} are not kept.",
                hint="Ask for a resumable stream when the run is begun.",
            )
        yield Event("1", "metadata", {"run_id": run.run_id, "attempt": 1})
        if run.status == "error":
            result = await self._book.do(partial(run_rows.result, run_id=run.run_id))
            yield Event("2", "error", (result or {}).get("__error__", {}))

    async def _sweep(self) -> None:
        """Forget, from time to time, runs that ended long ago."""
        while True:
            days = self._services.settings.server.keep_runs_days
            oldest = (datetime.now(UTC) - timedelta(days=days)).isoformat()
            try:
                await self._book.do(partial(run_rows.delete_before, oldest=oldest))
            except Exception:  # the disk is full, perhaps; the next time tries again
                _LOG.exception("Runs that ended long ago could not be forgotten.")
            await asyncio.sleep(_SWEEP_SECONDS)


def _run_of(request: RunRequest, thread_id: str) -> Run:
    at = now()
    return Run(
        run_id=str(request.run_id),
        thread_id=thread_id,
        assistant_id=request.assistant_id or default_id(request.graph),
        graph=request.graph,
        owner=request.person.id,
        status="pending",
        created_at=at,
        updated_at=at,
        metadata=shown_metadata(request),
        kwargs=kwargs_of(request, thread_id),
        multitask_strategy=request.multitask,
    )
