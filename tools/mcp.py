"""Tools of servers that speak the Model Context Protocol, through `langchain.mcp`.

A server is started (or called) when its tools are listed, and again for each call that comes
later: nothing runs in between. What it says of itself is not believed beyond this: a tool of
a server on this machine that declares itself read-only is taken for `read`, every other for
what `tools.mcp` says. Its descriptions are shown to the model, cut and without what cannot be
seen.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import unicodedata
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from langchain_core._api import LangChainBetaWarning
from langchain_core.tools import BaseTool, StructuredTool

from groundling.egress import announce
from groundling.errors import ToolError
from groundling.knowledge.table_names import free
from groundling.sections import McpServer, Risk
from groundling.tools.bounded import cut, in_thread
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.settings import Settings

_NAME = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_NAME = 60
_LONGEST = 1_000  # characters of a description
_GRACE = 5.0  # seconds in which a server that is given up may end


def mcp_tools(settings: Settings, name: str) -> list[BaseTool]:
    """List the tools of one server, each named `SERVER_TOOL`.

    Raises:
        ToolError: the extra is not installed, or the server cannot be started or reached in
            `tools.timeout`.
    """
    server = settings.tools.mcp[name]
    seconds = settings.tools.timeout
    target = _target(name, server)

    async def listed() -> list[BaseTool]:
        # Cancelled in time, it stops the process that it started.
        async with asyncio.timeout(seconds), _adapter(target) as adapter:
            return cast("list[BaseTool]", await adapter.list_tools())

    try:
        tools = in_thread(lambda: asyncio.run(listed())).result(timeout=seconds + _GRACE)
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
    named: list[BaseTool] = []
    for tool in tools:
        plain = _NAME.sub("_", f"{name}_{tool.name}")[:_LONGEST_NAME]
        named.append(_named(tool, free(plain, [other.name for other in named]), server))
    return named


def _adapter(target: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainBetaWarning)
        from langchain.mcp import MCPAdapter
    return MCPAdapter(target)


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


def _named(tool: BaseTool, name: str, server: McpServer) -> BaseTool:
    annotations = ((tool.metadata or {}).get("mcp") or {}).get("tool") or {}
    reads = (annotations.get("annotations") or annotations).get("read_only_hint") is True
    risk: Risk = "read" if reads and server.url is None else server.risk
    changes: dict[str, Any] = {"name": name, "description": _visible(tool.description)}
    if isinstance(tool, StructuredTool) and tool.coroutine is not None:
        changes["coroutine"] = _as_text(tool.coroutine, urlsplit(server.url or "").hostname)
    return with_risk(tool.model_copy(update=changes), risk)


def _visible(text: str) -> str:
    """Return a description as a person would see it, and no longer than one should be."""
    plain = "".join(c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")
    return cut(plain.strip(), _LONGEST) if plain.strip() else "No description."


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
