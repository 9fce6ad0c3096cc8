"""The routes of the store; see `groundling.server.langgraph.items`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.langgraph.answers import answer, nothing
from groundling.server.langgraph.bodies import (
    Body,
    Limit,
    Object,
    Offset,
    Query,
    parameters,
    read,
)
from groundling.server.langgraph.items import Items
from groundling.server.person import person_of

_LONGEST_TTL = 10 * 365 * 24 * 60  # minutes


def _label(text: str) -> str:
    if not text or "." in text or "\x00" in text:
        raise ValueError("a label of a namespace is a text without periods that is not empty")
    return text


def _own(namespace: list[str]) -> list[str]:
    if not namespace:
        raise ValueError("a namespace has at least one label")
    if namespace[0] == "langgraph":
        raise ValueError("a namespace may not begin with langgraph")
    return namespace


Label = Annotated[str, Field(max_length=512), AfterValidator(_label)]
Labels = Annotated[list[Label], Field(max_length=32)]
Namespace = Annotated[Labels, AfterValidator(_own)]
Key = Annotated[str, Field(min_length=1, max_length=1024)]


class Put(Body):
    namespace: Namespace
    key: Key
    value: Object
    index: Literal[False] | list[str] | None = None
    ttl: Annotated[float, Field(gt=0, le=_LONGEST_TTL)] | None = None


class Named(Body):
    namespace: Namespace
    key: Key


class GetQuery(Query):
    key: Key
    namespace: Annotated[str, Field(max_length=16_384)] = ""
    refresh_ttl: bool | None = None


class Search(Body):
    namespace_prefix: Labels | None = None
    filter: Annotated[Object, Field(max_length=32)] | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: Annotated[str, Field(max_length=10_000)] | None = None
    refresh_ttl: bool | None = None


class Namespaces(Body):
    prefix: Labels | None = None
    suffix: Labels | None = None
    max_depth: Annotated[int, Field(ge=1, le=100)] | None = None
    limit: Limit = 100
    offset: Offset = 0


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Have the store open while the application is."""
    held = app.state.services
    async with Items.open(held.settings.store_path, held) as items:
        app.state.items = items
        yield


async def put(request: Request) -> Response:
    """Keep an item."""
    body = await read(request, Put)
    owner = person_of(request).id
    await _items(request).put(owner, tuple(body.namespace), body.key, body.value, body.ttl)
    return nothing()


async def get(request: Request) -> Response:
    """Return an item; null where there is none."""
    query = parameters(request, GetQuery)
    labels = [label for label in query.namespace.split(".") if label]
    if not labels:
        return answer(None)
    owner = person_of(request).id
    return answer(
        await _items(request).get(owner, tuple(labels), query.key, refresh=query.refresh_ttl)
    )


async def delete(request: Request) -> Response:
    """Remove an item."""
    body = await read(request, Named)
    await _items(request).delete(person_of(request).id, tuple(body.namespace), body.key)
    return nothing()


async def search(request: Request) -> Response:
    """Find items."""
    body = await read(request, Search)
    found = await _items(request).search(
        person_of(request).id,
        tuple(body.namespace_prefix or ()),
        filter=body.filter,
        query=body.query or None,
        limit=body.limit,
        offset=body.offset,
        refresh=body.refresh_ttl,
    )
    return answer({"items": found})


async def namespaces(request: Request) -> Response:
    """List the namespaces that there are."""
    body = await read(request, Namespaces)
    found = await _items(request).namespaces(
        person_of(request).id,
        prefix=body.prefix or (),
        suffix=body.suffix or (),
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    return answer({"namespaces": found})


def _items(request: Request) -> Items:
    return cast("Items", request.app.state.items)


ROUTES: list[BaseRoute] = [
    Route("/store/items", put, methods=["PUT"]),
    Route("/store/items", get, methods=["GET"]),
    Route("/store/items", delete, methods=["DELETE"]),
    Route("/store/items/search", search, methods=["POST"]),
    Route("/store/namespaces", namespaces, methods=["POST"]),
]
