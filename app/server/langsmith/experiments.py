"""Experiments: their runs beside the examples, and comparisons of several experiments.

A comparison is noted in the `extra` of the experiments that it compares.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import Example
from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.conditions import condition
from groundling.server.langsmith.datasets import known_dataset
from groundling.server.langsmith.errors import BadPart, missing, wrong
from groundling.server.langsmith.examples import example_json
from groundling.server.langsmith.filters import parse
from groundling.server.langsmith.projects import Project, Projects
from groundling.server.langsmith.queries import Page
from groundling.server.langsmith.runs import full
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.sessions import TENANT
from groundling.server.langsmith.wire import identity, mapping, moment, optional, shown, words
from groundling.tracing.query import RunFilter
from groundling.tracing.run import StoredRun

_COMPARISONS = "comparative_experiments"
_MOST = 100


async def runs_of_examples(request: Request) -> Response:
    """List the examples that experiments answered, each with the runs that did."""
    held = service(request)
    dataset_id = identity(request.path_params["dataset_id"])
    body = await read_object(request)
    sessions = _ids(body, "session_ids")
    limit, offset = _count(body, "limit", 20), _count(body, "offset", 0)

    def answer() -> list[dict[str, Any]]:
        found = answered(held, dataset_id, sessions, limit, offset, filters=_filters(body))
        return [
            example_json(example) | {"runs": full(held, Page(runs), None)[0]}
            for example, runs in found
        ]

    return await json_answer(held, answer)


async def compare(request: Request) -> Response:
    """Note that experiments are compared."""
    held = service(request)
    body = await read_object(request)
    now = time.time_ns() // 1000
    compared = _ids(body, "experiment_ids")
    noted = {
        "id": str(optional(body.get("id"), "id") or uuid.uuid4()),
        "name": words(body.get("name")),
        "description": words(body.get("description"), 10_000),
        "tenant_id": TENANT,
        "created_at": shown(moment(body.get("created_at")) or now),
        "modified_at": shown(now),
        "reference_dataset_id": str(
            identity(body.get("reference_dataset_id"), "reference_dataset_id")
        ),
        "extra": dict(mapping(body.get("extra"), "extra")),
        "experiment_ids": [str(each) for each in compared],
    }

    def answer() -> dict[str, Any]:
        projects = Projects(held.traces)
        for experiment in [known_experiment(held, each) for each in compared]:
            others = experiment.extra.get(_COMPARISONS, [])
            projects.update(
                experiment.id, extra={**experiment.extra, _COMPARISONS: [*others, noted]}
            )
        return _comparison_json(held, noted)

    return await json_answer(held, answer)


async def comparisons(request: Request) -> Response:
    """List the comparisons of experiments with a data set."""
    held = service(request)
    dataset_id = identity(request.path_params["dataset_id"])

    def answer() -> list[dict[str, Any]]:
        found = {
            noted["id"]: noted
            for experiment in Projects(held.traces).find(datasets=[dataset_id], limit=-1)
            for noted in experiment.extra.get(_COMPARISONS, [])
        }
        return [_comparison_json(held, noted) for noted in found.values()]

    return await json_answer(held, answer)


def answered(
    held: Service,
    dataset_id: UUID,
    experiments: Sequence[UUID],
    limit: int,
    offset: int,
    *,
    filters: Mapping[UUID, Sequence[str]] | None = None,
    examples: Sequence[UUID] = (),
) -> list[tuple[Example, list[StoredRun]]]:
    """Return examples of a data set that experiments answered, with the runs that did.

    Args:
        filters: conditions on the runs of each experiment.
        examples: only these.
    """
    known_dataset(held, dataset_id)
    projects = [known_experiment(held, each) for each in experiments]
    wanted = RunFilter(roots=True, project_ids=experiments, examples=examples)
    for experiment, several in (filters or {}).items():
        for each in several:
            sql, values = condition(parse(each))
            wanted.clauses.append(
                (f"projects.uuid IS NOT ? OR ({sql})", [experiment.bytes, *values])
            )
    conditions = wanted.conditions()
    where = " AND ".join(f"({sql})" for sql, _ in conditions)
    rows = held.traces.read(
        "SELECT runs.example FROM runs JOIN projects ON projects.id = runs.project "  # noqa: S608
        f"WHERE {where} AND runs.example IS NOT NULL GROUP BY runs.example "
        "ORDER BY min(runs.started), runs.example LIMIT ? OFFSET ?",
        [*(value for _, values in conditions for value in values), limit, offset],
    )
    ids = [UUID(bytes=row[0]) for row in rows]
    if not ids:
        return []
    wanted.examples = ids
    by_example: dict[UUID, list[StoredRun]] = {}
    for run in held.traces.find(wanted, limit=-1, oldest_first=True):
        if run.example is not None:
            by_example.setdefault(run.example, []).append(run)
    known = _examples(held, dataset_id, ids, projects)
    return [(known[each], by_example[each]) for each in ids if each in known]


def known_experiment(held: Service, id: UUID) -> Project:
    """Return an experiment.

    Raises:
        HTTPException: 404, there is none.
    """
    found = Projects(held.traces).get(id)
    if found is None:
        raise missing(f"experiment {id}")
    return found


def _examples(
    held: Service, dataset_id: UUID, ids: Sequence[UUID], projects: Sequence[Project]
) -> dict[UUID, Example]:
    """Return examples as they were when the experiments answered them, if that is known."""
    for version in (*(project.metadata.get("dataset_version") for project in projects), None):
        try:
            found = held.datasets.examples(dataset_id, as_of=version, ids=ids)
        except EvaluationError:
            continue
        if found:
            return {each.id: each for each in found}
    return {}


def _comparison_json(held: Service, noted: Mapping[str, Any]) -> dict[str, Any]:
    compared = [Projects(held.traces).get(UUID(each)) for each in noted["experiment_ids"]]
    return {
        **{name: value for name, value in noted.items() if name != "experiment_ids"},
        "experiments_info": [
            {"id": str(each.id), "name": each.name} for each in compared if each is not None
        ],
        "feedback_stats": None,
    }


def _ids(body: Mapping[str, Any], name: str) -> list[UUID]:
    given = body.get(name)
    if not isinstance(given, list) or not given:
        raise wrong(f"{name} should be a list of ids.")
    return [identity(each, name) for each in given]


def _filters(body: Mapping[str, Any]) -> dict[UUID, list[str]]:
    found = mapping(body.get("filters"), "filters")
    if not all(isinstance(each, list) for each in found.values()):
        raise BadPart("filters are lists of filters, by the ids of experiments")
    return {identity(id, "filters"): [str(each) for each in many] for id, many in found.items()}


def _count(body: Mapping[str, Any], name: str, usual: int) -> int:
    given = body.get(name)
    if given is None:
        return usual
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise BadPart(f"{name} should be a count.")
    return min(given, _MOST) if name == "limit" else given


ROUTES = [
    Route("/datasets/comparative", compare, methods=["POST"]),
    Route("/datasets/{dataset_id}/comparative", comparisons, methods=["GET"]),
    Route("/datasets/{dataset_id}/runs", runs_of_examples, methods=["POST"]),
]
