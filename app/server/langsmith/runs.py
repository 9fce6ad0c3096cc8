"""Runs go out: `/runs/query`, `/runs/{id}`, `/runs/stats`, and attachments."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.errors import missing
from groundling.server.langsmith.queries import Page, Query, cut, find, read_query
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.shapes import Attached, attachment_path, run_json, sign
from groundling.server.langsmith.statistics import (
    feedback_of_filter,
    feedback_of_runs,
    run_stats,
)
from groundling.server.langsmith.wire import identity
from groundling.tracing.run import Payload, StoredRun

_TOGETHER = 50  # runs whose payloads are read at once
_ANSWER = 32_000_000  # bytes of payloads, roughly, after which a page ends
_PAYLOAD = frozenset({"inputs", "outputs", "extra", "events", "serialized"})


async def query(request: Request) -> Response:
    """List runs; further ones with the cursor of the answer."""
    body = await read_object(request)
    held = service(request)

    def answer() -> dict[str, Any]:
        asked = read_query(body)
        page = find(held.traces, asked)
        rows, cursor = full(held, page, asked.select)
        return {"runs": rows, "cursors": {"next": cursor, "prev": None}, "parsed_query": None}

    return await json_answer(held, answer)


async def read(request: Request) -> Response:
    """Return one run whole."""
    held = service(request)
    wanted = identity(request.path_params["run_id"])

    def answer() -> dict[str, Any]:
        run = known_run(held, wanted)
        return full(held, Page([run]), None)[0][0]

    return await json_answer(held, answer)


async def stats(request: Request) -> Response:
    """Sum up the runs that a query finds."""
    body = await read_object(request)
    held = service(request)

    def answer() -> dict[str, Any]:
        asked: Query = read_query(body)
        found = run_stats(held.traces, asked.wanted)
        return found | {"feedback_stats": feedback_of_filter(held.traces, asked.wanted)}

    return await json_answer(held, answer)


async def attachment(request: Request) -> Response:
    """Return the bytes of an attachment to whoever was given its address."""
    held = service(request)
    run_id, name = identity(request.path_params["run_id"]), request.path_params["name"]
    given = request.query_params.get("signature", "")
    if not hmac.compare_digest(given.encode(), sign(held.secret, run_id, name).encode()):
        raise HTTPException(403, "This address is no longer good; ask for the run again.")
    rows = await held.work(
        held.traces.read,
        "SELECT mime_type, data FROM attachments JOIN runs USING (seq) "
        "WHERE runs.id = ? AND attachments.name = ?",
        (run_id.bytes, name),
    )
    if not rows:
        raise missing(f"attachment {name} of run {run_id}")
    kind, data = rows[0]
    # Whatever a client has called it, a browser shall not run it.
    headers = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=kind, headers=headers)


def known_run(held: Service, run_id: UUID) -> StoredRun:
    """Return a run.

    Raises:
        HTTPException: 404, there is none.
    """
    run = held.traces.run(run_id)
    if run is None:
        raise missing(f"run {run_id}")
    return run


def full(
    held: Service, page: Page, select: Collection[str] | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Write the runs of a page with what is wanted of them; a page that grows too large ends."""
    written: list[dict[str, Any]] = []
    cursor = page.cursor
    size = 0
    for part in _parts(page.runs):
        if size > _ANSWER:
            cursor = cut(page.runs, len(written)).cursor
            break
        payloads, part_size = _payloads(held, part, select)
        size += part_size
        stats = _chosen(select, "feedback_stats") and feedback_of_runs(
            held.traces, [run.id for run in part]
        )
        attached = attachments(held, part) if _chosen(select, "s3_urls") else {}
        written += [
            run_json(
                run,
                payloads.get(run.seq),
                (stats or {}).get(run.id),
                attached.get(run.id),
                select,
            )
            for run in part
        ]
    return written, cursor


def attachments(held: Service, runs: Sequence[StoredRun]) -> dict[UUID, Attached]:
    """Return where the attachments of runs can be fetched, and their types, by name."""
    by_seq = {run.seq: run.id for run in runs}
    marks = ", ".join("?" * len(by_seq))
    rows = held.traces.read(
        f"SELECT seq, name, mime_type FROM attachments WHERE seq IN ({marks})",  # noqa: S608
        list(by_seq),
    )
    found: dict[UUID, dict[str, tuple[str, str]]] = {}
    for seq, name, kind in rows:
        path = attachment_path(held.secret, by_seq[seq], name)
        found.setdefault(by_seq[seq], {})[name] = (path, kind)
    return dict(found)


def _payloads(
    held: Service, runs: Sequence[StoredRun], select: Collection[str] | None
) -> tuple[dict[int, Payload], int]:
    if select is not None and not _PAYLOAD & set(select):
        return {}, 0
    marks = ", ".join("?" * len(runs))
    size = held.traces.read(
        "SELECT total(length(inputs)) + total(length(outputs)) + total(length(extra)) "  # noqa: S608
        f"+ total(length(events)) FROM payloads WHERE seq IN ({marks})",
        [run.seq for run in runs],
    )[0][0]
    return held.traces.payloads(runs), int(size * 4)  # they are stored compressed


def _parts(runs: Sequence[StoredRun]) -> Iterator[Sequence[StoredRun]]:
    for start in range(0, len(runs), _TOGETHER):
        yield runs[start : start + _TOGETHER]


def _chosen(select: Collection[str] | None, name: str) -> bool:
    return select is None or name in select


ROUTES = [
    Route("/runs/query", query, methods=["POST"]),
    Route("/runs/stats", stats, methods=["POST"]),
    Route("/runs/{run_id}", read, methods=["GET"]),
    Route("/attachments/{run_id}/{name:path}", attachment, methods=["GET"]),
]
