"""`wolfram`: a question to WolframAlpha, which leaves this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.facts.wolfram import WolframSource
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.settings import Settings

NOTHING = "WolframAlpha has no answer to this."


def wolfram(settings: Settings) -> StructuredTool:
    """Make the tool.

    Args:
        settings: `facts.wolfram_app_id` and what else begins so.
    """
    source = WolframSource(settings)

    @tool("wolfram")
    async def ask(
        query: Annotated[str, Field(description="English keywords, such as population of Daejeon")],
    ) -> str:
        """Ask WolframAlpha for facts: science, countries, astronomy, harder mathematics."""
        return await source.ask(query) or NOTHING

    assert isinstance(ask, StructuredTool)
    return with_risk(ask, "network")
