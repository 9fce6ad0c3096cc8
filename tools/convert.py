"""`convert`: a quantity in another unit, Korean ones among them."""

from __future__ import annotations

from typing import Annotated

from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.facts import units
from groundling.tools.risk import with_risk


def convert() -> StructuredTool:
    """Make the tool."""

    @tool("convert")
    def look(
        quantity: Annotated[str, Field(description="number and unit, such as 5 miles or 30평")],
        to: Annotated[str, Field(description="the unit wanted, such as km or m²")],
    ) -> str:
        """Convert between units of length, area, weight, volume, time, speed, temperature, data."""
        return f"{quantity.strip()} = {units.convert(quantity, to)}"

    assert isinstance(look, StructuredTool)
    return with_risk(look, "compute")
