"""Feedback as LangSmith's client writes and reads it: `/feedback`.

Whom it came from stands in `feedback_source`. What LangSmith has columns for and the store has
not (the pairwise comparison it belongs to, how its key is to be read) is kept in `extra`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from groundling.errors import TraceError
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.errors import BadPart, missing
from groundling.server.langsmith.parameters import page, uuids
from groundling.server.langsmith.service import service
from groundling.server.langsmith.wire import identity, mapping, moment, optional, shown, words
from groundling.tracing.feedback import Feedback

_LONGEST = 100_000  # characters of a comment
_KEPT = ("comparative_experiment_id", "feedback_group_id", "feedback_config", "error")
_KEEP = "langsmith"
_CHANGED = ("score", "value", "comment", "correction")


def feedback_of(fields: Mapping[str, Any], id: UUID | None = None) -> Feedback:
    """Make feedback of its JSON object.

    Raises:
        BadPart: an id or a time in it is none, it has no key, or its score is no number.
    """
    key = words(fields.get("key"))
    if not key:
        raise BadPart("feedback needs a key")
    score = fields.get("score")
    if score is not None and not isinstance(score, int | float):
        raise BadPart(f"the score {words(score, 50)} is no number")
    kept = {name: fields[name] for name in _KEPT if fields.get(name) is not None}
    extra = dict(mapping(fields.get("extra"), "extra"))
    run = optional(fields.get("run_id"), "run_id")
    trace = optional(fields.get("trace_id"), "trace_id")
    chosen: dict[str, Any] = {"id": id or optional(fields.get("id"), "id")}
    chosen["created"] = moment(fields.get("created_at"))
    return Feedback(
        key=key,
        run=run or trace,
        trace=trace,
        score=None if score is None else float(score),
        value=fields.get("value"),
        comment=words(fields.get("comment"), _LONGEST),
        correction=fields.get("correction"),
        source=dict(mapping(fields.get("feedback_source"), "feedback_source")) or {"type": "api"},
        extra=extra | ({_KEEP: kept} if kept else {}),
        project_id=optional(fields.get("session_id"), "session_id"),
        modified=moment(fields.get("modified_at")) or 0,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def feedback_json(each: Feedback) -> dict[str, Any]:
    """Write feedback as LangSmith does."""
    extra = {name: value for name, value in each.extra.items() if name != _KEEP}
    kept = each.extra.get(_KEEP) or {}
    return {
        "id": str(each.id),
        "run_id": str(each.run) if each.run else None,
        "trace_id": str(each.trace) if each.trace else None,
        "session_id": str(each.project_id) if each.project_id else None,
        "key": each.key,
        "score": each.score,
        "value": each.value,
        "comment": each.comment,
        "correction": each.correction,
        "feedback_source": each.source,
        "extra": extra or None,
        "created_at": shown(each.created),
        "modified_at": shown(each.modified or each.created),
        "comparative_experiment_id": kept.get("comparative_experiment_id"),
        "feedback_group_id": kept.get("feedback_group_id"),
    }


async def create(request: Request) -> Response:
    """Keep feedback; its run may be unknown still."""
    held = service(request)
    given = feedback_of(await read_object(request))
    await held.work(held.feedback.add, given)
    return JSONResponse(feedback_json(given))


async def listed(request: Request) -> Response:
    """List feedback, the newest first, of some runs, keys, sources or projects."""
    held = service(request)
    query = request.query_params
    limit, offset = page(request)
    found = await held.work(
        held.feedback.find,
        runs=uuids(request, "run"),
        keys=query.getlist("key"),
        # The client writes its enumeration as FeedbackSourceType.API.
        source_types=[each.rpartition(".")[2].lower() for each in query.getlist("source")],
        projects=uuids(request, "session"),
        limit=limit,
        offset=offset,
    )
    return JSONResponse([feedback_json(each) for each in found])


async def read(request: Request) -> Response:
    """Return one piece of feedback."""
    return JSONResponse(feedback_json(await _get(request)))


async def update(request: Request) -> Response:
    """Change the score, value, comment or correction of feedback."""
    held = service(request)
    known = await _get(request)
    body = await read_object(request)
    given = feedback_of({"key": known.key} | {name: body.get(name) for name in _CHANGED})
    changed = dataclasses.replace(
        known,
        **{name: getattr(given, name) for name in _CHANGED if name in body},
        modified=time.time_ns() // 1000,
    )
    await held.work(held.feedback.add, changed)
    return JSONResponse(feedback_json(changed))


async def remove(request: Request) -> Response:
    """Take feedback back."""
    held = service(request)
    known = await _get(request)
    await held.work(held.feedback.remove, known.id)
    return JSONResponse({})


async def _get(request: Request) -> Feedback:
    held = service(request)
    wanted = identity(request.path_params["feedback_id"])
    try:
        return await held.work(held.feedback.get, wanted)
    except TraceError:
        raise missing(f"feedback {wanted}") from None


ROUTES = [
    Route("/feedback", create, methods=["POST"]),
    Route("/feedback", listed, methods=["GET"]),
    Route("/feedback/{feedback_id}", read, methods=["GET"]),
    Route("/feedback/{feedback_id}", update, methods=["PATCH"]),
    Route("/feedback/{feedback_id}", remove, methods=["DELETE"]),
]
