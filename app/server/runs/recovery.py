"""Runs that a server left behind when it was killed.

A background run goes on: from the latest checkpoint that it wrote, or from its input where it
wrote none; one in which a server was killed `ATTEMPTS` times is given up. A run that somebody
listened to is marked: they are gone. Threads that were said to be busy stand as their
checkpoints do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from groundling.server.graphs import Wishes
from groundling.server.person import Person, Role
from groundling.server.problems import Problem
from groundling.server.runs import checkpoints, run_rows, thread_rows
from groundling.server.runs.book import Book, now, packed, unpacked
from groundling.server.runs.failing import failure_of, note_failure
from groundling.server.runs.finishing import ENDING
from groundling.server.runs.request import Run, RunRequest
from groundling.server.runs.withholding import GUARD

if TYPE_CHECKING:
    from groundling.server.runs.runs import Runs
    from groundling.server.services import Services

ATTEMPTS = 3
_LOG = logging.getLogger("groundling.server")
_GIVEN_UP = {
    "error": "ServerEnding",
    "message": f"The server ended during this run {ATTEMPTS} times.",
}


def saved(request: RunRequest) -> str:
    """Write down a request, so that it can be begun again."""
    told = {field.name: getattr(request, field.name) for field in fields(request)}
    return packed(
        {
            **told,
            "person": {"id": request.person.id, "role": request.person.role},
            "wishes": vars(request.wishes),
            "run_id": str(request.run_id),
        }
    )


def read(text: str) -> RunRequest:
    """Read a request that was written down."""
    told = unpacked(text)
    person = told["person"]
    names = {field.name for field in fields(RunRequest)}
    for name in ("stream_mode", "interrupt_before", "interrupt_after"):
        if isinstance(told[name], list):
            told[name] = tuple(told[name])
    return RunRequest(
        **{
            **{name: value for name, value in told.items() if name in names},
            "person": Person(person["id"], Role(person["role"])),
            "wishes": Wishes(**told["wishes"]),
            "run_id": UUID(told["run_id"]),
        }
    )


async def recover(runs: Runs, services: Services, book: Book) -> None:
    """Take up what is left: begin it again, or mark it."""
    left = await book.do(run_rows.unfinished)
    threads: dict[str, Mapping[str, Any] | None] = {}
    for thread in await book.do(thread_rows.busy):
        threads[thread] = None
    for run, request, attempts, kills in left:
        if request is None:
            await _mark(book, run, ENDING)
            threads[run.thread_id] = ENDING
        elif kills >= ATTEMPTS:
            await _mark(book, run, _GIVEN_UP)
            threads[run.thread_id] = _GIVEN_UP
        else:
            try:
                await _begin(runs, services, book, run, read(request), attempts)
            except Exception as error:  # its graph, or its documents, are gone
                note_failure(error, run.run_id)
                failure = failure_of(error, services.settings.home)
                await _mark(book, run, failure)
                threads[run.thread_id] = failure
    if left:
        _LOG.info("%d runs were left behind.", len(left))
    for thread, why in threads.items():
        await _stand(runs, services, book, thread, why)


async def _begin(
    runs: Runs,
    services: Services,
    book: Book,
    run: Run,
    request: RunRequest,
    attempts: int,
) -> None:
    """Put a run into its line again."""
    goes_on = False
    if request.thread_id is not None:
        found = await checkpoints.steps(services.threads, request.thread_id)
        goes_on = bool(found) and found[-1].run == run.run_id
    first = 1 + await book.do(partial(run_rows.last_place, run_id=run.run_id))
    await runs.again(request, run, attempt=attempts + 1, first=first, goes_on=goes_on)


async def _mark(book: Book, run: Run, failure: Mapping[str, Any]) -> None:
    result = packed({"__error__": failure})
    await book.do(partial(run_rows.end, run_id=run.run_id, status="error", at=now(), result=result))


async def _stand(
    runs: Runs,
    services: Services,
    book: Book,
    thread: str,
    failure: Mapping[str, Any] | None,
) -> None:
    """Find out how a thread stands that no run is in any more."""
    if runs.threads.is_busy(thread):
        return
    row = await book.do(partial(thread_rows.get, thread_id=thread))
    if row is None:
        return
    person = Person(row.owner, Role.MEMBER)
    graph = await runs.threads.states.graph(row, person)
    if graph is not None and GUARD in graph.nodes:
        found = await checkpoints.steps(services.threads, thread)
        if found and (last := found[-1].run) is not None:
            try:
                state = await runs.threads.states.get(row, person)
                keep = not state["next"] or bool(state["interrupts"])
            except Problem as problem:  # it is damaged: nothing can go on from it
                _LOG.warning("Thread %s: %s", thread, problem.message)
                keep = False
            await checkpoints.forget_unread(services.threads, thread, last, keep_last=keep)
    status, interrupts = await runs.threads.states.standing(row, person)
    if failure is not None:
        status = "error"
    await book.do(
        lambda db: thread_rows.stands(db, thread, status, interrupts, failure, changed=False)
    )
