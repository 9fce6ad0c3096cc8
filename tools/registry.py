"""The tools by name: which there are, which the settings allow, and which lack something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.tools import BaseTool, StructuredTool

from groundling.errors import ToolError
from groundling.tools.bounded import bounded

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.knowledge.base import Knowledge
    from groundling.settings import Settings


@dataclass(frozen=True)
class Needs:
    """What tools are made from."""

    settings: Settings
    knowledge: Knowledge | None
    model: BaseChatModel | None


class Missing(Exception):
    """A tool cannot be made here; the text says what it lacks and how to get it."""


def toolkit(
    settings: Settings,
    *,
    knowledge: Knowledge | None = None,
    model: BaseChatModel | None = None,
) -> list[BaseTool]:
    """Make the tools that `tools.enabled` names, in that order.

    Each says what it may do (`groundling.tools.risk`), comes back within `tools.timeout`, and
    turns its errors into messages. One that lacks something is left out: see `missing`.

    Args:
        settings: the settings of the home folder.
        knowledge: for `search` and `table`.
        model: for `wolfram`, which is asked in English.

    Raises:
        ToolError: there is no tool of a name, or a server of tools cannot be reached.
    """
    return collect(settings, knowledge=knowledge, model=model)[0]


def missing(settings: Settings, *, knowledge: Knowledge | None = None) -> dict[str, str]:
    """Say of each enabled tool that is left out what it lacks."""
    return collect(settings, knowledge=knowledge)[1]


def collect(
    settings: Settings,
    *,
    knowledge: Knowledge | None = None,
    model: BaseChatModel | None = None,
) -> tuple[list[BaseTool], dict[str, str]]:
    """Return what `toolkit` and `missing` do; tools that are dear to make are made once.

    Raises:
        ToolError: as `toolkit`, and where two tools have one name.
    """
    needs = Needs(settings, knowledge, model)
    servers = settings.tools.mcp
    tools: dict[str, BaseTool] = {}
    lacking: dict[str, str] = {}
    for name in dict.fromkeys(settings.tools.enabled):
        make = MAKERS.get(name)
        if make is None and name not in servers:
            raise ToolError(
                f"There is no tool {name}.",
                hint=f"tools.enabled takes {', '.join([*MAKERS, *servers])}.",
            )
        if make is not None and name in servers:
            raise ToolError(
                f"tools.mcp.{name} has the name of a tool.", hint="Give the server another name."
            )
        try:
            made = make(needs) if make else _server(needs, name)
        except Missing as reason:
            lacking[name] = str(reason)
            continue
        for tool in made:
            if tool.name in tools:
                raise ToolError(
                    f"There are two tools called {tool.name}.", hint=f"See {name} in tools.mcp."
                )
            tools[tool.name] = _limited(tool, settings.tools.timeout)
    return list(tools.values()), lacking


def _search(needs: Needs) -> list[BaseTool]:
    from groundling.tools.search import search

    if needs.knowledge is None:
        raise Missing("there are no documents yet: groundling knowledge add FOLDER")
    return [search(needs.knowledge, needs.settings.retrieval.passages)]


def _calculator(_: Needs) -> list[BaseTool]:
    from groundling.tools.calculator import calculator

    return [calculator()]


def _convert(_: Needs) -> list[BaseTool]:
    from groundling.tools.convert import convert

    return [convert()]


def _clock(_: Needs) -> list[BaseTool]:
    from groundling.tools.clock import clock

    return [clock()]


def _table(needs: Needs) -> list[BaseTool]:
    from groundling.knowledge.tables import Tables
    from groundling.tools.table import table, table_files

    tables = Tables(table_files(needs.knowledge, needs.settings.tools.tables))
    if not tables.tables:
        refused = "; ".join(reason for _, reason in tables.skipped)
        raise Missing(
            "there is no CSV, TSV or XLSX file beside the documents or in tools.tables"
            if not refused
            else f"no table can be read: {refused}"
        )
    return [table(tables)]


def _wolfram(needs: Needs) -> list[BaseTool]:
    if needs.settings.facts.wolfram_app_id is None:
        raise Missing("it has no AppID: groundling config set facts.wolfram_app_id ID")
    from groundling.tools.wolfram import wolfram

    return [wolfram(needs.settings)]


def _web(needs: Needs) -> list[BaseTool]:
    from groundling.tools.web import web

    if not needs.settings.tools.web_hosts:
        raise Missing("no host is allowed: groundling config set tools.web_hosts '[\"HOST\"]'")
    return [web(needs.settings)]


def _ask_person(_: Needs) -> list[BaseTool]:
    from groundling.tools.ask_person import ask_person

    return [ask_person()]


def _server(needs: Needs, name: str) -> list[BaseTool]:
    from groundling.tools.mcp import mcp_tools

    return mcp_tools(needs.settings, name)


MAKERS: dict[str, Callable[[Needs], list[BaseTool]]] = {
    "search": _search,
    "calculator": _calculator,
    "convert": _convert,
    "clock": _clock,
    "table": _table,
    "wolfram": _wolfram,
    "web": _web,
    "ask_person": _ask_person,
}


def _limited(tool: BaseTool, seconds: float) -> BaseTool:
    if not isinstance(tool, StructuredTool):
        return tool
    # A question to a person has no time limit: they may answer tomorrow.
    return bounded(tool, None if tool.name == "ask_person" else seconds)
