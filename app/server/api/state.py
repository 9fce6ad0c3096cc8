"""What this interface keeps while the server runs: open bases, and jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from groundling.server.api.bases import Bases
from groundling.server.api.jobs import Jobs
from groundling.server.services import services


@dataclass(frozen=True)
class State:
    """See the module."""

    bases: Bases
    jobs: Jobs


def state(request: HTTPConnection) -> State:
    """Return what this interface keeps; made when first asked for."""
    held = getattr(request.app.state, "api", None)
    if held is None:  # routes run in one thread, so no two make one
        running = services(request)
        held = State(Bases(running), Jobs(running.settings.home))
        request.app.state.api = held
    return cast("State", held)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """End jobs and close bases when the server ends; what jobs have done so far stays."""
    try:
        yield
    finally:
        held = getattr(app.state, "api", None)
        if held is not None:
            await held.jobs.close()
            held.bases.close_all()
