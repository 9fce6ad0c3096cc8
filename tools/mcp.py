"""Tools of servers that speak the Model Context Protocol, through `langchain.mcp`.

A server is started (or called) when its tools are listed, and again for each call that comes
later: nothing runs in between. What it says of itself is not believed beyond this: a tool of
a server on this machine that declares itself read-only is taken for `read`, every other for
what `tools.mcp` says. Its descriptions are shown to the model, cut and without what cannot be
seen.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from langchain_core._api import LangChainBetaWarning
from langchain_core.tools import BaseTool, StructuredTool

from groundling.egress import announce
from groundling.errors import ToolError
from groundling.knowledge.table_names import free
from groundling.sections import McpServer, Risk
from groundling.tools.bounded import alone, cut, in_thread
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.settings import Settings

_NAME = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_NAME = 60
_LONGEST = 1_000  # characters of a description
_GRACE = 2.0  # seconds that a server that is given up has for ending


def mcp_tools(settings: Settings, name: str) -> list[BaseTool]:
    """List the tools of one server, each named `SERVER_TOOL`.

    Raises:
        ToolError: the extra is not installed, or the server cannot be started or reached in
            `tools.timeout`.
    """
    server = settings.tools.mcp[name]
    seconds = settings.tools.timeout

    async def listed() -> list[tuple[Any, BaseTool]]:
        # Cancelled in time, it stops the process that it started.
        async with asyncio.timeout(seconds), _connected(name, server) as client:
            return [(one, await _adapted(one, client)) for one in await client.list_tools()]

    try:
        found = in_thread(lambda: alone(listed)).result(timeout=seconds + _GRACE)
    except ToolError:
        raise
    except TimeoutError as error:
        raise ToolError(
            f"The server of tools {name} did not answer within {seconds:g} s.",
            hint="Start it by hand to see why, or leave it out of tools.enabled.",
        ) from error
    except Exception as error:
        raise ToolError(
            f"The server of tools {name} cannot be used: {type(error).__name__}: {error}",
            hint=f"See tools.mcp.{name} in config.toml; started by hand, it says more.",
        ) from error
    tools: list[BaseTool] = []
    for remote, tool in found:
        plain = _NAME.sub("_", f"{name}_{tool.name}")[:_LONGEST_NAME]
        plain = free(plain, [other.name for other in tools])
        call = _call(name, server, remote)
        annotations = ((tool.metadata or {}).get("mcp") or {}).get("tool") or {}
        reads = (annotations.get("annotations") or annotations).get("read_only_hint") is True
        changes = {"name": plain, "description": _visible(tool.description), "coroutine": call}
        risk: Risk = "read" if reads and server.url is None else server.risk
        tools.append(with_risk(tool.model_copy(update=changes), risk))
    return tools


def _call(name: str, server: McpServer, remote: Any) -> Callable[..., Awaitable[Any]]:
    """Return what calls a tool and answers with text alone.

    Each call has a client of its own: a client belongs to one event loop.
    """

    async def call(**arguments: Any) -> Any:
        async with _connected(name, server) as client:
            tool = await _adapted(remote, client)
            assert tool.coroutine is not None
            content, artifact = await tool.coroutine(**arguments)
        blocks = [block for block in content if isinstance(block, dict)]
        texts = [str(block["text"]) for block in blocks if "text" in block]
        others = len(content) - len(texts)
        texts += [f"[{others} parts that are no text]"] if others else []
        return "\n".join(texts), artifact

    return call


@asynccontextmanager
async def _connected(name: str, server: McpServer) -> AsyncIterator[Any]:
    target = _target(name, server)
    if "langchain.mcp" not in sys.modules:  # it warns when it is first imported
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LangChainBetaWarning)
            importlib.import_module("langchain.mcp")
    from langchain.mcp import MCPAdapter

    if server.url is not None:
        announce(urlsplit(server.url).hostname or "", "mcp")
    async with MCPAdapter(target) as adapter:
        yield adapter.client


async def _adapted(remote: Any, client: Any) -> StructuredTool:
    from langchain.mcp import as_langchain_tool

    return cast("StructuredTool", await as_langchain_tool(remote, client))


def _target(name: str, server: McpServer) -> Any:
    if bool(server.command) == (server.url is not None):
        raise ToolError(
            f"tools.mcp.{name} needs either a command or a url.",
            hint='[tools.mcp.files]  command = ["uvx", "mcp-server-files"]',
        )
    try:
        from fastmcp.client.transports import StdioTransport
    except ImportError as error:
        raise ToolError(
            "Servers of tools need the extra mcp.", hint='pip install "groundling[mcp]"'
        ) from error
    if server.url is not None:
        return server.url
    program, *arguments = server.command
    return StdioTransport(
        program,
        arguments,
        env={key: one.get_secret_value() for key, one in server.environment.items()} or None,
        keep_alive=False,
        log_file=Path(os.devnull),  # what it writes for its own log
    )


def _visible(text: str) -> str:
    """Return a description as a person would see it, and no longer than one should be."""
    plain = "".join(c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")
    return cut(plain.strip(), _LONGEST) if plain.strip() else "No description."
