"""Traces: what runs did, for whoever asked for them; and feedback on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from groundling.errors import TraceError
from groundling.server.api.endpoint import Answer, Body, Query, endpoint
from groundling.server.api.ownership import own_trace, own_traces
from groundling.server.person import Person, person_of
from groundling.server.problems import Problem, not_found
from groundling.server.services import Services, services
from groundling.tracing import attach, waterfall
from groundling.tracing.as_json import feedback_as_json, run_as_json
from groundling.tracing.feedback import THUMBS, Feedback, FeedbackBook
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status

TAG = "Traces"
_ONE = "/api/traces/{trace:uuid}"
_PATIENCE = 2.0  # seconds that what was just recorded may take to be stored
T = TypeVar("T")


class Opinion(Answer):
    """Feedback on a run; `correction` is what would have been right."""

    id: UUID
    run: UUID | None
    trace: UUID | None
    key: str
    score: float | None
    value: JsonValue
    comment: str | None
    correction: JsonValue
    source: dict[str, JsonValue]
    extra: dict[str, JsonValue]
    created: str


class OpinionList(Answer):
    """Feedback on a trace and the runs in it, the oldest first."""

    feedback: list[Opinion]


class TraceRow(Answer):
    """A trace in a list: its root run; times in seconds, `started` ISO 8601."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    trace: UUID
    name: str
    graph: str | None
    status: Status
    started: str
    duration: float | None
    first_token: float | None
    error: str | None
    model: str | None
    verdict: str | None
    thread: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    preview: str
    answer: str
    feedback: list[Opinion]


class TraceList(Answer):
    """Traces, the newest first; `more` of them follow."""

    traces: list[TraceRow]
    more: bool


class Waterfall(Answer):
    """A trace with all its runs, in the order of a tree; see `groundling.tracing.waterfall`."""

    model_config = ConfigDict(extra="allow")

    trace: UUID
    name: str
    thread: str | None
    status: Status
    verdict: str | None
    started: str
    duration: float | None
    seconds: float
    asked: str
    answered: str
    error: str | None
    feedback: list[Opinion]
    runs: list[dict[str, JsonValue]]


class Wanted(Query):
    """Which traces."""

    graph: str | None = Field(None, max_length=200)
    status: list[Status] = Field(default_factory=list, max_length=10)
    verdict: str | None = Field(None, max_length=100)
    text: str | None = Field(None, max_length=1000, description="words of what went in or out")
    feedback: str | None = Field(
        None, max_length=100, description="a key, or a comparison: `<0`, `thumbs>=1`"
    )
    thread: str | None = Field(None, max_length=200)
    slower: float | None = Field(None, ge=0, le=1e9, allow_inf_nan=False, description="seconds")
    since: datetime | None = Field(None, description="began then or later")
    until: datetime | None = Field(None, description="began before")
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=100_000)


class Judgement(Body):
    """What you think of a run: thumbs (a score of 1 or -1), a comment, the right answer."""

    run: UUID | None = Field(None, strict=False, description="default: the whole answer")
    key: str | None = Field(None, min_length=1, max_length=100, pattern=r"^[\w.:-]+$")
    score: float | None = Field(None, ge=-1e9, le=1e9)
    comment: str | None = Field(None, max_length=20_000)
    correction: str | dict[str, JsonValue] | None = None


class Reconsidered(Body):
    """What to change of feedback; what is left out stays."""

    score: float | None = Field(None, ge=-1e9, le=1e9)
    comment: str | None = Field(None, max_length=20_000)
    correction: str | dict[str, JsonValue] | None = None


@endpoint("GET", "/api/traces", tag=TAG)
async def traces(request: Request, query: Wanted) -> TraceList:
    """List your traces, the newest first."""

    def read(held: Services, person: Person) -> TraceList:
        wanted = RunFilter(
            graph=query.graph,
            status=query.status,
            verdict=query.verdict,
            text=query.text,
            feedback=query.feedback,
            thread=query.thread,
            slower=query.slower,
            since=_microseconds(query.since),
            until=_microseconds(query.until),
        )
        try:
            wanted.conditions()
        except TraceError as error:
            raise Problem(422, str(error), hint=error.hint, param="feedback") from error
        found = own_traces(held, person, wanted, query.limit + 1, query.offset)
        shown = found[: query.limit]
        said = FeedbackBook(held.traces).of_traces([run.trace for run in shown])
        return TraceList(
            traces=[
                TraceRow(
                    **run_as_json(run),
                    feedback=[_opinion(each) for each in reversed(said.get(run.trace, []))],
                )
                for run in shown
            ],
            more=len(found) > query.limit,
        )

    return await _stored(request, read)


@endpoint("GET", _ONE, tag=TAG, missing=True)
async def trace(request: Request) -> Waterfall:
    """Return a trace with everything that is known of it; any run in it names it."""

    def read(held: Services, person: Person) -> Waterfall:
        return Waterfall(**waterfall.view(held.traces, _named(held, person, request)))

    return await _stored(request, read)


@endpoint("GET", _ONE + "/html", tag=TAG, missing=True, media="text/html")
async def page(request: Request) -> Response:
    """Download a trace as a page that needs nothing else."""

    def read(held: Services, person: Person) -> tuple[str, str]:
        view = waterfall.view(held.traces, _named(held, person, request))
        return view["trace"], waterfall.html(view)

    name, written = await _stored(request, read)
    disposition = f'attachment; filename="trace-{name}.html"'
    return Response(written, media_type="text/html", headers={"Content-Disposition": disposition})


@endpoint("GET", _ONE + "/feedback", tag=TAG, missing=True)
async def opinions(request: Request) -> OpinionList:
    """List the feedback on a trace."""

    def read(held: Services, person: Person) -> OpinionList:
        named = _named(held, person, request)
        said = FeedbackBook(held.traces).of_traces([named]).get(named, [])
        return OpinionList(feedback=[_opinion(each) for each in reversed(said)])

    return await _stored(request, read)


@endpoint("POST", _ONE + "/feedback", tag=TAG, status=201, missing=True)
async def judge(request: Request, body: Judgement) -> Opinion:
    """Say what you think of one of your runs."""
    if body.score is None and not body.comment and body.correction is None:
        raise Problem(422, "There is no opinion in it.", hint="Give score, comment or correction.")

    def write(held: Services, person: Person) -> Opinion:
        named = _named(held, person, request)
        run = body.run or request.path_params["trace"]
        if own_trace(held, person, run) != named:
            raise not_found(f"run {run} in trace {named}")
        thumbs = body.score in (1.0, -1.0)
        default = THUMBS if thumbs else "note" if body.score is None else "score"
        given = Feedback(
            key=body.key or default,
            run=run,
            trace=named,
            score=body.score,
            comment=body.comment,
            correction=body.correction,
            source={"type": "app", "user": person.id},
        )
        FeedbackBook(held.traces).add(given)
        held.people.audit(person, "feedback.add", str(named), key=given.key)
        return _opinion(FeedbackBook(held.traces).get(given.id))

    return await _stored(request, write)


@endpoint("PATCH", "/api/feedback/{feedback:uuid}", tag=TAG, missing=True)
async def reconsider(request: Request, body: Reconsidered) -> Opinion:
    """Change feedback on one of your runs."""

    def write(held: Services, person: Person) -> Opinion:
        book, known = _judged(held, person, request)
        changes = {name: getattr(body, name) for name in body.model_fields_set}
        book.add(replace(known, modified=0, **changes))
        return _opinion(book.get(known.id))

    return await _stored(request, write)


@endpoint("DELETE", "/api/feedback/{feedback:uuid}", tag=TAG, missing=True)
async def withdraw(request: Request) -> None:
    """Take feedback on one of your runs back."""

    def write(held: Services, person: Person) -> None:
        book, known = _judged(held, person, request)
        book.remove(known.id)
        held.people.audit(person, "feedback.delete", str(known.id))

    await _stored(request, write)


async def _stored(request: Request, work: Callable[[Services, Person], T]) -> T:
    """Do something with the store of runs, in which all is that was recorded until now."""
    held, person = services(request), person_of(request)

    def done() -> T:
        attach.flush(_PATIENCE)
        return work(held, person)

    return await held.work(done)


def _named(held: Services, person: Person, request: Request) -> UUID:
    return own_trace(held, person, request.path_params["trace"])


def _judged(held: Services, person: Person, request: Request) -> tuple[FeedbackBook, Feedback]:
    """Return the feedback that the path names.

    Raises:
        Problem: 404, there is none, or it is on another's run.
    """
    book = FeedbackBook(held.traces)
    id = request.path_params["feedback"]
    known = book.get(id)
    if known.trace is None:
        held.people.owners.check("trace", "", person, f"feedback {id}")
    else:
        held.people.owners.check("trace", str(known.trace), person, f"feedback {id}")
    return book, known


def _opinion(given: Feedback) -> Opinion:
    return Opinion(**feedback_as_json(given))


def _microseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    try:
        return int((moment if moment.tzinfo else moment.astimezone()).timestamp() * 1e6)
    except (OverflowError, ValueError, OSError):
        raise Problem(422, "since and until: there is no such time.") from None


ENDPOINTS = [traces, trace, page, opinions, judge, reconsider, withdraw]
