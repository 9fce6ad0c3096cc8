"""Examples as LangSmith's client writes and reads them: `/examples`, and its forms.

What one request brings is stored whole or not at all, as one new version of the data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import Example
from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_list, read_object
from groundling.server.langsmith.datasets import known_dataset
from groundling.server.langsmith.errors import missing, wrong
from groundling.server.langsmith.example_filters import passes
from groundling.server.langsmith.example_forms import example_change, new_example, read_form
from groundling.server.langsmith.filters import parse
from groundling.server.langsmith.parameters import flag, object_of, page, uuids
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.shapes import text
from groundling.server.langsmith.wire import identity, shown

_ALWAYS = frozenset({"id"})


async def create(request: Request) -> Response:
    """Add one example."""
    held = service(request)
    body = await read_object(request)
    return await json_answer(held, lambda: example_json(_add(held, [body])[0]))


async def create_bulk(request: Request) -> Response:
    """Add several examples."""
    held = service(request)
    body = await read_list(request)
    return await json_answer(held, lambda: [example_json(each) for each in _add(held, body)])


async def create_form(request: Request) -> Response:
    """Add the examples of a form."""
    held = service(request)
    dataset_id = _dataset(request)
    forms = await read_form(request)

    def answer() -> dict[str, Any]:
        return _done(held, _add(held, [{**form, "dataset_id": dataset_id} for form in forms]))

    return await json_answer(held, answer, 201)


async def upsert_form(request: Request) -> Response:
    """Add the examples of a form, and change those that are there already."""
    held = service(request)
    forms = await read_form(request)

    def answer() -> dict[str, Any]:
        known = {form["id"] for form in forms if _known(held, identity(form["id"])) is not None}
        added = [form for form in forms if form["id"] not in known]
        changed = [example_change(form) for form in forms if form["id"] in known]
        found = _add(held, added) if added else []
        return _done(held, [*found, *(held.datasets.change_all(changed) if changed else [])])

    return await json_answer(held, answer, 201)


async def listed(request: Request) -> Response:
    """List examples: of a data set, of some splits, at a version; or those of some ids."""
    held = service(request)
    query = request.query_params
    limit, offset = page(request)
    ids, metadata = uuids(request, "id"), object_of(request, "metadata")
    datasets = uuids(request, "dataset")
    when = query.get("as_of")
    wanted = parse(query["filter"]) if query.get("filter") else None
    chosen = set(query.getlist("select")) if flag(request, "exclude_default_fields") else None

    def answer() -> list[dict[str, Any]]:
        if datasets:
            known_dataset(held, datasets[0])
            found = held.datasets.examples(
                datasets[0],
                as_of=when,
                splits=query.getlist("splits"),
                ids=ids,
                metadata=metadata,
                limit=None if wanted else limit,
                offset=0 if wanted else offset,
            )
        else:
            if not ids:
                raise wrong("Name the data set or the ids of the examples.")
            each_known = (_known(held, each, when) for each in ids)
            found = [each for each in each_known if each is not None][offset : offset + limit]
        if wanted is not None:
            found = [each for each in found if passes(each, wanted)][offset : offset + limit]
        return [example_json(each, chosen) for each in found]

    return await json_answer(held, answer)


async def read(request: Request) -> Response:
    """Return an example as it stands, or stood."""
    held = service(request)
    wanted = identity(request.path_params["example_id"])
    when = request.query_params.get("as_of")
    return await json_answer(held, lambda: example_json(known_example(held, wanted, when)))


async def update(request: Request) -> Response:
    """Change an example."""
    held = service(request)
    wanted = identity(request.path_params["example_id"])
    body = await read_object(request)

    def answer() -> dict[str, Any]:
        known_example(held, wanted)
        held.datasets.change_all([example_change({**body, "id": wanted})])
        return {"message": "1 examples updated", "example_ids": [str(wanted)], "count": 1}

    return await json_answer(held, answer)


async def update_bulk(request: Request) -> Response:
    """Change several examples."""
    held = service(request)
    body = await read_list(request)
    return await json_answer(held, lambda: _change(held, body))


async def update_form(request: Request) -> Response:
    """Change the examples of a form."""
    held = service(request)
    forms = await read_form(request)
    return await json_answer(held, lambda: _change(held, forms), 201)


async def remove(request: Request) -> Response:
    """Take an example out of its data set; earlier versions keep it."""
    held = service(request)
    wanted = identity(request.path_params["example_id"])

    def take_out() -> None:
        known_example(held, wanted)
        held.datasets.remove([wanted])

    await held.work(take_out)
    return JSONResponse({})


async def remove_several(request: Request) -> Response:
    """Take examples out of their data sets; earlier versions keep them."""
    held = service(request)
    wanted = uuids(request, "example_ids")

    def take_out() -> None:
        for each in wanted:
            known_example(held, each)
        held.datasets.remove(wanted)

    await held.work(take_out)
    return JSONResponse({})


async def remove_hard(_: Request) -> Response:
    """Refuse to take examples out of what has been."""
    raise wrong(
        "The versions of a data set do not change. Take the examples out of the newest one "
        "(delete_examples without hard_delete), or delete the data set."
    )


def known_example(held: Service, example_id: UUID, when: str | None = None) -> Example:
    """Return an example as it stands, or stood.

    Raises:
        HTTPException: 404, there is none.
    """
    found = _known(held, example_id, when)
    if found is None:
        raise missing(f"example {example_id}" + (f" at {when}" if when else ""))
    return found


def example_json(example: Example, chosen: set[str] | None = None) -> dict[str, Any]:
    """Write an example as LangSmith does; `chosen` names the fields that are wanted."""
    made = {
        "id": str(example.id),
        "dataset_id": str(example.dataset_id),
        "name": f"#{str(example.id)[:4]}",
        "inputs": example.inputs,
        "outputs": example.outputs,
        "metadata": {**example.metadata, "dataset_split": example.split},
        "created_at": shown(example.created),
        "modified_at": shown(example.modified),
        "source_run_id": text(example.source_run_id),
        "attachment_urls": None,
    }
    if chosen is None:
        return made
    return {name: value for name, value in made.items() if name in chosen | _ALWAYS}


def _add(held: Service, given: Sequence[Mapping[str, Any]]) -> list[Example]:
    """Add examples to the data sets that they name, in the order in which they came."""
    groups: dict[UUID, list[Any]] = {}
    for each in given:
        dataset_id = identity(each.get("dataset_id"), "dataset_id")
        groups.setdefault(dataset_id, []).append(new_example(held.traces, each))
    for dataset_id in groups:
        known_dataset(held, dataset_id)
    return [made for id, several in groups.items() for made in held.datasets.add(id, several)]


def _change(held: Service, given: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    changes = [example_change(each) for each in given]
    for change in changes:
        known_example(held, change.id)
    return _done(held, held.datasets.change_all(changes))


def _done(held: Service, examples: Sequence[Example]) -> dict[str, Any]:
    latest = held.datasets.version(examples[0].dataset_id).created if examples else None
    return {
        "count": len(examples),
        "example_ids": [str(each.id) for each in examples],
        "as_of": shown(latest),
    }


def _known(held: Service, example_id: UUID, when: str | None = None) -> Example | None:
    try:
        return held.datasets.example(example_id, when)
    except EvaluationError:
        return None


def _dataset(request: Request) -> UUID:
    return identity(request.path_params["dataset_id"])


ROUTES = [
    Route("/examples", create, methods=["POST"]),
    Route("/examples", listed, methods=["GET"]),
    Route("/examples", remove_several, methods=["DELETE"]),
    Route("/examples/bulk", create_bulk, methods=["POST"]),
    Route("/examples/bulk", update_bulk, methods=["PATCH"]),
    Route("/examples/{example_id}", read, methods=["GET"]),
    Route("/examples/{example_id}", update, methods=["PATCH"]),
    Route("/examples/{example_id}", remove, methods=["DELETE"]),
    Route("/platform/datasets/examples/delete", remove_hard, methods=["POST"]),
    Route("/platform/datasets/{dataset_id}/examples", create_form, methods=["POST"]),
    Route("/platform/datasets/{dataset_id}/examples", update_form, methods=["PATCH"]),
    Route("/platform/datasets/{dataset_id}/examples/{example_id}", remove, methods=["DELETE"]),
    Route("/platform/examples/multipart", upsert_form, methods=["POST"]),
]
