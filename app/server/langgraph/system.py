"""Whether the server is there, and what it can do; and what it does not offer."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.langgraph.answers import answer
from groundling.server.problems import Problem

_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]


async def ok(_: Request) -> Response:
    """Say that the server is there."""
    return answer({"ok": True})


async def info(_: Request) -> Response:
    """Say which server this is, and what of LangGraph's interface it has."""
    from importlib.metadata import version

    return answer(
        {
            "version": version("groundling"),
            "langgraph_py_version": version("langgraph"),
            "flags": {
                "assistants": True,
                "crons": False,
                "langsmith": False,
                "langsmith_tracing_replicas": False,
            },
            "host": {
                "kind": "self-hosted",
                "project_id": None,
                "host_revision_id": None,
                "revision_id": None,
                "tenant_id": None,
            },
        }
    )


async def crons(_: Request) -> Response:
    """Say that there are no schedules."""
    raise Problem(
        404,
        "Schedules are not offered: this server runs what is asked for, when it is asked.",
        hint="Let cron or a systemd timer call POST /runs/wait; after_seconds delays one run.",
    )


ROUTES: list[BaseRoute] = [
    Route("/ok", ok, methods=["GET"]),
    Route("/info", info, methods=["GET"]),
    Route("/runs/crons", crons, methods=_METHODS),
    Route("/runs/crons/{rest:path}", crons, methods=_METHODS),
    Route("/threads/{thread_id}/runs/crons", crons, methods=_METHODS),
]
