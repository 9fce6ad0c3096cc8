"""`calculator`: exact arithmetic; models reckon by memory and are often wrong."""

from __future__ import annotations

from typing import Annotated

from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.facts.expressions import evaluate
from groundling.tools.risk import with_risk


def calculator() -> StructuredTool:
    """Make the tool."""

    @tool("calculator")
    def calculate(
        expression: Annotated[
            str, Field(description="numbers and signs only, such as 12 * (3 + 4) or 25% of 80")
        ],
    ) -> str:
        """Compute arithmetic exactly: sums, products, percentages, powers, roots."""
        return f"{expression.strip()} = {evaluate(expression)}"

    assert isinstance(calculate, StructuredTool)
    return with_risk(calculate, "compute")
