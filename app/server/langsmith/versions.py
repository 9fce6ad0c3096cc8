"""Versions of data sets, their tags, the difference of two, and splits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from groundling.evaluation.datasets import DatasetStore, ExampleChange, Version
from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.datasets import known_dataset
from groundling.server.langsmith.errors import wrong
from groundling.server.langsmith.parameters import page
from groundling.server.langsmith.service import service
from groundling.server.langsmith.wire import identity, shown, words


async def listed(request: Request) -> Response:
    """List the versions of a data set, the newest first."""
    held = service(request)
    dataset_id = _dataset(request)
    limit, offset = page(request)
    wanted = request.query_params.get("search", "")

    def answer() -> list[dict[str, Any]]:
        known_dataset(held, dataset_id)
        found = [
            each
            for each in held.datasets.versions(dataset_id)
            if not wanted or any(wanted in tag for tag in each.tags)
        ]
        return [version_json(each) for each in found[offset : offset + limit]]

    return await json_answer(held, answer)


async def read(request: Request) -> Response:
    """Return the version that stood at a time, or has a tag."""
    held = service(request)
    dataset_id = _dataset(request)
    query = request.query_params
    when = query.get("as_of") or query.get("tag")

    def answer() -> dict[str, Any]:
        known_dataset(held, dataset_id)
        return version_json(held.datasets.version(dataset_id, when))

    return await json_answer(held, answer)


async def difference(request: Request) -> Response:
    """Tell which examples one version has, lacks, or has otherwise than another."""
    held = service(request)
    dataset_id = _dataset(request)
    before, after = (request.query_params.get(f"{each}_version") for each in ("from", "to"))
    if not before or not after:
        raise wrong("from_version and to_version name the versions to compare.")

    def answer() -> dict[str, list[str]]:
        known_dataset(held, dataset_id)
        old = _digests(held.datasets, dataset_id, before)
        new = _digests(held.datasets, dataset_id, after)
        return {
            "examples_added": [str(id) for id in new if id not in old],
            "examples_removed": [str(id) for id in old if id not in new],
            "examples_modified": [str(id) for id in new if id in old and new[id] != old[id]],
        }

    return await json_answer(held, answer)


async def tag(request: Request) -> Response:
    """Give a version a tag; another version loses it."""
    held = service(request)
    dataset_id = _dataset(request)
    body = await read_object(request)
    when, name = words(body.get("as_of")), words(body.get("tag"))
    if not when or not name:
        raise wrong("as_of and tag say which version is to be called what.")

    def answer() -> dict[str, Any]:
        known_dataset(held, dataset_id)
        held.datasets.tag(dataset_id, when, name)
        return version_json(held.datasets.version(dataset_id, name))

    return await json_answer(held, answer)


async def splits(request: Request) -> Response:
    """Name the splits of a data set."""
    held = service(request)
    dataset_id = _dataset(request)
    when = request.query_params.get("as_of")

    def answer() -> list[str]:
        known_dataset(held, dataset_id)
        found = held.datasets.examples(dataset_id, as_of=when)
        return sorted({split for each in found for split in each.split})

    return await json_answer(held, answer)


async def change_split(request: Request) -> Response:
    """Put examples into a split, or take them out of it."""
    held = service(request)
    dataset_id = _dataset(request)
    body = await read_object(request)
    name = words(body.get("split_name"))
    given = body.get("examples")
    if not name or not isinstance(given, list) or not given:
        raise wrong("split_name and examples say which examples go into which split.")
    ids = [identity(each, "examples") for each in given]

    def change() -> None:
        known_dataset(held, dataset_id)
        changes = []
        for each in held.datasets.examples(dataset_id, ids=ids):
            others = [split for split in each.split if split != name]
            if not body.get("remove"):
                others.append(name)
            # An example belongs to at least one split.
            changes.append(ExampleChange(each.id, split=others or ["base"]))
        held.datasets.change_all(changes)

    await held.work(change)
    return JSONResponse([])


def version_json(version: Version) -> dict[str, Any]:
    """Write a version as LangSmith does, which knows it by the time it was made."""
    return {"tags": version.tags, "as_of": shown(version.created)}


def _dataset(request: Request) -> UUID:
    return identity(request.path_params["dataset_id"])


def _digests(store: DatasetStore, dataset_id: UUID, when: str) -> dict[UUID, str]:
    return {each.id: each.digest for each in store.examples(dataset_id, as_of=when)}


ROUTES = [
    Route("/datasets/{dataset_id}/versions", listed, methods=["GET"]),
    Route("/datasets/{dataset_id}/versions/diff", difference, methods=["GET"]),
    Route("/datasets/{dataset_id}/version", read, methods=["GET"]),
    Route("/datasets/{dataset_id}/tags", tag, methods=["PUT"]),
    Route("/datasets/{dataset_id}/splits", splits, methods=["GET"]),
    Route("/datasets/{dataset_id}/splits", change_split, methods=["PUT"]),
]
