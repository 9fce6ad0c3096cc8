"""Knowledge bases: listed, made, shared, deleted, searched with the reasons shown."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request

from groundling.errors import KnowledgeError
from groundling.server.api.bases import Bases
from groundling.server.api.endpoint import Answer, Body, endpoint
from groundling.server.api.state import state
from groundling.server.people.knowledge import KnowledgeEntry
from groundling.server.people.people import People
from groundling.server.people.roles import require
from groundling.server.person import Role, person_of
from groundling.server.problems import Problem, not_found, without_home
from groundling.server.services import services

TAG = "Knowledge"
_PATH = "/api/knowledge/{base:base}"


class Base(Answer):
    """A knowledge base, as the person who asks sees it.

    `id` is its name in paths. `waiting` passages have no vector yet. `languages` are shares
    of its letters. `error` says why it cannot be opened; the figures are then 0.
    """

    id: str
    name: str
    owner: str
    shared: bool
    writable: bool
    documents: int = 0
    passages: int = 0
    waiting: int = 0
    characters: int = 0
    bytes: int = 0
    languages: dict[str, float] = Field(default_factory=dict)
    index: str | None = None
    embedder: str | None = None
    error: str | None = None


class BaseList(Answer):
    """The bases that one may read, the own ones first."""

    knowledge: list[Base]


class NewBase(Body):
    """A base to be made; without documents."""

    name: str = Field(min_length=1, max_length=64)
    shared: bool = False


class BaseChange(Body):
    """What is to be changed of a base."""

    shared: bool


class Search(Body):
    """What is looked for."""

    query: str = Field(min_length=1, max_length=4000)
    k: int = Field(6, ge=1, le=100)


class FoundPassage(Answer):
    """A passage; `start` and `end` are characters (code points) of its document's text."""

    chunk_id: int
    document_id: int
    source: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str


class ByWords(Answer):
    """A place in the ranking by words: BM25, and the terms of the query that are in it."""

    rank: int
    score: float
    terms: list[str]


class ByMeaning(Answer):
    """A place in the ranking by meaning: the cosine of its vector and the query's."""

    rank: int
    score: float


class Explained(Answer):
    """A passage that was found, and why."""

    passage: FoundPassage
    score: float
    lexical: ByWords | None
    dense: ByMeaning | None


class SearchResult(Answer):
    """What was found, best first.

    `coverage` is the share of what the query names that stands in one passage. The ranking
    by meaning counts `dense_weight`, the one by words 1.
    """

    query: str
    language: str
    dense_weight: float
    coverage: float
    found: list[Explained]


Name = Annotated[str, Field(min_length=1, max_length=200)]


@endpoint("GET", "/api/knowledge", tag=TAG)
async def bases(request: Request) -> BaseList:
    """List the knowledge bases."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def read() -> BaseList:
        entries = held.people.knowledge_shown(person)
        shown = [entry for entry in entries if opened.exists(entry.folder)]
        return BaseList(knowledge=[_described(opened, entry) for entry in shown])

    return await held.work(read)


@endpoint("POST", "/api/knowledge", tag=TAG, status=201, conflict=True)
async def create(request: Request, body: NewBase) -> Base:
    """Make a knowledge base."""
    held, person, opened = services(request), require(request, Role.MEMBER), state(request).bases

    def make() -> Base:
        with opened.making:
            folder = held.people.knowledge_folder(person, body.name)
            held.people.owners.claim("knowledge", folder, person.id)
            try:
                opened.create(folder)
            except BaseException:
                held.people.forget_knowledge(folder)
                raise
        if body.shared:
            held.people.share_knowledge(person, body.name, True)
        held.people.audit(person, "knowledge.create", body.name, shared=body.shared)
        return _described(opened, entry_of(held.people, person, folder))

    return await held.work(make)


@endpoint("GET", _PATH, tag=TAG, missing=True)
async def one(request: Request) -> Base:
    """Describe a knowledge base."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def read() -> Base:
        folder = held.people.knowledge(person, named(request))
        return _described(opened, entry_of(held.people, person, folder))

    return await held.work(read)


@endpoint("PATCH", _PATH, tag=TAG, missing=True)
async def change(request: Request, body: BaseChange) -> Base:
    """Share a knowledge base with all people of this server, to be read; or stop that."""
    held, person, opened = services(request), require(request, Role.MEMBER), state(request).bases

    def write() -> Base:
        name = named(request)
        folder = held.people.knowledge(person, name, write=True)
        held.people.share_knowledge(person, name, body.shared)
        held.people.audit(person, "knowledge.share", name, shared=body.shared)
        return _described(opened, entry_of(held.people, person, folder))

    return await held.work(write)


@endpoint("DELETE", _PATH, tag=TAG, missing=True, conflict=True)
async def delete(request: Request) -> None:
    """Delete a knowledge base with all its documents."""
    held, person, kept = services(request), require(request, Role.MEMBER), state(request)
    name = named(request)
    folder = await held.work(held.people.knowledge, person, name, write=True)
    kept.jobs.check_free(folder, name)

    def remove() -> None:
        with kept.bases.making:
            held.people.knowledge(person, name, write=True)  # two may delete it at once
            kept.bases.delete(folder)
            held.people.forget_knowledge(folder)
        held.people.audit(person, "knowledge.delete", name)

    await held.work(remove)


@endpoint("POST", _PATH + "/search", tag=TAG, missing=True)
async def search(request: Request, body: Search) -> SearchResult:
    """Find passages, without asking a model, and say why each was found."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def find() -> SearchResult:
        folder = held.people.knowledge(person, named(request))
        with opened.searching(folder) as base:
            found = base.explain(body.query, body.k)
            covered = base.coverage(body.query, [each.passage for each in found])
            weight = base.dense_weight(body.query)
        return SearchResult(
            query=body.query,
            language=_language(body.query),
            dense_weight=weight,
            coverage=round(covered, 3),
            found=[_explained(each) for each in found],
        )

    return await held.work(find)


def named(request: Request) -> str:
    """Return the base that the path names, as people name it."""
    return str(request.path_params["base"])


def entry_of(people: People, person: Any, folder: str) -> KnowledgeEntry:
    """Return what a person sees of a base that they may read.

    Raises:
        Problem: 404, it went meanwhile.
    """
    for entry in people.knowledge_shown(person):
        if entry.folder == folder:
            return entry
    raise not_found("such knowledge base")


def _described(opened: Bases, entry: KnowledgeEntry) -> Base:
    about = {
        "id": entry.name.replace("/", ":"),
        "name": entry.name,
        "owner": entry.owner,
        "shared": entry.shared,
        "writable": entry.writable,
    }
    try:
        with opened.reading(entry.folder) as base:
            figures = base.statistics()
    except (KnowledgeError, Problem, OSError) as error:
        reason = without_home(str(error), opened.home)
        return Base(**about, error=reason)
    embedder = (figures.embedder or {}).get("model")
    return Base(
        **about,
        documents=figures.documents,
        passages=figures.passages,
        waiting=figures.waiting,
        characters=figures.characters,
        bytes=figures.bytes,
        languages=figures.languages,
        index=figures.index,
        embedder=str(embedder) if embedder else None,
    )


def _explained(found: Any) -> Explained:
    passage = found.passage
    lexical = dense = None
    if found.word_rank is not None:
        lexical = ByWords(rank=found.word_rank, score=found.word_score, terms=list(found.words))
    if found.meaning_rank is not None:
        dense = ByMeaning(rank=found.meaning_rank, score=found.cosine)
    return Explained(
        passage=FoundPassage(
            **{name: getattr(passage, name) for name in FoundPassage.model_fields}
        ),
        score=passage.score,
        lexical=lexical,
        dense=dense,
    )


def _language(text: str) -> str:
    from groundling.knowledge import fusion
    from groundling.knowledge.preparation import letters
    from groundling.knowledge.store import shares

    return fusion.language(shares(*letters(text)))


ENDPOINTS = [bases, create, one, change, delete, search]
