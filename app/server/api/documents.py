"""The documents of a knowledge base: uploaded, listed, read, removed; and the jobs of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.requests import Request

from groundling.knowledge.passage import Document as Stored
from groundling.server.api.adding import Adding
from groundling.server.api.bases import Bases
from groundling.server.api.endpoint import LONGEST, Answer, Query, endpoint
from groundling.server.api.knowledge import TAG, named
from groundling.server.api.state import state
from groundling.server.api.uploads import receive
from groundling.server.people.roles import require
from groundling.server.person import Role, person_of
from groundling.server.problems import Problem, not_found
from groundling.server.services import services
from groundling.server.sse import EventStream, as_json, frame

_PATH = "/api/knowledge/{base:base}/documents"
_ONE = _PATH + "/{document:number}"
MOST_TEXT = 1_000_000  # characters in one answer
_PLACE = 2**53 - 1  # what JavaScript counts to


class Document(Answer):
    """A document; `uploaded` ones came through this interface, others on the command line."""

    id: int
    source: str
    title: str
    format: str
    characters: int
    passages: int
    pages: int
    added: str
    uploaded: bool
    languages: dict[str, float]


class DocumentList(Answer):
    """Documents by source; `more` of them follow."""

    documents: list[Document]
    more: bool


class Listed(Query):
    """Which documents."""

    text: str | None = Field(None, max_length=200, description="stands in title or source")
    limit: int = Field(1000, ge=1, le=10_000)
    offset: int = Field(0, ge=0, le=10_000_000)


class Source(Query):
    """A document's name, as citations have it."""

    source: str = Field(min_length=1, max_length=LONGEST)


class Span(Query):
    """Characters (Unicode code points) of a text, as citations count them."""

    start: int = Field(0, ge=0, le=_PLACE)
    end: int | None = Field(None, ge=0, le=_PLACE, description="default: the end of the text")
    around: int = Field(0, ge=0, le=100_000, description="characters before and after it")


class Text(Answer):
    """The characters `start` to `end` of a document of `length`, and what is around them."""

    id: int
    source: str
    title: str
    format: str
    start: int
    end: int
    length: int
    text: str
    before: str
    after: str


class Passage(Answer):
    """A passage of a document."""

    chunk_id: int
    heading: str
    page: int | None
    start: int
    end: int
    text: str


class PassageList(Answer):
    """Passages in order; `more` of them follow."""

    passages: list[Passage]
    more: bool


class Paged(Query):
    """Which part of a list."""

    limit: int = Field(200, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=10_000_000)


class FileReport(Answer):
    """What became of a file."""

    name: str
    outcome: Literal["added", "replaced", "unchanged", "skipped"]
    reason: str | None


class Report(Answer):
    """What became of an upload; `passages` are those of the whole base."""

    added: int
    replaced: int
    unchanged: int
    skipped: int
    passages: int
    seconds: float
    files: list[FileReport]


class JobShown(Answer):
    """A job: `done` of `total` of `what` it is at; the `report` once it is over."""

    id: UUID
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    what: str
    done: int
    total: int
    knowledge: str
    files: list[str]
    error: str | None
    report: Report | None


class JobList(Answer):
    """Jobs, the newest first."""

    jobs: list[JobShown]


@endpoint("GET", _PATH, tag=TAG, missing=True)
async def documents(request: Request, query: Listed) -> DocumentList:
    """List the documents of a base."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def read() -> DocumentList:
        folder = held.people.knowledge(person, named(request))
        wanted = (query.text or "").casefold()
        with opened.reading(folder) as base:
            found = [
                each
                for each in base.documents()
                if wanted in each.title.casefold() or wanted in each.source.casefold()
            ]
        part = found[query.offset : query.offset + query.limit]
        return DocumentList(
            documents=[_shown(opened, folder, each) for each in part],
            more=len(found) > query.offset + query.limit,
        )

    return await held.work(read)


@endpoint("POST", _PATH, tag=TAG, status=202, missing=True, conflict=True, form=True)
async def upload(request: Request) -> JobShown:
    """Add files, each a part with a file name; a job reads them in.

    A file with the name of one uploaded before takes its place. What is read, and which files
    are skipped and why, is in the job's report.
    """
    held, person, kept = services(request), require(request, Role.MEMBER), state(request)
    name = named(request)
    folder = await held.work(held.people.knowledge, person, name, write=True)
    kept.jobs.check_free(folder, name)
    files = await receive(request, held, kept.bases.documents(folder))
    shown = {"knowledge": name.replace("/", ":"), "files": [each.name for each in files]}
    adding = Adding(kept.bases, folder, files)
    try:
        kept.jobs.check_free(folder, name)  # another may have come while this one arrived
        job = kept.jobs.start(person, folder, shown, adding)
    except Problem:
        await held.work(adding.discard)
        raise
    await held.work(held.people.audit, person, "document.add", name, files=len(files))
    return JobShown(**job.as_json())


@endpoint("GET", _PATH + "/by-source", tag=TAG, missing=True)
async def by_source(request: Request, query: Source) -> Document:
    """Find a document by its source, as citations name it."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def read() -> Document:
        folder = held.people.knowledge(person, named(request))
        with opened.reading(folder) as base:
            found = [each for each in base.documents() if each.source == query.source]
        if not found:
            raise not_found("document of that source")
        return _shown(opened, folder, found[0])

    return await held.work(read)


@endpoint("GET", _ONE, tag=TAG, missing=True)
async def document(request: Request) -> Document:
    """Describe a document."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def read() -> Document:
        folder = held.people.knowledge(person, named(request))
        return _shown(opened, folder, _stored(opened, folder, request))

    return await held.work(read)


@endpoint("DELETE", _ONE, tag=TAG, missing=True, conflict=True)
async def remove(request: Request) -> None:
    """Remove a document, and its file if it was uploaded; files added otherwise stay."""
    held, person, kept = services(request), require(request, Role.MEMBER), state(request)
    name = named(request)
    folder = await held.work(held.people.knowledge, person, name, write=True)
    kept.jobs.check_free(folder, name)

    def delete() -> None:
        found = _stored(kept.bases, folder, request)
        with kept.bases.searching(folder) as base:
            base.remove(found.path)
            left = any(_file(each) == _file(found) for each in base.documents())
        if not left and _is_uploaded(kept.bases, folder, found):
            _file(found).unlink(missing_ok=True)
        kept.bases.changed()
        held.people.audit(person, "document.delete", name, document=found.id)

    await held.work(delete)


@endpoint("GET", _ONE + "/text", tag=TAG, missing=True)
async def text(request: Request, query: Span) -> Text:
    """Return a document's stored text, or the span of a citation and what is around it."""
    held, person, opened = services(request), person_of(request), state(request).bases
    if query.end is not None and query.end < query.start:
        raise Problem(422, "end: Should not be before start.", param="end")

    def read() -> Text:
        folder = held.people.knowledge(person, named(request))
        found = _stored(opened, folder, request)
        length = found.characters
        start = min(query.start, length)
        end = min(length if query.end is None else query.end, length, start + MOST_TEXT)
        first, last = max(0, start - query.around), min(length, end + query.around)
        with opened.reading(folder) as base:
            whole = base.text(found.id, first, last)
        return Text(
            id=found.id,
            source=found.source,
            title=found.title,
            format=found.format,
            start=start,
            end=end,
            length=length,
            before=whole[: start - first],
            text=whole[start - first : end - first],
            after=whole[end - first :],
        )

    return await held.work(read)


@endpoint("GET", _ONE + "/passages", tag=TAG, missing=True)
async def passages(request: Request, query: Paged) -> PassageList:
    """List the passages of a document."""
    held, person, opened = services(request), person_of(request), state(request).bases

    def read() -> PassageList:
        folder = held.people.knowledge(person, named(request))
        found = _stored(opened, folder, request)
        with opened.reading(folder) as base:
            every = base.chunks(found.id)
        part = every[query.offset : query.offset + query.limit]
        return PassageList(
            passages=[Passage.model_validate(_fields(each, Passage)) for each in part],
            more=len(every) > query.offset + query.limit,
        )

    return await held.work(read)


@endpoint("GET", "/api/jobs", tag=TAG)
async def jobs(request: Request) -> JobList:
    """List your jobs."""
    found = state(request).jobs.of(person_of(request))
    return JobList(jobs=[JobShown(**job.as_json()) for job in found])


@endpoint("GET", "/api/jobs/{job:uuid}", tag=TAG, missing=True)
async def job(request: Request) -> JobShown:
    """Tell how far a job is."""
    found = state(request).jobs.get(request.path_params["job"], person_of(request))
    return JobShown(**found.as_json())


@endpoint("GET", "/api/jobs/{job:uuid}/events", tag=TAG, missing=True, media="text/event-stream")
async def job_events(request: Request) -> EventStream:
    """Watch a job: events `progress`, and `end` as the last; each has the job as its data."""
    found = state(request).jobs.get(request.path_params["job"], person_of(request))

    async def frames() -> AsyncIterator[bytes]:
        async for told in found.changes():
            over = told["state"] in ("done", "failed", "cancelled")
            yield frame(as_json(told), "end" if over else "progress")

    return EventStream(frames())


@endpoint("DELETE", "/api/jobs/{job:uuid}", tag=TAG, missing=True)
async def cancel(request: Request) -> JobShown:
    """Stop a job after the document that it is at; what was read stays."""
    found = state(request).jobs.get(request.path_params["job"], person_of(request))
    found.cancel()
    return JobShown(**found.as_json())


def _stored(opened: Bases, folder: str, request: Request) -> Stored:
    """Return the document that the path names.

    Raises:
        Problem: 404, the base has none of that number.
    """
    number = request.path_params["document"]
    with opened.reading(folder) as base:
        for each in base.documents():
            if each.id == number:
                return each
    raise not_found(f"document {number} in {named(request)}")


def _shown(opened: Bases, folder: str, found: Stored) -> Document:
    uploaded = _is_uploaded(opened, folder, found)
    source = found.source
    if not uploaded and Path(source).is_absolute():
        source = Path(source).name  # where files are on this machine is nobody's business
    return Document(
        id=found.id,
        source=source,
        title=found.title,
        format=found.format,
        characters=found.characters,
        passages=found.chunks,
        pages=found.pages,
        added=found.added_at,
        uploaded=uploaded,
        languages=found.languages,
    )


def _is_uploaded(opened: Bases, folder: str, found: Stored) -> bool:
    return _file(found).parent == opened.documents(folder)


def _file(found: Stored) -> Path:
    return Path(found.path.partition("!/")[0])


def _fields(what: Any, kind: type[Answer]) -> dict[str, Any]:
    return {name: getattr(what, name) for name in kind.model_fields}


ENDPOINTS = [
    documents, upload, by_source, document, remove, text, passages,
    jobs, job, job_events, cancel,
]  # fmt: skip
