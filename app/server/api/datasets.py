"""Data sets, to be looked at; the command line and LangSmith's clients make them."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field, JsonValue
from starlette.requests import Request

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import Dataset
from groundling.server.api.endpoint import Answer, Query, endpoint
from groundling.server.person import Person, person_of
from groundling.server.problems import not_found
from groundling.server.services import Services, services
from groundling.tracing.as_json import moment

TAG = "Evaluation"
_MANY = 1_000_000


class DatasetShown(Answer):
    """A data set; `version` names what it holds."""

    id: UUID
    name: str
    description: str | None
    data_type: str
    examples: int
    version: str
    created: str
    modified: str


class DatasetList(Answer):
    """Data sets, the one last changed first."""

    datasets: list[DatasetShown]


class ExampleShown(Answer):
    """An example."""

    id: UUID
    inputs: dict[str, JsonValue]
    outputs: dict[str, JsonValue] | None
    metadata: dict[str, JsonValue]
    split: list[str]


class ExampleList(Answer):
    """Examples; `more` of them follow."""

    examples: list[ExampleShown]
    more: bool


class Paged(Query):
    """Which part of a list."""

    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=10_000_000)


@endpoint("GET", "/api/datasets", tag=TAG)
async def datasets(request: Request) -> DatasetList:
    """List your data sets."""
    held, person = services(request), person_of(request)

    def read() -> DatasetList:
        every = {str(each.id): each for each in held.datasets.list(limit=_MANY)}
        mine = held.people.owners.mine("dataset", every, person.id)
        return DatasetList(datasets=[_shown(every[id]) for id in mine])

    return await held.work(read)


@endpoint("GET", "/api/datasets/{dataset}", tag=TAG, missing=True)
async def dataset(request: Request) -> DatasetShown:
    """Describe a data set, by its id or name."""
    held, person = services(request), person_of(request)
    return await held.work(lambda: _shown(_named(held, person, request)))


@endpoint("GET", "/api/datasets/{dataset}/examples", tag=TAG, missing=True)
async def examples(request: Request, query: Paged) -> ExampleList:
    """List the examples of a data set."""
    held, person = services(request), person_of(request)

    def read() -> ExampleList:
        found = held.datasets.examples(_named(held, person, request).id)
        part = found[query.offset : query.offset + query.limit]
        return ExampleList(
            examples=[
                ExampleShown(
                    id=each.id,
                    inputs=each.inputs,
                    outputs=each.outputs,
                    metadata=each.metadata,
                    split=each.split,
                )
                for each in part
            ],
            more=len(found) > query.offset + query.limit,
        )

    return await held.work(read)


def own_dataset(held: Services, person: Person, which: str | UUID) -> Dataset:
    """Return a data set of a person; blocks.

    Raises:
        Problem: 404, there is none of theirs.
    """
    what = f"data set {which}"
    try:
        found = held.datasets.get(which)
    except EvaluationError:
        raise not_found(what) from None
    held.people.owners.check("dataset", str(found.id), person, what)
    return found


def _named(held: Services, person: Person, request: Request) -> Dataset:
    return own_dataset(held, person, request.path_params["dataset"])


def _shown(found: Dataset) -> DatasetShown:
    return DatasetShown(
        id=found.id,
        name=found.name,
        description=found.description,
        data_type=found.data_type,
        examples=found.example_count,
        version=found.version,
        created=moment(found.created).isoformat(),
        modified=moment(found.modified).isoformat(),
    )


ENDPOINTS = [datasets, dataset, examples]
