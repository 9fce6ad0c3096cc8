"""What LangSmith's client asks for under `/api/v2`, which replaces older routes.

`client.runs.query` and `client.runs.retrieve` take the place of `list_runs` and `read_run`, and
`client.datasets.experiment_runs.query` that of `get_experiment_results`. Field names are in
capitals when asked for, statuses and run types when answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.errors import BadPart, wrong
from groundling.server.langsmith.examples import example_json
from groundling.server.langsmith.experiments import answered
from groundling.server.langsmith.queries import Page, find, read_query
from groundling.server.langsmith.runs import full, known_run
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.wire import identity, mapping
from groundling.tracing.run import StoredRun

_STATUS = {"success": "SUCCESS", "error": "ERROR"}  # all others are pending
# What the older form calls otherwise, and what the newer one has besides.
_OLDER = {
    "PROJECT_ID": ("session_id",),
    "LATENCY_SECONDS": ("start_time", "end_time"),
    "MANIFEST": ("serialized",),
    "METADATA": ("extra",),
    "ATTACHMENTS": ("s3_urls",),
    "IS_ROOT": ("parent_run_id",),
    "ERROR_PREVIEW": ("error",),
}
_PREVIEW = 200
_TRACE = 10_000  # runs of one trace


async def query(request: Request) -> Response:
    """List runs."""
    held = service(request)
    body = await read_object(request)
    if body.get("ai_search"):
        raise wrong("Runs are not searched by meaning here; use search(…) in a filter.")

    def answer() -> dict[str, Any]:
        asked = read_query(_older_body(body))
        if body.get("reference_dataset_id"):
            dataset = identity(body["reference_dataset_id"], "reference_dataset_id")
            asked.wanted.clauses.append(("projects.dataset = ?", (dataset.bytes,)))
        page = find(held.traces, asked)
        rows, cursor = _runs(held, page, _selects(body.get("selects")), request.base_url)
        return {"items": rows, "next_cursor": cursor}

    return await json_answer(held, answer)


async def retrieve(request: Request) -> Response:
    """Return one run."""
    held = service(request)
    wanted = identity(request.path_params["run_id"])
    selects = _selects(request.query_params.getlist("selects"))

    def answer() -> dict[str, Any]:
        return _runs(held, Page([known_run(held, wanted)]), selects, request.base_url)[0][0]

    return await json_answer(held, answer)


async def of_trace(request: Request) -> Response:
    """Return the runs of a trace, in the order in which they began."""
    held = service(request)
    parameters = request.query_params
    body = {
        "trace": request.path_params["trace_id"],
        "filter": parameters.get("filter"),
        "start_time": parameters.get("min_start_time"),
        "order": "asc",
    }
    selects = _selects(parameters.getlist("selects"))

    def answer() -> dict[str, Any]:
        asked = read_query(body)
        asked.limit = _TRACE
        page = find(held.traces, asked)
        return {"items": _runs(held, page, selects, request.base_url)[0]}

    return await json_answer(held, answer)


async def experiment_runs(request: Request) -> Response:
    """List the examples that experiments answered, each with the runs that did."""
    held = service(request)
    dataset_id = identity(request.path_params["dataset_id"])
    body = await read_object(request)
    if body.get("sort"):
        raise wrong("Examples come in the order in which they were answered; leave sort out.")
    size = body.get("page_size", 20)
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= 100:
        raise wrong("page_size is a count from 1 to 100.")
    experiments = [identity(each, "experiment_ids") for each in body.get("experiment_ids") or []]
    if not experiments:
        raise wrong("experiment_ids should name experiments.")
    examples = [identity(each, "example_ids") for each in body.get("example_ids") or []]
    filters = {
        identity(id, "filters"): [str(each) for each in several]
        for id, several in mapping(body.get("filters"), "filters").items()
    }
    selects = _selects(body.get("selects"))
    offset = _offset(body.get("cursor"))

    def answer() -> dict[str, Any]:
        found = answered(
            held, dataset_id, experiments, size + 1, offset, filters=filters, examples=examples
        )
        items = [
            example_json(example) | {"runs": _runs(held, Page(runs), selects, request.base_url)[0]}
            for example, runs in found[:size]
        ]
        more = len(found) > size
        return {"items": items, "next_cursor": str(offset + size) if more else None}

    return await json_answer(held, answer)


def current_json(
    run: StoredRun, older: Mapping[str, Any], selects: Collection[str], base: URL
) -> dict[str, Any]:
    """Write a run in the newer form, from the older one."""
    attached = older.get("s3_urls") or {}
    root = str(base).rstrip("/")
    made = {
        **older,
        "run_type": str(older.get("run_type", "")).upper(),
        "status": _STATUS.get(str(older.get("status")), "PENDING"),
        "project_id": older.get("session_id"),
        "is_root": run.parent is None,
        "latency_seconds": None if run.duration is None else run.duration / 1e6,
        "manifest": older.get("serialized"),
        "metadata": (older.get("extra") or {}).get("metadata"),
        "error_preview": (older.get("error") or "")[:_PREVIEW] or None,
        "is_in_dataset": run.example is not None,
        "prompt_token_details": {"raw": older.get("prompt_token_details")}
        if older.get("prompt_token_details")
        else None,
        "attachments": {
            name.removeprefix("attachment."): root + each["presigned_url"]
            for name, each in attached.items()
        },
    }
    return {name: made.get(name) for name in (each.lower() for each in selects)}


def _runs(
    held: Service, page: Page, selects: Collection[str], base: URL
) -> tuple[list[dict[str, Any]], str | None]:
    older = {name for each in selects for name in _OLDER.get(each, (each.lower(),))}
    rows, cursor = full(held, page, older | {"status"})
    runs: Sequence[StoredRun] = page.runs[: len(rows)]
    return [
        current_json(run, row, selects, base) for run, row in zip(runs, rows, strict=True)
    ], cursor


def _older_body(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "session": body.get("project_ids"),
        "id": body.get("ids"),
        "trace": body.get("trace_id"),
        "run_type": str(body["run_type"]).lower() if body.get("run_type") else None,
        "reference_example": body.get("reference_examples"),
        "is_root": body.get("is_root"),
        "error": body.get("has_error"),
        "start_time": body.get("min_start_time"),
        "end_time": body.get("max_start_time"),
        "filter": body.get("filter"),
        "trace_filter": body.get("trace_filter"),
        "tree_filter": body.get("tree_filter"),
        "limit": body.get("page_size"),
        "cursor": body.get("cursor"),
    }


def _selects(given: Any) -> frozenset[str]:
    if not given:
        return frozenset({"ID"})
    if not isinstance(given, list):
        raise BadPart("selects should be a list of fields.")
    return frozenset(str(each).upper() for each in given) | {"ID"}


def _offset(cursor: Any) -> int:
    if not cursor:
        return 0
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdigit()):
        raise BadPart("The cursor is none that this server gave.")
    return int(cursor)


ROUTES = [
    Route("/api/v2/runs/query", query, methods=["POST"]),
    Route("/api/v2/runs/{run_id}", retrieve, methods=["GET"]),
    Route("/api/v2/traces/{trace_id}/runs", of_trace, methods=["GET"]),
    Route("/api/v2/datasets/{dataset_id}/experiment-runs", experiment_runs, methods=["POST"]),
]
