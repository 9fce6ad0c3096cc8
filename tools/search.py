"""`search`: passages of the knowledge base, numbered, with their ids for citations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from langchain_core.tools import StructuredTool, tool
from pydantic import Field
from typing_extensions import TypedDict

from groundling.knowledge.passage import numbered
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge

NOTHING = "No passage of the documents matches this query."


class Found(TypedDict):
    """What goes with the text of a search, for programs: ids of passages, best first."""

    passages: list[int]


def search(knowledge: Knowledge, passages: int = 3) -> StructuredTool:
    """Make the tool.

    Args:
        knowledge: an open knowledge base.
        passages: how many are shown.
    """

    @tool("search", response_format="content_and_artifact")
    def look(
        query: Annotated[str, Field(description="what to look for, in a few words")],
    ) -> tuple[str, Found]:
        """Search the person's own documents: rules, limits, dates and names of their work."""
        found = knowledge.search(query, k=passages)
        text = numbered(found) if found else NOTHING
        return text, {"passages": [passage.chunk_id for passage in found]}

    assert isinstance(look, StructuredTool)
    return with_risk(look, "read")
