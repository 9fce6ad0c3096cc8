"""`ask_person`: a question to the person, for what only they know; the run waits for the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from langchain_core.tools import StructuredTool, ToolException, tool
from langgraph.types import interrupt
from pydantic import Field
from typing_extensions import TypedDict

from groundling.tools.risk import with_risk


class AskedPerson(TypedDict):
    """What a run that waits for a person's answer shows: the value of its interrupt."""

    type: Literal["question"]
    question: str


def ask_person() -> StructuredTool:
    """Make the tool; it works in graphs that have a checkpointer."""

    @tool("ask_person")
    def ask(
        question: Annotated[str, Field(description="one short question")],
    ) -> str:
        """Ask the person for something that is missing and that only they can know."""
        try:
            return str(interrupt(AskedPerson(type="question", question=question)))
        except (RuntimeError, KeyError) as error:  # there is no graph around this call
            raise ToolException("Nobody can be asked here; go on without it.") from error

    assert isinstance(ask, StructuredTool)
    return with_risk(ask, "read")
