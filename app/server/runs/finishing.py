"""The beginning and the end of a run: what is written down of it, and how its thread stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph.types import StateSnapshot

from groundling.server.runs import checkpoints, run_rows, thread_rows
from groundling.server.runs.active import Active
from groundling.server.runs.book import Book, now, packed
from groundling.server.runs.converting import interrupts_of
from groundling.server.runs.executor import Executor, is_interrupted, trace_of
from groundling.server.runs.failing import failure_of, note_failure
from groundling.server.runs.request import Status
from groundling.server.runs.states import cleared
from groundling.server.runs.withholding import INTERRUPT

if TYPE_CHECKING:
    from groundling.server.runs.threads import ThreadBook
    from groundling.server.services import Services

_LOG = logging.getLogger("groundling.server")
ENDING = {
    "error": "ServerEnding",
    "message": "The server ended during this run.",
}


class Finisher:
    """Writes down what becomes of runs.

    Args:
        services: checkpoints, owners, metrics.
        book: where runs and threads are kept.
        threads: the same, as clients see them.
        executor: tells what was held back until the end.
    """

    def __init__(
        self, services: Services, book: Book, threads: ThreadBook, executor: Executor
    ) -> None:
        self._services = services
        self._book = book
        self._threads = threads
        self._executor = executor
        self._tidying: set[asyncio.Task[None]] = set()

    async def began(self, active: Active) -> None:
        """Write down that a run has its place, and tell it."""
        run, request = active.run, active.request
        run.updated_at = now()
        active.log.add("metadata", {"run_id": run.run_id, "attempt": active.attempt})
        self._book.later(partial(run_rows.begin, run_id=run.run_id, at=run.updated_at))
        if request.thread_id is not None:
            config = {"configurable": dict(request.config.get("configurable") or {})}
            named = {"graph_id": run.graph, "assistant_id": run.assistant_id}
            self._book.later(
                partial(thread_rows.run_began, thread_id=run.thread_id, config=config, named=named)
            )
        people = self._services.people
        if run.owner != people.local.id:  # whose what nobody claims is
            trace = str(trace_of(request.run_id, active.attempt))
            await self._services.work(people.owners.claim, "trace", trace, run.owner)

    async def finish(self, active: Active, error: BaseException | None, *, cancelled: bool) -> None:
        """Settle what a run leaves: its events, its state, its rows."""
        run, request = active.run, active.request
        if cancelled and active.reason == "ending" and request.background:
            active.log.add("error", ENDING)
            active.result = {"__error__": ENDING}
            self._book.later(partial(run_rows.postpone, run_id=run.run_id))
            return  # it goes on when the server is back
        failure: dict[str, Any] | None = None
        if error is not None:
            note_failure(error, run.run_id)
            failure = failure_of(error, self._services.settings.home)
        elif cancelled and active.reason == "ending":
            failure = dict(ENDING)
        status: Status = (
            "error" if failure is not None else "interrupted" if cancelled else "success"
        )
        snapshot = await self._settled(active, ok=status == "success")
        if failure is not None:
            active.result = {"__error__": failure}
            active.log.add("error", failure)
        else:
            stopped = None if status == "success" else snapshot
            values = active.values if stopped is None else cleared(stopped).values
            active.result = active.convert(values) or {}
            if status == "success" and snapshot is not None and snapshot.interrupts:
                # Another task may have ended after the one that asks.
                asked = {INTERRUPT: active.convert(snapshot.interrupts)}
                active.result = {**active.result, **asked}
        run.status, run.updated_at = status, now()
        self._write(active, snapshot, failure)
        self._count(active)

    def give_up(self, active: Active, error: BaseException) -> None:
        """Say that a run failed at its end: what it leaves could not be settled.

        Its rows stay as they are: the next start of the server finds the run unfinished.
        """
        failure = failure_of(error, self._services.settings.home)
        active.run.status = "error"
        active.result = {"__error__": failure}
        active.log.add("error", failure)

    def tidy(self, active: Active) -> None:
        """Delete, beside everything else, what need not be kept of the thread's states."""
        if active.request.thread_id is None or active.began is None:
            return
        task = asyncio.create_task(self._tidy(active.run.thread_id, active.run.run_id))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    async def close(self) -> None:
        """Wait for what is tidied up."""
        while self._tidying:
            await asyncio.wait(set(self._tidying))

    async def _tidy(self, thread: str, run: str) -> None:
        try:
            await checkpoints.thin_out(self._services.threads, thread, run)
            await self._services.threads.prune(thread)
        except Exception:  # the states stay; the next run's end tries again
            _LOG.exception("Thread %s could not be tidied up.", thread)

    async def _settled(self, active: Active, *, ok: bool) -> StateSnapshot | None:
        """Return the state of a run's thread, rid of what is undone or must not stay."""
        run, request, threads = active.run, active.request, self._services.threads
        if request.thread_id is None:
            stops = bool(request.interrupt_before or request.interrupt_after)
            self._executor.release(
                active, ended=ok and not stops and not is_interrupted(active.values)
            )
            return None
        if active.began is None:
            return None
        if active.reason == "rollback":
            await checkpoints.undo(threads, run.thread_id, run.run_id)
            return await self._snapshot(active)
        snapshot = await self._snapshot(active)
        ended = ok and not snapshot.next
        self._executor.release(active, ended=ended)
        hold = active.withholding
        if hold is not None and hold.known is not None:
            keep = ended or (ok and bool(snapshot.interrupts))
            if await checkpoints.forget_unread(
                threads, run.thread_id, run.run_id, known=hold.known, keep_last=keep
            ):
                snapshot = await self._snapshot(active)
        return snapshot

    async def _snapshot(self, active: Active) -> StateSnapshot:
        at: Any = {"configurable": {"thread_id": active.run.thread_id, "checkpoint_ns": ""}}
        snapshot: StateSnapshot = await active.graph.aget_state(at)
        return snapshot

    def _write(
        self, active: Active, snapshot: StateSnapshot | None, failure: dict[str, Any] | None
    ) -> None:
        run, request = active.run, active.request
        if active.reason == "rollback":
            self._book.later(partial(run_rows.delete, run_id=run.run_id))
        else:
            kept = active.result if run.temporary or failure is not None else None
            result = None if kept is None else packed(kept)
            self._book.later(
                partial(
                    run_rows.end,
                    run_id=run.run_id, status=run.status, at=run.updated_at, result=result,
                )
            )  # fmt: skip
        if request.thread_id is None or snapshot is None:
            return
        waits = bool(snapshot.next)
        status = "error" if failure is not None else "interrupted" if waits else "idle"
        self._book.later(
            partial(
                thread_rows.stands,
                thread_id=run.thread_id,
                status=status,
                interrupts=interrupts_of(snapshot),
                error=failure,
            )
        )

    def _count(self, active: Active) -> None:
        if active.began is None:
            return
        metrics, run = self._services.metrics, active.run
        metrics.run_ended(run.graph, run.status, asyncio.get_running_loop().time() - active.began)
        values = active.values
        if run.status == "success" and isinstance(values, Mapping) and values.get("verdict"):
            metrics.verdict(run.graph, str(values["verdict"]))
