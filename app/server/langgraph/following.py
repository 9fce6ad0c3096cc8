"""All runs of a thread as one stream, for clients that watch a thread and not a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Literal, cast
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.langgraph.bodies import Query, Split, parameters, thread_id
from groundling.server.langgraph.streams import streamed
from groundling.server.person import Person, person_of
from groundling.server.runs.request import Event
from groundling.server.services import Services, services

_LOOK_SECONDS = 0.3
_LOOKED_AT = 20  # newest runs; more do not begin between two looks
_TOLD = {"lifecycle": ("metadata",), "state_update": ("metadata", "updates", "values")}


class FollowQuery(Query):
    stream_mode: Annotated[
        list[Literal["run_modes", "lifecycle", "state_update"]] | None, Split
    ] = None


async def follow(request: Request) -> Response:
    """Answer with the events of the runs of a thread that are under way, and of those to come."""
    wanted = parameters(request, FollowQuery).stream_mode or ["run_modes"]
    held, person, thread = services(request), person_of(request), thread_id(request)
    await held.runs.threads.get(thread, person)
    modes = () if "run_modes" in wanted else {name for each in wanted for name in _TOLD[each]}
    events = _events(held, person, thread)
    return await streamed(events, held.settings.home, modes=modes)


async def _events(held: Services, person: Person, thread: str) -> AsyncIterator[Event]:
    """Follow one run after the other until the server ends; none is told twice."""
    told = {
        run.run_id
        for run in await held.runs.list(thread, person, limit=_LOOKED_AT)
        if not run.active
    }
    while not held.runs.admission.closed:
        found = await held.runs.list(thread, person, limit=_LOOKED_AT)
        for run in reversed(found):
            if run.run_id in told:
                continue
            told.add(run.run_id)
            events = held.runs.events(UUID(str(run.run_id)), person, cancel_on_disconnect=False)
            async with aclosing(cast("AsyncGenerator[Event]", events)) as following:
                async for event in following:
                    yield event
            done = {"status": "run_done", "run_id": str(run.run_id)}
            yield Event(id="", event="metadata", data=done)
        await asyncio.sleep(_LOOK_SECONDS)


ROUTES: list[BaseRoute] = [Route("/threads/{thread_id}/stream", follow, methods=["GET"])]
