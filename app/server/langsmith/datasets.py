"""Data sets as LangSmith's client makes, reads and changes them: `/datasets`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import Dataset, DatasetStore
from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.errors import conflict, missing, wrong
from groundling.server.langsmith.parameters import object_of, page, uuids
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.sessions import TENANT
from groundling.server.langsmith.wire import identity, mapping, optional, shown, words

_ALL = 1_000_000


async def create(request: Request) -> Response:
    """Make a data set."""
    held = service(request)
    body = await read_object(request)
    if body.get("transformations"):
        raise wrong("Data sets here are stored as they are given; leave transformations out.")
    name = words(body.get("name")) or ""
    extra = mapping(body.get("extra"), "extra")
    metadata = mapping(body.get("metadata") or extra.get("metadata"), "metadata")

    def answer() -> dict[str, Any]:
        if known(held.datasets, name) is not None:
            raise conflict(f"There is a data set {name} already.")
        made = held.datasets.create(
            name,
            description=words(body.get("description"), 10_000),
            id=optional(body.get("id"), "id"),
            data_type=str(body.get("data_type") or "kv"),
            metadata=metadata,
            inputs_schema=body.get("inputs_schema_definition"),
            outputs_schema=body.get("outputs_schema_definition"),
        )
        return dataset_json(held, made)

    return await json_answer(held, answer)


async def listed(request: Request) -> Response:
    """List data sets, the one last changed first."""
    held = service(request)
    query = request.query_params
    limit, offset = page(request)
    ids, metadata = uuids(request, "id"), object_of(request, "metadata")

    def answer() -> list[dict[str, Any]]:
        name, data_type = query.get("name"), query.get("data_type")
        if name is not None:
            found = [each for each in [known(held.datasets, name)] if each is not None]
        else:
            found = held.datasets.list(query.get("name_contains"), limit=_ALL)
        chosen = [
            each
            for each in found
            if (not ids or each.id in ids)
            and data_type in (None, each.data_type)
            and all(each.metadata.get(key) == value for key, value in metadata.items())
        ]
        return [dataset_json(held, each) for each in chosen[offset : offset + limit]]

    return await json_answer(held, answer)


async def read(request: Request) -> Response:
    """Return a data set."""
    held = service(request)
    wanted = identity(request.path_params["dataset_id"])
    return await json_answer(held, lambda: dataset_json(held, known_dataset(held, wanted)))


async def update(request: Request) -> Response:
    """Change what is said about a data set."""
    held = service(request)
    wanted = identity(request.path_params["dataset_id"])
    body = await read_object(request)

    def answer() -> dict[str, Any]:
        known_dataset(held, wanted)
        changed = held.datasets.update(
            wanted,
            name=words(body.get("name")),
            description=words(body.get("description"), 10_000),
            metadata=_maybe(body, "metadata"),
            inputs_schema=_maybe(body, "inputs_schema_definition"),
            outputs_schema=_maybe(body, "outputs_schema_definition"),
        )
        return dataset_json(held, changed)

    return await json_answer(held, answer)


async def remove(request: Request) -> Response:
    """Delete a data set; the runs that answered it stay."""
    held = service(request)
    wanted = identity(request.path_params["dataset_id"])

    def delete() -> None:
        known_dataset(held, wanted)
        held.datasets.delete(wanted)

    await held.work(delete)
    return JSONResponse({})


def known(store: DatasetStore, which: UUID | str) -> Dataset | None:
    """Return a data set, if there is one of that name or id."""
    try:
        return store.get(which)
    except EvaluationError:
        return None


def known_dataset(held: Service, dataset_id: UUID) -> Dataset:
    """Return a data set.

    Raises:
        HTTPException: 404, there is none.
    """
    found = known(held.datasets, dataset_id)
    if found is None:
        raise missing(f"data set {dataset_id}")
    return found


def dataset_json(held: Service, dataset: Dataset) -> dict[str, Any]:
    """Write a data set as LangSmith does."""
    experiments, latest = held.traces.read(
        "SELECT count(*), max(started) FROM projects WHERE dataset = ?", (dataset.id.bytes,)
    )[0]
    return {
        "id": str(dataset.id),
        "name": dataset.name,
        "description": dataset.description,
        "data_type": dataset.data_type,
        "created_at": shown(dataset.created),
        "modified_at": shown(dataset.modified),
        "example_count": dataset.example_count,
        "session_count": experiments,
        "last_session_start_time": shown(latest),
        "inputs_schema_definition": dataset.inputs_schema,
        "outputs_schema_definition": dataset.outputs_schema,
        "transformations": None,
        "metadata": dataset.metadata,
        "tenant_id": TENANT,
    }


def _maybe(body: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return None if body.get(name) is None else mapping(body[name], name)


ROUTES = [
    Route("/datasets", create, methods=["POST"]),
    Route("/datasets", listed, methods=["GET"]),
    Route("/datasets/{dataset_id}", read, methods=["GET"]),
    Route("/datasets/{dataset_id}", update, methods=["PATCH"]),
    Route("/datasets/{dataset_id}", remove, methods=["DELETE"]),
]
