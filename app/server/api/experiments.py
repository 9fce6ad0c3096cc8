"""Experiments: their figures with intervals, two side by side, and plots of both."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from groundling.errors import EvaluationError
from groundling.evaluation import compare as comparing
from groundling.evaluation.compare import Comparison, Pair
from groundling.evaluation.experiments import Experiment, ExperimentBook
from groundling.evaluation.plan import differences
from groundling.evaluation.results import Outcome, Results, read_results
from groundling.evaluation.score import asked_of, plain_answer_of
from groundling.evaluation.summary import summarise
from groundling.server.api import plots
from groundling.server.api.datasets import TAG, Paged
from groundling.server.api.endpoint import Answer, Query, endpoint
from groundling.server.person import Person, person_of
from groundling.server.problems import not_found
from groundling.server.services import Services, services
from groundling.tracing.as_json import moment

_ONE = "/api/experiments/{experiment}"
_COMPARE = "/api/experiments/compare"
_PAIRS = 200  # examples of a comparison, those that lost most
_LONGEST = 4000  # characters of one answer
_MANY = 1_000_000
Better = Literal["higher", "lower"]


class ExperimentShown(Answer):
    """An experiment; what it ran on is in `metadata`."""

    id: UUID
    name: str
    dataset: UUID
    dataset_name: str | None
    started: str
    ended: str | None
    complete: bool
    description: str | None
    metadata: dict[str, JsonValue]


class ExperimentList(Answer):
    """Experiments, the newest first."""

    experiments: list[ExperimentShown]


class ScoreShown(Answer):
    """A mean and its interval (bootstrap over examples, 95 %).

    `unjudged` are runs that the evaluator failed on.
    """

    key: str
    better: Better
    mean: float | None
    low: float | None
    high: float | None
    examples: int
    inapplicable: int
    unjudged: int


class ExperimentWithScores(ExperimentShown):
    """An experiment and its figures."""

    runs: int
    failed: int
    scores: list[ScoreShown]


class ResultShown(Answer):
    """What an experiment made of an example."""

    example: UUID
    asked: str
    trace: UUID
    answer: str
    status: str
    verdict: str | None
    error: str | None
    scores: dict[str, float | None]


class ResultList(Answer):
    """Results; `more` of them follow."""

    results: list[ResultShown]
    more: bool


class Setting(Answer):
    """Something in which two experiments differ."""

    name: str
    a: str
    b: str


class Compared(Answer):
    """How B differs from A by one score: the mean difference, its interval, p-values."""

    key: str
    better: Better
    examples: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    p: float
    p_sign: float
    drop: float
    unjudged_a: int
    unjudged_b: int


class Side(Answer):
    """What one experiment made of an example."""

    answer: str
    trace: UUID
    scores: dict[str, float | None]


class PairShown(Answer):
    """An example, and what A and B made of it."""

    example: UUID
    asked: str
    a: Side
    b: Side
    differences: dict[str, float | None]


class ComparisonShown(Answer):
    """Two experiments on the examples that both ran; the pairs that lost most first."""

    a: ExperimentShown
    b: ExperimentShown
    confidence: float
    examples: int
    notes: list[str]
    settings: list[Setting]
    scores: list[Compared]
    pairs: list[PairShown]


class OfDataset(Query):
    """Which experiments."""

    dataset: UUID | None = None
    limit: int = Field(100, ge=1, le=1000)


class Two(Query):
    """Which two, by id or name: A is what stands, B what may take its place."""

    a: str = Field(min_length=1, max_length=200)
    b: str = Field(min_length=1, max_length=200)
    confidence: float = Field(0.95, ge=0.5, le=0.999)


class PlotOfTwo(Two):
    """Which plot; of one score, or of the first."""

    by: Literal["differences", "histogram", "scatter"] = "differences"
    key: str | None = Field(None, max_length=200)


class PlotOfOne(Query):
    """Which score; default: all of them."""

    key: str | None = Field(None, max_length=200)


@endpoint("GET", "/api/experiments", tag=TAG)
async def experiments(request: Request, query: OfDataset) -> ExperimentList:
    """List the experiments on your data sets."""
    held, person = services(request), person_of(request)

    def read() -> ExperimentList:
        names = {each.id: each.name for each in held.datasets.list(limit=_MANY)}
        every = ExperimentBook(held.traces).list(query.dataset, limit=_MANY)
        owned = {str(each.dataset) for each in every}
        mine = set(held.people.owners.mine("dataset", owned, person.id))
        shown = [each for each in every if str(each.dataset) in mine][: query.limit]
        return ExperimentList(experiments=[_shown(each, names.get(each.dataset)) for each in shown])

    return await held.work(read)


@endpoint("GET", _COMPARE, tag=TAG, missing=True)
async def compare(request: Request, query: Two) -> ComparisonShown:
    """Compare experiment B with A, example by example."""
    held, person = services(request), person_of(request)

    def read() -> ComparisonShown:
        found = _compared(held, person, query)
        sides = found.a.experiment, found.b.experiment
        a, b = (_shown(each, _dataset_name(held, each)) for each in sides)
        differ = differences(sides[0].metadata, sides[1].metadata)
        return ComparisonShown(
            a=a,
            b=b,
            confidence=query.confidence,
            examples=len(found.pairs),
            notes=found.notes,
            settings=[
                Setting(
                    name=name.removeprefix("target."),
                    a=comparing.brief(x),
                    b=comparing.brief(y),
                )
                for name, (x, y) in differ.items()
            ],
            scores=[_difference(each) for each in found.differences],
            pairs=[_pair(held, found, each) for each in found.pairs[:_PAIRS]],
        )

    return await held.work(read)


@endpoint("GET", _COMPARE + "/plot.svg", tag=TAG, missing=True, media="image/svg+xml")
async def compare_plot(request: Request, query: PlotOfTwo) -> Response:
    """Draw a comparison: differences with intervals, or one score of A and B."""
    held, person = services(request), person_of(request)

    def read() -> str:
        return plots.of_two(_compared(held, person, query), query.by, query.key)

    return _picture(await held.work(read))


@endpoint("GET", _ONE, tag=TAG, missing=True)
async def experiment(request: Request) -> ExperimentWithScores:
    """Return the figures of an experiment, by its id or name."""
    held, person = services(request), person_of(request)

    def read() -> ExperimentWithScores:
        found = read_results(held.traces, _named(held, person, request))
        shown = _shown(found.experiment, _dataset_name(held, found.experiment))
        return ExperimentWithScores(
            **dict(shown),
            runs=len(found.outcomes),
            failed=len(found.failed),
            scores=[ScoreShown.model_validate(line) for line in summarise(found)],
        )

    return await held.work(read)


@endpoint("GET", _ONE + "/results", tag=TAG, missing=True)
async def results(request: Request, query: Paged) -> ResultList:
    """List what an experiment made of each example."""
    held, person = services(request), person_of(request)

    def read() -> ResultList:
        found = read_results(held.traces, _named(held, person, request))
        part = found.outcomes[query.offset : query.offset + query.limit]
        return ResultList(
            results=[_result(held, each) for each in part],
            more=len(found.outcomes) > query.offset + query.limit,
        )

    return await held.work(read)


@endpoint("GET", _ONE + "/plot.svg", tag=TAG, missing=True, media="image/svg+xml")
async def plot(request: Request, query: PlotOfOne) -> Response:
    """Draw the means of an experiment with their intervals."""
    held, person = services(request), person_of(request)

    def read() -> str:
        found: Results = read_results(held.traces, _named(held, person, request))
        lines = [each for each in summarise(found) if query.key in (None, each.key)]
        if query.key is not None and not lines:
            raise not_found(f"score {query.key}")
        return plots.of_one(lines)

    return _picture(await held.work(read))


def own_experiment(held: Services, person: Person, which: str) -> Experiment:
    """Return an experiment on a data set of a person, by its id or name; blocks.

    Raises:
        Problem: 404, there is none of theirs.
    """
    what = f"experiment {which}"
    try:
        found = ExperimentBook(held.traces).get(which)
    except EvaluationError:
        raise not_found(what) from None
    held.people.owners.check("dataset", str(found.dataset), person, what)
    return found


def _named(held: Services, person: Person, request: Request) -> Experiment:
    return own_experiment(held, person, request.path_params["experiment"])


def _compared(held: Services, person: Person, two: Two) -> Comparison:
    a, b = (own_experiment(held, person, which) for which in (two.a, two.b))
    return comparing.compare(
        held.traces, held.datasets, str(a.id), str(b.id), confidence=two.confidence
    )


def _dataset_name(held: Services, found: Experiment) -> str | None:
    try:
        return held.datasets.get(found.dataset).name
    except EvaluationError:
        return None  # it was deleted; its experiments stay


def _shown(found: Experiment, dataset: str | None) -> ExperimentShown:
    return ExperimentShown(
        id=found.id,
        name=found.name,
        dataset=found.dataset,
        dataset_name=dataset,
        started=moment(found.started).isoformat(),
        ended=moment(found.ended).isoformat() if found.ended is not None else None,
        complete=found.complete,
        description=found.description,
        metadata=dict(found.metadata),
    )


def _difference(found: comparing.Difference) -> Compared:
    figures = found.paired
    return Compared(
        key=found.key,
        better=found.better,
        examples=figures.examples,
        mean_a=figures.mean_a,
        mean_b=figures.mean_b,
        difference=figures.difference,
        low=figures.low,
        high=figures.high,
        wins=found.wins,
        ties=figures.ties,
        losses=found.losses,
        p=figures.p,
        p_sign=figures.p_sign,
        drop=found.drop,
        unjudged_a=found.unjudged_a,
        unjudged_b=found.unjudged_b,
    )


def _pair(held: Services, found: Comparison, pair: Pair) -> PairShown:
    keys = [each.key for each in found.differences]
    return PairShown(
        example=pair.a[0].example,
        asked=asked_of(pair.example) if pair.example else "",
        a=_side(held, pair.a[0], {key: pair.mean_a(key) for key in keys}),
        b=_side(held, pair.b[0], {key: pair.mean_b(key) for key in keys}),
        differences={key: pair.difference(key) for key in keys},
    )


def _side(held: Services, outcome: Outcome, scores: dict[str, float | None]) -> Side:
    return Side(answer=_answer(held, outcome), trace=outcome.run.trace, scores=scores)


def _result(held: Services, outcome: Outcome) -> ResultShown:
    run = outcome.run
    return ResultShown(
        example=outcome.example,
        asked=run.preview,
        trace=run.trace,
        answer=_answer(held, outcome),
        status=str(run.status),
        verdict=run.verdict,
        error=run.error,
        scores={key: said.score for key, said in outcome.scores.items()},
    )


def _answer(held: Services, outcome: Outcome) -> str:
    if outcome.failed:
        return (outcome.run.error or "").partition("\n")[0][:_LONGEST]
    return plain_answer_of(held.traces.payload(outcome.run).outputs or {})[:_LONGEST]


def _picture(svg: str) -> Response:
    return Response(svg, media_type="image/svg+xml")


ENDPOINTS = [experiments, compare, compare_plot, experiment, results, plot]
