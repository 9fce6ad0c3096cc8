"""What a tool may do to the world: the class by which approvals are asked for."""

from __future__ import annotations

from typing import TypeVar, cast, get_args

from langchain_core.tools import BaseTool

from groundling.sections import Risk

AnyTool = TypeVar("AnyTool", bound=BaseTool)


def with_risk(tool: AnyTool, risk: Risk) -> AnyTool:
    """Say what a tool may do; it is kept in its metadata, so traces show it."""
    tool.metadata = {**(tool.metadata or {}), "risk": risk}
    return tool


def risk_of(tool: BaseTool) -> Risk:
    """Return what a tool may do; one that does not say is taken for `network`."""
    risk = (tool.metadata or {}).get("risk")
    return cast("Risk", risk) if risk in get_args(Risk) else "network"
