"""Tools of servers that speak the Model Context Protocol, through `langchain.mcp`.

A server is started (or called) when its tools are listed, and again for each call that comes
later: nothing runs in between. What it says of itself is not believed beyond this: a tool
that declares itself read-only is taken for `read`, every other for what `tools.mcp` says.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_core.tools import BaseTool, StructuredTool

from groundling.egress import announce
from groundling.errors import ToolError
from groundling.sections import McpServer
from groundling.tools.bounded import in_thread
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.settings import Settings

_NAME = re.compile(r"[^A-Za-z0-9_]+")


def mcp_tools(settings: Settings, name: str) -> list[BaseTool]:
    """List the tools of one server, each named `SERVER_TOOL`.

    Raises:
        ToolError: the extra is not installed, or the server cannot be started or reached in
            `tools.timeout`.
    """
    server = settings.tools.mcp[name]
    seconds = settings.tools.timeout
    found = in_thread(lambda: asyncio.run(_listed(name, server)))
    try:
        tools = found.result(timeout=seconds)
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
            hint=f"See tools.mcp.{name} in config.toml.",
        ) from error
    return [_named(tool, name, server) for tool in tools]


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
        announce(urlsplit(server.url).hostname or "", "mcp")
        return server.url
    program, *arguments = server.command
    return StdioTransport(
        program,
        arguments,
        env=server.environment or None,
        keep_alive=False,
        log_file=Path(os.devnull),  # what it writes for its own log
    )


async def _listed(name: str, server: McpServer) -> list[BaseTool]:
    target = _target(name, server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the namespace is in beta
        from langchain.mcp import MCPAdapter

        async with MCPAdapter(target) as adapter:
            return await adapter.list_tools()


def _named(tool: BaseTool, name: str, server: McpServer) -> BaseTool:
    annotations = ((tool.metadata or {}).get("mcp") or {}).get("tool") or {}
    reads = (annotations.get("annotations") or annotations).get("read_only_hint") is True
    local = server.url is None
    risk = "read" if reads and local else server.risk
    changes: dict[str, Any] = {"name": _NAME.sub("_", f"{name}_{tool.name}")[:64]}
    if isinstance(tool, StructuredTool) and tool.coroutine is not None:
        changes["coroutine"] = _as_text(tool.coroutine, urlsplit(server.url or "").hostname)
    return with_risk(tool.model_copy(update=changes), risk)


def _as_text(call: Callable[..., Awaitable[Any]], host: str | None) -> Callable[..., Any]:
    """Have a tool answer with text alone, and say which other machine it calls."""

    @functools.wraps(call)
    async def told(*args: Any, **kwargs: Any) -> Any:
        if host is not None:
            announce(host, "mcp")
        result = await call(*args, **kwargs)
        content, artifact = result if isinstance(result, tuple) else (result, None)
        if isinstance(content, list):
            blocks = [block for block in content if isinstance(block, dict)]
            texts = [str(block["text"]) for block in blocks if "text" in block]
            others = len(content) - len(texts)
            texts += [f"[{others} parts that are no text]"] if others else []
            content = "\n".join(texts)
        return (content, artifact) if isinstance(result, tuple) else content

    return told
