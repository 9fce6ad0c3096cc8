"""Assistants: graphs with settings of their own, each version kept; and pictures of graphs."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server import drawing
from groundling.server.langgraph.answers import answer, chosen, nothing, page
from groundling.server.langgraph.bodies import (
    Body,
    Limit,
    Metadata,
    Object,
    Offset,
    Order,
    Query,
    parameters,
    read,
    uuid_of,
)
from groundling.server.langgraph.requests import Config
from groundling.server.langgraph.wishes import wishes_of
from groundling.server.person import person_of
from groundling.server.problems import Problem
from groundling.server.services import services

Name = Annotated[str, Field(min_length=1, max_length=200)]
_FIELDS = (
    "assistant_id", "graph_id", "name", "description", "config", "context", "created_at",
    "updated_at", "metadata", "version",
)  # fmt: skip
_MOST_THREADS = 1000  # that are deleted at once


class AssistantPatch(Body):
    graph_id: Name | None = None
    name: Name | None = None
    description: Annotated[str, Field(max_length=10_000)] | None = None
    config: Config | None = None
    context: Object | None = None
    metadata: Metadata = None


class AssistantCreate(AssistantPatch):
    graph_id: Name
    assistant_id: str | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"


class AssistantCount(Body):
    metadata: Object | None = None
    graph_id: Name | None = None
    name: Name | None = None


class AssistantSearch(AssistantCount):
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] | None = None
    sort_order: Order | None = None
    select: list[Literal[_FIELDS]] | None = None  # type: ignore[valid-type]


class Versions(Body):
    metadata: Object | None = None
    limit: Limit = 10
    offset: Offset = 0


class Latest(Body):
    version: Annotated[int, Field(ge=1, le=2**31)]


class DeleteQuery(Query):
    delete_threads: bool = False


class GraphQuery(Query):
    xray: bool | Annotated[int, Field(ge=0, le=100)] = False


class SubgraphQuery(Query):
    recurse: bool = False


async def create(request: Request) -> Response:
    """Make an assistant."""
    body = await read(request, AssistantCreate)
    await _check(request, body)
    id = body.assistant_id
    config, context = _alike(body)
    made = await services(request).runs.assistants.create(
        person_of(request),
        graph_id=body.graph_id,
        assistant_id=str(uuid_of(id, "assistant ID")) if id is not None else None,
        name=body.name,
        description=body.description,
        config=config or {},
        context=context or {},
        metadata=body.metadata or {},
        exist_ok=body.if_exists == "do_nothing",
    )
    return answer(made)


async def search(request: Request) -> Response:
    """Find assistants."""
    body = await read(request, AssistantSearch)
    rows = await services(request).runs.assistants.search(
        person_of(request),
        metadata=body.metadata,
        graph_id=body.graph_id,
        name=body.name,
        limit=body.limit + 1,
        offset=body.offset,
        sort_by=body.sort_by,
        sort_order=body.sort_order,
    )
    shown, headers = page(rows, body.limit, body.offset)
    return answer([chosen(row, body.select) for row in shown], headers)


async def count(request: Request) -> Response:
    """Count assistants."""
    body = await read(request, AssistantCount)
    return answer(
        await services(request).runs.assistants.count(
            person_of(request), metadata=body.metadata, graph_id=body.graph_id, name=body.name
        )
    )


async def get(request: Request) -> Response:
    """Show an assistant."""
    return answer(await _assistant(request))


async def update(request: Request) -> Response:
    """Make a new version of an assistant."""
    body = await read(request, AssistantPatch)
    await _check(request, body)
    config, context = _alike(body)
    changed = await services(request).runs.assistants.update(
        request.path_params["assistant_id"],
        person_of(request),
        graph_id=body.graph_id,
        name=body.name,
        description=body.description,
        config=config,
        context=context,
        metadata=body.metadata,
    )
    return answer(changed)


async def delete(request: Request) -> Response:
    """Delete an assistant, with the threads that it worked in if that is wanted."""
    held, person = services(request), person_of(request)
    assistant = await _assistant(request)
    id, delete_threads = assistant["assistant_id"], parameters(request, DeleteQuery).delete_threads
    await held.runs.assistants.delete(id, person)
    if delete_threads:
        theirs = {"assistant_id": id}
        while found := await held.runs.threads.search(person, metadata=theirs, limit=_MOST_THREADS):
            for thread in found:
                with suppress(Problem):
                    await held.runs.threads.delete(thread["thread_id"], person)
            if len(found) < _MOST_THREADS:
                break
    return nothing()


async def versions(request: Request) -> Response:
    """List the versions of an assistant, the newest first."""
    body = await read(request, Versions)
    rows = await services(request).runs.assistants.versions(
        request.path_params["assistant_id"],
        person_of(request),
        metadata=body.metadata,
        limit=body.limit,
        offset=body.offset,
    )
    return answer(rows)


async def latest(request: Request) -> Response:
    """Go back, or forward, to a version."""
    body = await read(request, Latest)
    return answer(
        await services(request).runs.assistants.set_latest(
            request.path_params["assistant_id"], person_of(request), body.version
        )
    )


async def graph(request: Request) -> Response:
    """Draw the graph of an assistant: its nodes and edges."""
    xray = parameters(request, GraphQuery).xray
    return answer(await _drawn(request, drawing.graph, xray))


async def schemas(request: Request) -> Response:
    """Describe what the graph of an assistant takes, gives and keeps, in JSON Schema."""
    assistant = await _assistant(request)
    described = await services(request).work(
        drawing.schemas, services(request).settings, assistant["graph_id"]
    )
    return answer({"graph_id": assistant["graph_id"], **described})


async def subgraphs(request: Request) -> Response:
    """Describe the graphs that are nodes of an assistant's graph."""
    recurse = parameters(request, SubgraphQuery).recurse
    namespace = request.path_params.get("namespace")
    return answer(await _drawn(request, drawing.subgraphs, namespace, recurse))


async def _assistant(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = await services(request).runs.assistants.get(
        request.path_params["assistant_id"], person_of(request)
    )
    return found


async def _drawn(request: Request, draw: Any, *wanted: Any) -> Any:
    held = services(request)
    assistant = await _assistant(request)
    return await held.work(draw, held.settings, assistant["graph_id"], *wanted)


def _alike(body: AssistantPatch) -> tuple[Object | None, Object | None]:
    """Return configuration and context; what was said in one of them is in both.

    `context` has taken the place of `config.configurable`, and clients look in either.
    """
    config, context = body.config.told() if body.config else None, body.context
    if context is None and config is not None:
        return config, config.get("configurable")
    if context is not None and not (config or {}).get("configurable"):
        return {**(config or {}), "configurable": context}, context
    return config, context


async def _check(request: Request, body: AssistantPatch) -> None:
    """Refuse what would make each run of the assistant fail."""
    configurable = (body.config.configurable if body.config else None) or {}
    await wishes_of(services(request), person_of(request), configurable, body.context or {})


ROUTES: list[BaseRoute] = [
    Route("/assistants", create, methods=["POST"]),
    Route("/assistants/search", search, methods=["POST"]),
    Route("/assistants/count", count, methods=["POST"]),
    Route("/assistants/{assistant_id}", get, methods=["GET"]),
    Route("/assistants/{assistant_id}", update, methods=["PATCH"]),
    Route("/assistants/{assistant_id}", delete, methods=["DELETE"]),
    Route("/assistants/{assistant_id}/versions", versions, methods=["POST"]),
    Route("/assistants/{assistant_id}/latest", latest, methods=["POST"]),
    Route("/assistants/{assistant_id}/graph", graph, methods=["GET"]),
    Route("/assistants/{assistant_id}/schemas", schemas, methods=["GET"]),
    Route("/assistants/{assistant_id}/subgraphs", subgraphs, methods=["GET"]),
    Route("/assistants/{assistant_id}/subgraphs/{namespace}", subgraphs, methods=["GET"]),
]
