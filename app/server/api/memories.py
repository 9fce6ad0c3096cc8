"""What is remembered of the person who asks: listed, searched, added, put right, forgotten."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from starlette.requests import Request

from groundling.memory.memories import Memories
from groundling.memory.memory import Memory
from groundling.memory.topics import KINDS
from groundling.server.api.endpoint import Answer, Body, Query, endpoint
from groundling.server.person import person_of
from groundling.server.problems import Problem
from groundling.server.services import services

TAG = "Memories"
_ONE = "/api/memories/{number:number}"
_LONGEST = 4000  # characters; what is kept is shorter, and the store says so
_NUMBER = 10**15 - 1


class Fact(Answer):
    """A fact; `superseded_by` is the number of the one that took its place.

    `score` is how well it fits a search, 1 at best.
    """

    id: int
    text: str
    kind: str
    source: str | None
    created_at: str
    changed_at: str
    used_at: str | None
    uses: int
    superseded_by: int | None
    score: float


class FactWithHistory(Fact):
    """A fact, and those that it took the place of, the latest first."""

    history: list[Fact]


class FactList(Answer):
    """Facts, the newest first, or the best where they were searched."""

    memories: list[Fact]


class Kinds(Answer):
    """What facts may be about."""

    kinds: list[str]


class Forgotten(Answer):
    """How many facts went, their history with them."""

    forgotten: int


class NewFact(Body):
    """A fact to remember; `supersedes` is one that no longer holds."""

    text: str = Field(min_length=1, max_length=_LONGEST)
    kind: str = Field("fact", max_length=40)
    supersedes: int | None = Field(None, ge=0, le=_NUMBER)


class FactChange(Body):
    """What to put right of a fact; its old words are gone."""

    text: str | None = Field(None, min_length=1, max_length=_LONGEST)
    kind: str | None = Field(None, max_length=40)


class Wanted(Query):
    """Which facts."""

    kind: str | None = Field(None, max_length=40)
    superseded: bool = Field(False, description="also those that no longer hold")
    limit: int = Field(1000, ge=1, le=10_000)
    offset: int = Field(0, ge=0, le=10_000_000)


class SearchedFor(Query):
    """What is looked for."""

    query: str = Field(min_length=1, max_length=1000)
    k: int = Field(10, ge=1, le=100)


class All(Query):
    """A word of confirmation."""

    all: Literal["true"]


@endpoint("GET", "/api/memories", tag=TAG)
async def memories(request: Request, query: Wanted) -> FactList:
    """List your memories."""
    held, person = services(request), person_of(request)

    def read() -> FactList:
        found = _open(request).list(person.id, kind=query.kind, superseded=query.superseded)
        return _list(found[query.offset : query.offset + query.limit])

    return await held.work(read)


@endpoint("GET", "/api/memories/kinds", tag=TAG)
async def kinds(request: Request) -> Kinds:
    """List what memories may be about."""
    return Kinds(kinds=list(KINDS))


@endpoint("GET", "/api/memories/search", tag=TAG)
async def search(request: Request, query: SearchedFor) -> FactList:
    """Find memories by words and by meaning; this is no use of them."""
    held, person = services(request), person_of(request)

    def find() -> FactList:
        return _list(_open(request).recall(person.id, query.query, query.k, count=False))

    return await held.work(find)


@endpoint("POST", "/api/memories", tag=TAG, status=201, missing=True)
async def remember(request: Request, body: NewFact) -> Fact:
    """Remember a fact; one that is known already is returned as it is."""
    held, person = services(request), person_of(request)

    def write() -> Fact:
        kept = _open(request).remember(
            person.id, body.text, kind=body.kind, source="page", supersedes=body.supersedes
        )
        return Fact.model_validate(_fields(kept))

    return await held.work(write)


@endpoint("DELETE", "/api/memories", tag=TAG)
async def forget_all(request: Request, query: All) -> Forgotten:
    """Forget everything about you."""
    held, person = services(request), person_of(request)

    def write() -> Forgotten:
        gone = _open(request).forget_all(person.id)
        held.people.audit(person, "memory.forget", "all", count=gone)
        return Forgotten(forgotten=gone)

    return await held.work(write)


@endpoint("GET", _ONE, tag=TAG, missing=True)
async def memory(request: Request) -> FactWithHistory:
    """Return a memory, and what it took the place of."""
    held, person, number = services(request), person_of(request), request.path_params["number"]

    def read() -> FactWithHistory:
        opened = _open(request)
        found = opened.get(person.id, number)
        history = [Fact(**_fields(each)) for each in opened.history(person.id, number)]
        return FactWithHistory(**_fields(found), history=history)

    return await held.work(read)


@endpoint("PATCH", _ONE, tag=TAG, missing=True)
async def edit(request: Request, body: FactChange) -> Fact:
    """Put a memory right."""
    held, person, number = services(request), person_of(request), request.path_params["number"]
    if body.text is None and body.kind is None:
        raise Problem(422, "There is nothing to change.", hint="Give text, or kind, or both.")

    def write() -> Fact:
        opened = _open(request)
        text = body.text if body.text is not None else opened.get(person.id, number).text
        return Fact(**_fields(opened.edit(person.id, number, text, kind=body.kind)))

    return await held.work(write)


@endpoint("DELETE", _ONE, tag=TAG, missing=True)
async def forget(request: Request) -> Forgotten:
    """Forget a memory and its history, to the last byte."""
    held, person, number = services(request), person_of(request), request.path_params["number"]

    def write() -> Forgotten:
        return Forgotten(forgotten=_open(request).forget(person.id, number))

    return await held.work(write)


def _open(request: Request) -> Memories:
    opened = services(request).graphs.memories
    if opened is None:
        raise Problem(409, "Nothing is remembered on this server.", hint="memory.enabled is off.")
    return opened


def _list(found: list[Memory]) -> FactList:
    return FactList(memories=[Fact(**_fields(each)) for each in found])


def _fields(found: Memory) -> dict[str, object]:
    return {name: value for name, value in found.as_json().items() if name != "user"}


ENDPOINTS = [memories, kinds, search, remember, forget_all, memory, edit, forget]
