"""Runs: begun, listened to, waited for, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.bodies import read_json
from groundling.server.langgraph.answers import answer, chosen, nothing
from groundling.server.langgraph.bodies import (
    Body,
    Limit,
    Offset,
    Query,
    Split,
    checked,
    parameters,
    plain_id,
    read,
    run_id,
    thread_id,
    uuid_of,
)
from groundling.server.langgraph.requests import RunBody, run_request
from groundling.server.langgraph.streams import is_resumable, located, streamed, waited
from groundling.server.person import person_of
from groundling.server.problems import Problem, not_found
from groundling.server.runs.request import Event, Run, RunRequest
from groundling.server.services import services

Status = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
_MOST_AT_ONCE = 100
_BEGINNING = "-1"  # what LangGraph's clients give as the last event when they have none
_FIELDS = (
    "run_id", "thread_id", "assistant_id", "created_at", "updated_at", "status", "metadata",
    "kwargs", "multitask_strategy",
)  # fmt: skip


class ListQuery(Query):
    limit: Limit = 10
    offset: Offset = 0
    status: Status | None = None
    select: Annotated[list[str], Split] | None = None


class CancelQuery(Query):
    wait: bool = False
    action: Literal["interrupt", "rollback"] = "interrupt"


class CancelMany(Body):
    thread_id: str | None = None
    run_ids: Annotated[list[str], Field(max_length=1000)] | None = None
    status: Literal["pending", "running", "all"] | None = None


class JoinQuery(Query):
    cancel_on_disconnect: bool = False
    stream_mode: Annotated[list[str], Split] | None = None


async def create(request: Request) -> Response:
    """Begin a run that nobody listens to."""
    run = await _begin(request, await read(request, RunBody), background=True)
    return answer(shown(run), located(run))


async def batch(request: Request) -> Response:
    """Begin several runs without a thread that nobody listens to."""
    data = await read_json(request)
    if not isinstance(data, list) or not 0 < len(data) <= _MOST_AT_ONCE:
        raise Problem(422, f"The body should be a list of 1 to {_MOST_AT_ONCE} runs.")
    bodies = [checked(each, RunBody) for each in data]
    wanted = [await _wanted(request, body, background=True) for body in bodies]
    held = services(request)
    return answer([shown(await held.runs.start(each)) for each in wanted])


async def stream(request: Request) -> Response:
    """Begin a run and answer with its events."""
    run = await _begin(request, await read(request, RunBody))
    events = services(request).runs.events(_id(run), person_of(request))
    return await _streamed(request, run, events)


async def wait(request: Request) -> Response:
    """Begin a run and answer with the values that it ends with."""
    body = await read(request, RunBody)
    run = await _begin(request, body)
    cancels = body.on_disconnect != "continue"
    return await waited(services(request), run, person_of(request), cancels=cancels)


async def list_(request: Request) -> Response:
    """List the runs of a thread, the newest first."""
    query = parameters(request, ListQuery)
    held, person, thread = services(request), person_of(request), thread_id(request)
    found = await held.runs.list(
        thread, person, limit=query.limit, offset=query.offset, status=query.status
    )
    return answer([chosen(shown(run), query.select) for run in found])


async def get(request: Request) -> Response:
    """Show a run."""
    return answer(shown(await _found(request)))


async def delete(request: Request) -> Response:
    """Forget a run."""
    run = await _found(request)
    await services(request).runs.delete(_id(run), person_of(request))
    return nothing()


async def join(request: Request) -> Response:
    """Wait for a run and answer with the values that it ends with."""
    query = parameters(request, JoinQuery)
    run = await _found(request)
    return await waited(
        services(request), run, person_of(request), cancels=query.cancel_on_disconnect
    )


async def join_stream(request: Request) -> Response:
    """Answer with the events of a run: from the beginning, from now, or after one."""
    query = parameters(request, JoinQuery)
    run = await _found(request)
    after = request.headers.get("last-event-id") or None
    events = services(request).runs.events(
        _id(run),
        person_of(request),
        after if after != _BEGINNING else None,
        cancel_on_disconnect=query.cancel_on_disconnect,
    )
    return await _streamed(request, run, events, query.stream_mode or ())


async def cancel(request: Request) -> Response:
    """Stop a run: keep what it has done (interrupt), or undo it (rollback)."""
    query = parameters(request, CancelQuery)
    run = await _found(request)
    if not run.active:
        raise Problem(404, f"Run {run.run_id} is over; there is nothing to cancel.")
    held, person = services(request), person_of(request)
    await held.runs.cancel(_id(run), person, action=query.action, wait=query.wait)
    if not query.wait:
        return answer({}, located(run))
    values: Any = {}
    with suppress(Problem):  # a run that was undone is not there any more
        values = await held.runs.wait(_id(run), person)
    return answer(values or {}, located(run))


async def cancel_many(request: Request) -> Response:
    """Stop runs: those that are named, or all of the person's that are under way."""
    body = await read(request, CancelMany)
    action = parameters(request, CancelQuery).action
    if body.status is None and body.run_ids is None:
        raise Problem(422, "Say which runs: run_ids with thread_id, or status.")
    if body.run_ids is not None and body.thread_id is None:
        raise Problem(422, "thread_id: which thread are the runs of?", param="thread_id")
    found = _meant(request, body)
    if not found:
        raise Problem(404, "No runs found to cancel.")
    held, person = services(request), person_of(request)

    async def stop(run: Run) -> None:
        with suppress(Problem):
            await held.runs.cancel(_id(run), person, action=action, wait=False)

    await asyncio.gather(*(stop(run) for run in found))
    return nothing()


def shown(run: Run) -> dict[str, Any]:
    """Return a run as LangGraph's clients know it."""
    return {name: getattr(run, name) for name in _FIELDS}


async def _begin(request: Request, body: RunBody, *, background: bool = False) -> Run:
    wanted = await _wanted(request, body, background=background)
    return await services(request).runs.start(wanted)


async def _wanted(request: Request, body: RunBody, *, background: bool) -> RunRequest:
    thread = thread_id(request) if "thread_id" in request.path_params else None
    if thread is None and body.on_completion == "keep":
        thread = str(uuid4())
        body = body.model_copy(update={"if_not_exists": "create"})
    return await run_request(request, body, thread, background=background)


async def _streamed(
    request: Request, run: Run, events: AsyncIterator[Event], modes: Collection[str] = ()
) -> Response:
    home = services(request).settings.home
    again = is_resumable(run)
    headers = located(run, "stream" if again else None)
    return await streamed(events, home, headers, with_ids=again, modes=modes)


async def _found(request: Request) -> Run:
    """Return the run of the path, if it is of the thread of the path.

    Raises:
        Problem: 404, there is none.
    """
    id = run_id(request)
    run = await services(request).runs.get(id, person_of(request))
    if "thread_id" in request.path_params and run.thread_id != thread_id(request):
        raise not_found(f"run {id}")
    return run


def _meant(request: Request, body: CancelMany) -> list[Run]:
    """Return the person's runs that a body means; only such as are under way."""
    ids = {str(uuid_of(each, "run ID")) for each in body.run_ids or ()}
    thread = None if body.thread_id is None else plain_id(body.thread_id)
    return [
        run
        for run in services(request).runs.under_way(person_of(request))
        if (thread is None or run.thread_id == thread)
        and (run.run_id in ids if body.run_ids is not None else body.status in ("all", run.status))
    ]


def _id(run: Run) -> UUID:
    return UUID(str(run.run_id))


_THREAD = "/threads/{thread_id}/runs"
ROUTES: list[BaseRoute] = [
    Route("/runs", create, methods=["POST"]),
    Route("/runs/stream", stream, methods=["POST"]),
    Route("/runs/wait", wait, methods=["POST"]),
    Route("/runs/batch", batch, methods=["POST"]),
    Route("/runs/cancel", cancel_many, methods=["POST"]),
    Route(_THREAD, create, methods=["POST"]),
    Route(_THREAD, list_, methods=["GET"]),
    Route(f"{_THREAD}/stream", stream, methods=["POST"]),
    Route(f"{_THREAD}/wait", wait, methods=["POST"]),
    *(
        route
        for base in ("/runs/{run_id}", _THREAD + "/{run_id}")
        for route in (
            Route(base, get, methods=["GET"]),
            Route(base, delete, methods=["DELETE"]),
            Route(f"{base}/join", join, methods=["GET"]),
            Route(f"{base}/stream", join_stream, methods=["GET"]),
            Route(f"{base}/cancel", cancel, methods=["POST"]),
        )
    ),
]
