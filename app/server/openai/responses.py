"""`/v1/responses`: answers with their events, and conversations that go on by id."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from groundling.server.openai.bodies import read, reply
from groundling.server.openai.chat import sources_of
from groundling.server.openai.names import find
from groundling.server.openai.response_events import Writing
from groundling.server.openai.response_items import items_of
from groundling.server.openai.response_request import ResponseRequest
from groundling.server.openai.response_store import FILE, ResponseStore, opened
from groundling.server.openai.streams import Frames, begun, together, unless_gone
from groundling.server.person import Person, person_of
from groundling.server.problems import told_of
from groundling.server.services import Services, services
from groundling.server.sse import HEARTBEAT, as_json, frame

if TYPE_CHECKING:
    from groundling.server.openai.pieces import Piece

__all__ = ["FILE", "create", "input_items", "remove", "retrieve"]

Json = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
_LOG = logging.getLogger("groundling.server")


async def create(request: Request) -> Response:
    """Answer, going on with an earlier response where one is named."""
    body = await read(request, ResponseRequest)
    held, person = services(request), person_of(request)
    body.refuse()
    items = items_of(body.input)
    before = body.previous_response_id
    earlier = await _kept(held, ResponseStore.conversation, person, before) if before else []
    asked = body.asked(earlier, items)
    target = await held.work(find, held, person, body.model, asked.extras.knowledge)
    sources = await sources_of(held, person, target, asked, [uuid4()])
    writing = Writing(body.response(target.id))

    async def keep() -> None:
        if body.store is not False:
            await _kept(held, ResponseStore.put, person, writing.response, items)

    if not body.stream:
        await unless_gone(request, _write(writing, together(sources)))
        await keep()
        return reply(writing.response)
    pieces = await begun(request, together(sources))
    return Frames(_frames(writing, pieces, keep, held.settings.home))


async def _write(writing: Writing, pieces: AsyncGenerator[tuple[int, Piece] | None]) -> None:
    for _ in writing.begin():
        pass
    async with aclosing(pieces):
        async for one in pieces:
            if one is not None:
                for _ in writing.add(one[1]):
                    pass


async def _frames(
    writing: Writing,
    pieces: AsyncGenerator[tuple[int, Piece] | None],
    keep: Callable[[], Any],
    home: Path,
) -> AsyncGenerator[bytes]:
    """Write the events; the response is kept before its last one is sent."""
    for event in writing.begin():
        yield _frame(event)
    try:
        async with aclosing(pieces):
            async for one in pieces:
                if one is None:
                    yield HEARTBEAT
                    continue
                events = [*writing.add(one[1])]
                if one[1].end is not None:
                    await keep()
                for event in events:
                    yield _frame(event)
    except Exception as error:
        problem = told_of(error, home)
        if problem.status == 500:
            _LOG.error("A response failed while it was written.", exc_info=error)
        for event in writing.fail(problem):
            yield _frame(event)


def _frame(event: Json) -> bytes:
    return frame(as_json(event), event["type"])


async def retrieve(request: Request) -> Response:
    """Return a response that was kept."""
    held, person = services(request), person_of(request)
    response, _ = await _kept(held, ResponseStore.get, person, request.path_params["id"])
    return reply(response)


async def remove(request: Request) -> Response:
    """Delete a response."""
    held, person, id = services(request), person_of(request), request.path_params["id"]
    await _kept(held, ResponseStore.delete, person, id)
    return reply({"id": id, "object": "response", "deleted": True})


async def input_items(request: Request) -> Response:
    """List the items that a response answers."""
    held, person = services(request), person_of(request)
    _, items = await _kept(held, ResponseStore.get, person, request.path_params["id"])
    ids = [item["id"] for item in items]
    ends = {"first_id": ids[0], "last_id": ids[-1]}
    return reply({"object": "list", "data": items[::-1], "has_more": False, **ends})


async def _kept(
    held: Services,
    function: Callable[Concatenate[ResponseStore, Person, P], T],
    person: Person,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Use the store of responses, in a worker."""

    def use() -> T:
        with opened(held.settings) as store:
            return function(store, person, *args, **kwargs)

    return await held.work(use)
