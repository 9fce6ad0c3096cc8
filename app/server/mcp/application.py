"""The MCP server as an ASGI application: streamable HTTP, at `/mcp`.

Clients of the handshake protocol have sessions; later ones send each request by itself.
Either way each request carries who asks: the server's admittance has put it into its scope,
and what a session may do depends on nothing else. A session is bound to the person who
opened it.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from groundling.server.mcp import documents
from groundling.server.mcp.calls import call
from groundling.server.mcp.tools import TOOLS
from groundling.server.person import Person, person_of
from groundling.server.problems import Problem, told_of

if TYPE_CHECKING:
    from groundling.server.services import Services

_LOG = logging.getLogger("groundling.server")
_SESSIONS = 2000
_INSTRUCTIONS = (
    "A private agent with documents on one's own machine. `search` finds passages, `rag` answers "
    "from documents with proved citations, `agent` decides by itself; `verify` checks claims."
)
Context = ServerRequestContext[Any, Request]


def application(held: Services) -> Starlette:
    """Return the application; its lifespan runs the sessions."""
    limit = held.settings.server.body_bytes
    manager = StreamableHTTPSessionManager(
        _server(held), max_request_body_size=limit, max_sessions=_SESSIONS
    )
    endpoint = _Endpoint(manager)
    # Under a mount it is asked for as "/", and as "/mcp" where a route leads here.
    routes = [Route("/", endpoint), Route("/mcp", endpoint)]
    return Starlette(routes=routes, lifespan=lambda _: manager.run())


class _Endpoint:
    """Passes a request on, with the person as the session's owner."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        person = person_of(Request(scope))
        token = AccessToken(token="", client_id=person.id, scopes=[], subject=person.id)
        await self._manager.asgi_app({**scope, "user": AuthenticatedUser(token)}, receive, send)


def _server(held: Services) -> Server[Any]:
    async def list_tools(
        _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.told() for tool in TOOLS.values()])

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name[:100]}.")

        async def tell(number: int, step: str) -> None:
            await context.session.report_progress(number, message=step)

        try:
            return await call(held, _person(context), tool, params.arguments, tell)
        except Exception as error:
            problem = _told(held, error)
            text = f"{problem.message} {problem.hint or ''}".strip()
            content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
            return types.CallToolResult(content=content, is_error=True)

    async def list_resources(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        cursor = params.cursor if params is not None else None
        try:
            return await held.work(documents.listed, held, _person(context), cursor)
        except Exception as error:
            raise _refused(held, error) from error

    async def list_templates(
        _: Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[documents.TEMPLATE])

    async def read_resource(
        context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        try:
            return await held.work(documents.text, held, _person(context), str(params.uri))
        except Exception as error:
            raise _refused(held, error) from error

    return Server(
        "groundling",
        version=version("groundling"),
        title="Groundling",
        instructions=_INSTRUCTIONS,
        get_tool_input_schema=lambda name: (
            TOOLS[name].told().input_schema if name in TOOLS else None
        ),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


def _person(context: Context) -> Person:
    assert context.request is not None
    return person_of(context.request)


def _told(held: Services, error: Exception) -> Problem:
    problem = told_of(error, held.settings.home)
    if problem.status == 500:
        _LOG.error("A call of a tool failed.", exc_info=error)
    return problem


def _refused(held: Services, error: Exception) -> MCPError:
    problem = _told(held, error)
    code = types.INTERNAL_ERROR if problem.status == 500 else types.INVALID_PARAMS
    return MCPError(code, problem.message)
