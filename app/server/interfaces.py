"""The interfaces that are mounted, each with its routes, and how errors leave them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from groundling.errors import GroundlingError
from groundling.server.problems import Problem, answer, problem_of, told_of

if TYPE_CHECKING:
    from groundling.server.services import Services

_LOG = logging.getLogger("groundling.server")


def interfaces(held: Services) -> Starlette:
    """Return the application of all interfaces over opened services."""
    from groundling.server import api, langgraph, mcp, openai, page
    from groundling.server.langsmith.app import application as langsmith

    smith = langsmith(held.traces, held.datasets)
    tools = mcp.mount(held)  # None where the extra is not installed

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for room in (langgraph, api):
                await stack.enter_async_context(room.lifespan(app))
            for mounted in (smith, tools):
                if mounted is not None:
                    await stack.enter_async_context(mounted.router.lifespan_context(mounted))
            yield

    app = Starlette(
        routes=[
            *langgraph.ROUTES,
            *openai.ROUTES,
            *api.ROUTES,
            Mount("/langsmith", smith),
            # Clients ask for it without a slash, and not all follow a redirection.
            *([Route("/mcp", tools), Mount("/mcp", tools)] if tools is not None else []),
            *page.ROUTES,
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.services = held
    return app


async def problem(request: Request, error: Exception) -> Response:
    """Say what went wrong, in the shape of the interface; the log says more."""
    held = getattr(request.app.state, "services", None)  # the page has none while it opens
    told = problem_of(error) if held is None else told_of(error, held.settings.home)
    if told.status == 500:
        _LOG.exception("%s %s failed.", request.method, request.url.path, exc_info=error)
    return answer(told, request.url.path)


HANDLERS: Mapping[Any, Any] = dict.fromkeys(
    (Problem, GroundlingError, HTTPException, ClientDisconnect, Exception), problem
)
