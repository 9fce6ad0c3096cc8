"""Projects as LangSmith's client makes, reads and changes them: `/sessions`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from groundling.server.langsmith.answers import json_answer
from groundling.server.langsmith.bodies import read_object
from groundling.server.langsmith.errors import conflict, missing, wrong
from groundling.server.langsmith.parameters import flag, object_of, page, uuids
from groundling.server.langsmith.projects import Project, Projects
from groundling.server.langsmith.service import Service, service
from groundling.server.langsmith.shapes import text
from groundling.server.langsmith.statistics import (
    feedback_of_filter,
    feedback_of_project,
    run_stats,
)
from groundling.server.langsmith.wire import identity, mapping, moment, optional, shown, words
from groundling.tracing.query import RunFilter

TENANT = str(UUID(int=0))  # LangSmith's word for a workspace; here there is one


async def create(request: Request) -> Response:
    """Make a project; with `?upsert=true` change the one of that name if there is one."""
    held = service(request)
    body = await read_object(request)
    name = _name(body)
    made = await held.work(
        Projects(held.traces).create,
        name,
        id=optional(body.get("id"), "id"),
        description=words(body.get("description"), 10_000),
        started=moment(body.get("start_time")),
        dataset=optional(body.get("reference_dataset_id"), "reference_dataset_id"),
        extra=_extra(body) if body.get("extra") is not None else None,
        upsert=bool(flag(request, "upsert")),
    )
    if made is None:
        raise conflict(f"There is a project {name} already, or one with that id.")
    return JSONResponse(project_json(made))


async def listed(request: Request) -> Response:
    """List projects, the newest first."""
    held = service(request)
    query = request.query_params
    limit, offset = page(request)
    metadata = object_of(request, "metadata")
    if "dataset_version" in query:
        metadata = {**metadata, "dataset_version": query["dataset_version"]}
    ids, datasets = uuids(request, "id"), uuids(request, "reference_dataset")
    reference_free, with_stats = flag(request, "reference_free"), flag(request, "include_stats")

    def answer() -> list[dict[str, Any]]:
        found = Projects(held.traces).find(
            ids=ids,
            name=query.get("name"),
            name_contains=query.get("name_contains"),
            datasets=datasets,
            reference_free=reference_free,
            metadata=metadata,
            limit=limit,
            offset=offset,
        )
        return [project_json(each, stats_of(held, each) if with_stats else None) for each in found]

    return await json_answer(held, answer)


async def read(request: Request) -> Response:
    """Return a project."""
    held = service(request)
    project = await _get(request)
    if flag(request, "include_stats"):
        return JSONResponse(project_json(project, await held.work(stats_of, held, project)))
    return JSONResponse(project_json(project))


async def update(request: Request) -> Response:
    """Change a project."""
    held = service(request)
    project = await _get(request)
    body = await read_object(request)
    name = _name(body) if body.get("name") is not None else None
    try:
        changed = await held.work(
            Projects(held.traces).update,
            project.id,
            name=name,
            description=words(body.get("description"), 10_000),
            ended=moment(body.get("end_time")),
            extra={**project.extra, **_extra(body)} if body.get("extra") is not None else None,
        )
    except sqlite3.IntegrityError:
        raise conflict(f"There is a project {name} already.") from None
    if changed is None:
        raise missing(f"project {project.id}")
    return JSONResponse(project_json(changed))


async def remove(request: Request) -> Response:
    """Delete a project with its runs."""
    held = service(request)
    project = await _get(request)
    await held.work(Projects(held.traces).delete, project)
    return JSONResponse({})


def project_json(project: Project, stats: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write a project as LangSmith does."""
    return {
        "id": str(project.id),
        "name": project.name,
        "description": project.description,
        "start_time": shown(project.started),
        "end_time": shown(project.ended),
        "extra": project.extra,
        "tenant_id": TENANT,
        "reference_dataset_id": text(project.dataset),
        **(stats or {}),
    }


def stats_of(held: Service, project: Project) -> dict[str, Any]:
    """Sum up the traces of a project, and what was said of its runs and of it."""
    roots = RunFilter(roots=True, project_ids=[project.id])
    everything = RunFilter(roots=None, project_ids=[project.id])
    return {
        **run_stats(held.traces, roots),
        "feedback_stats": feedback_of_filter(held.traces, everything),
        "session_feedback_stats": feedback_of_project(held.traces, project.id),
    }


async def _get(request: Request) -> Project:
    held = service(request)
    wanted = identity(request.path_params["session_id"])
    found = await held.work(Projects(held.traces).get, wanted)
    if found is None:
        raise missing(f"project {wanted}")
    return found


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 1000:
        raise wrong("A project needs a name.")
    return name


def _extra(body: Mapping[str, Any]) -> dict[str, Any]:
    return dict(mapping(body.get("extra"), "extra"))


ROUTES = [
    Route("/sessions", create, methods=["POST"]),
    Route("/sessions", listed, methods=["GET"]),
    Route("/sessions/{session_id}", read, methods=["GET"]),
    Route("/sessions/{session_id}", update, methods=["PATCH"]),
    Route("/sessions/{session_id}", remove, methods=["DELETE"]),
]
