"""Threads: made, found, looked into, changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.langgraph.answers import answer, chosen, extracted, nothing, page
from groundling.server.langgraph.bodies import (
    Body,
    Limit,
    Listed,
    Metadata,
    Object,
    Offset,
    Order,
    Query,
    Split,
    new_thread_id,
    parameters,
    plain_id,
    read,
    thread_id,
)
from groundling.server.langgraph.requests import Checkpoint, Command, check_messages
from groundling.server.person import person_of
from groundling.server.problems import Problem
from groundling.server.services import services

Status = Literal["idle", "busy", "interrupted", "error"]
_MOST_AT_ONCE = 1000
Ids = Annotated[list[str], Field(max_length=_MOST_AT_ONCE)]
StateFields = Annotated[list[str], Listed, Field(max_length=64)]


class Update(Body):
    """A change of state, as if a node had made it."""

    values: Object | list[Any] | None = None
    command: Command | None = None
    as_node: str | None = None


class Superstep(Body):
    """Changes that belong to one step."""

    updates: list[Update]


class ThreadCreate(Body):
    thread_id: str | None = None
    metadata: Metadata = None
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: Annotated[list[Superstep], Field(max_length=_MOST_AT_ONCE)] | None = None
    ttl: Any = None


class ThreadPatch(Body):
    metadata: Metadata = None
    ttl: Any = None


class ThreadCount(Body):
    metadata: Object | None = None
    values: Object | None = None
    status: Status | None = None


class ThreadSearch(ThreadCount):
    ids: Ids | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: (
        Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] | None
    ) = None
    sort_order: Order | None = None
    select: list[str] | None = None
    extract: Annotated[dict[str, str], Field(max_length=10)] | None = None


class ThreadPrune(Body):
    thread_ids: Ids
    strategy: Literal["delete", "keep_latest"] = "delete"


class StateAt(Body):
    checkpoint: Checkpoint
    subgraphs: bool = False
    select: StateFields | None = None


class StateQuery(Query):
    subgraphs: bool = False
    select: Annotated[list[str], Split] | None = None


class StateUpdate(Body):
    values: Object | list[Any] | None = None
    as_node: str | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None


class History(Body):
    limit: Limit = 10
    before: Checkpoint | str | None = None
    metadata: Object | None = None
    checkpoint: Checkpoint | None = None
    select: StateFields | None = None


class HistoryQuery(Query):
    limit: Limit = 10
    before: Annotated[str, Field(min_length=1, max_length=128)] | None = None


async def create(request: Request) -> Response:
    """Make a thread, with states of its own if they are given."""
    body = await read(request, ThreadCreate)
    _no_ttl(body.ttl)
    threads, person = services(request).runs.threads, person_of(request)
    metadata = body.metadata or {}
    if body.supersteps and not metadata.get("graph_id"):
        raise Problem(
            422, "supersteps: metadata.graph_id must name the graph whose states they are."
        )
    id = new_thread_id(body.thread_id) if body.thread_id is not None else None
    if id is not None and body.if_exists == "do_nothing" and await threads.find(id, person):
        return answer(await threads.get(id, person))
    thread = await threads.create(
        person, id, metadata, exist_ok=body.if_exists == "do_nothing" and not body.supersteps
    )
    if not body.supersteps:
        return answer(thread)
    made = thread["thread_id"]
    try:
        for step in body.supersteps:
            for update in step.updates:
                values = update.values
                if values is None and update.command is not None:
                    values = update.command.update
                check_messages(values, "supersteps.updates.values.messages")
                await threads.update_state(made, person, values, as_node=update.as_node)
    except Exception:
        with suppress(Problem):
            await threads.delete(made, person)
        raise
    return answer(await threads.get(made, person))


async def search(request: Request) -> Response:
    """Find threads."""
    body = await read(request, ThreadSearch)
    rows = await services(request).runs.threads.search(
        person_of(request),
        metadata=body.metadata,
        values=body.values,
        ids=[plain_id(each) for each in body.ids] if body.ids is not None else None,
        status=body.status,
        limit=body.limit + 1,
        offset=body.offset,
        sort_by=body.sort_by,
        sort_order=body.sort_order,
    )
    shown, headers = page(rows, body.limit, body.offset)
    answers = [chosen(row, body.select) for row in shown]
    if body.extract:
        for row, told in zip(shown, answers, strict=True):
            told["extracted"] = extracted(row, body.extract)
    return answer(answers, headers)


async def count(request: Request) -> Response:
    """Count threads."""
    body = await read(request, ThreadCount)
    return answer(
        await services(request).runs.threads.count(
            person_of(request), metadata=body.metadata, values=body.values, status=body.status
        )
    )


async def prune(request: Request) -> Response:
    """Delete threads, or all but their latest states; those that are not there are not counted."""
    body = await read(request, ThreadPrune)
    held, person = services(request), person_of(request)
    pruned = 0
    for each in dict.fromkeys(plain_id(each) for each in body.thread_ids):
        with suppress(Problem):
            if body.strategy == "delete":
                await held.runs.threads.delete(each, person)
            else:
                await held.runs.threads.get(each, person)
                await _keep_latest(request, each)
            pruned += 1
    return answer({"pruned_count": pruned})


async def get(request: Request) -> Response:
    """Show a thread."""
    return answer(await services(request).runs.threads.get(thread_id(request), person_of(request)))


async def update(request: Request) -> Response:
    """Add to the metadata of a thread."""
    body = await read(request, ThreadPatch)
    _no_ttl(body.ttl)
    thread = await services(request).runs.threads.update(
        thread_id(request), person_of(request), body.metadata or {}
    )
    return nothing() if request.headers.get("prefer") == "return=minimal" else answer(thread)


async def delete(request: Request) -> Response:
    """Delete a thread."""
    await services(request).runs.threads.delete(thread_id(request), person_of(request))
    return nothing()


async def copy(request: Request) -> Response:
    """Copy a thread."""
    return answer(await services(request).runs.threads.copy(thread_id(request), person_of(request)))


async def state(request: Request) -> Response:
    """Show the state of a thread: the latest, or that of the path."""
    query = parameters(request, StateQuery)
    at = request.path_params.get("checkpoint_id")
    return await _state(
        request,
        {"checkpoint_id": at, "checkpoint_ns": ""} if at is not None else None,
        query.subgraphs,
        query.select,
    )


async def state_at(request: Request) -> Response:
    """Show the state of a thread at a checkpoint, which may be one of a subgraph."""
    body = await read(request, StateAt)
    return await _state(request, body.checkpoint.told(), body.subgraphs, body.select)


async def update_state(request: Request) -> Response:
    """Write a state."""
    body = await read(request, StateUpdate)
    check_messages(body.values, "values.messages")
    checkpoint = body.checkpoint.told() if body.checkpoint else None
    if checkpoint is None and body.checkpoint_id:
        checkpoint = {"checkpoint_id": body.checkpoint_id, "checkpoint_ns": ""}
    written = await services(request).runs.threads.update_state(
        thread_id(request),
        person_of(request),
        body.values,
        as_node=body.as_node,
        checkpoint=checkpoint,
    )
    at = written["checkpoint"]
    return answer({**written, "configurable": at, "checkpoint_id": at["checkpoint_id"]})


async def history(request: Request) -> Response:
    """List the states of a thread, the newest first."""
    if request.method == "GET":
        query = parameters(request, HistoryQuery)
        body = History(limit=query.limit, before=query.before)
    else:
        body = await read(request, History)
    before = body.before
    if isinstance(before, str):
        before = Checkpoint(checkpoint_id=before)
    rows = await services(request).runs.threads.history(
        thread_id(request),
        person_of(request),
        limit=body.limit,
        before=before.told() if before else None,
        metadata=body.metadata,
        checkpoint=body.checkpoint.told() if body.checkpoint else None,
    )
    return answer([chosen(_with_ids(row), body.select) for row in rows])


async def _state(
    request: Request, checkpoint: Object | None, subgraphs: bool, select: list[str] | None
) -> Response:
    found = await services(request).runs.threads.state(
        thread_id(request), person_of(request), checkpoint=checkpoint, subgraphs=subgraphs
    )
    return answer(chosen(_with_ids(found), select))


def _with_ids(state: Mapping[str, Any]) -> dict[str, Any]:
    """Add the ids of a state and the one before where older clients look for them."""
    at, before = state.get("checkpoint"), state.get("parent_checkpoint")
    return {
        **state,
        "checkpoint_id": at["checkpoint_id"] if at else None,
        "parent_checkpoint_id": before["checkpoint_id"] if before else None,
    }


async def _keep_latest(request: Request, thread: str) -> None:
    from groundling.memory.threads import Threads
    from groundling.sections import ConversationSettings

    saver = services(request).threads.saver
    await Threads(saver, ConversationSettings(checkpoints=1)).prune(thread)


def _no_ttl(ttl: Any) -> None:
    if ttl is not None:
        raise Problem(
            422,
            "ttl: a single thread cannot be given a time to live.",
            hint="The setting conversation.keep_days is for all; or delete it when it is done.",
            param="ttl",
        )


ROUTES: list[BaseRoute] = [
    Route("/threads", create, methods=["POST"]),
    Route("/threads/search", search, methods=["POST"]),
    Route("/threads/count", count, methods=["POST"]),
    Route("/threads/prune", prune, methods=["POST"]),
    Route("/threads/{thread_id}", get, methods=["GET"]),
    Route("/threads/{thread_id}", update, methods=["PATCH"]),
    Route("/threads/{thread_id}", delete, methods=["DELETE"]),
    Route("/threads/{thread_id}/copy", copy, methods=["POST"]),
    Route("/threads/{thread_id}/state", state, methods=["GET"]),
    Route("/threads/{thread_id}/state", update_state, methods=["POST"]),
    Route("/threads/{thread_id}/state/checkpoint", state_at, methods=["POST"]),
    Route("/threads/{thread_id}/state/{checkpoint_id}", state, methods=["GET"]),
    Route("/threads/{thread_id}/history", history, methods=["GET", "POST"]),
]
