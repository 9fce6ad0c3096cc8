"""`table`: SQL over the spreadsheets that stand among the documents; nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.knowledge.spreadsheets import SUFFIXES, Cell
from groundling.knowledge.table_names import quoted
from groundling.knowledge.tables import Rows, Table, Tables
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge

_WIDEST = 60  # characters of a cell, where there are many
_ROOM = 2_000  # characters that the cells of a result may share
_DESCRIBED = 8  # tables whose columns stand in the tool's description
_COLUMNS = 30  # of each
_WORD = re.compile(r"[\w.:%₩$€-]{1,16}(?: [\w.:%₩$€-]{1,16})?")


def table(tables: Tables) -> StructuredTool:
    """Make the tool.

    Args:
        tables: what is queried.
    """

    @tool("table")
    def look(
        sql: Annotated[
            str, Field(description="one SELECT in SQLite's SQL; empty: list the tables")
        ] = "",
    ) -> str:
        """Placeholder."""
        return written(tables.query(sql)) if sql.strip() else overview(tables)

    assert isinstance(look, StructuredTool)
    shown = [described(one) for one in tables.tables[:_DESCRIBED]]
    if len(tables.tables) > _DESCRIBED:
        shown.append(f"And {len(tables.tables) - _DESCRIBED} more tables.")
    look.description = "Query tables of figures with SQL (SQLite, SELECT only). " + " ".join(shown)
    return with_risk(look, "read")


def table_files(documents: Knowledge | None, places: Iterable[Path] = ()) -> list[Path]:
    """Find the tables: files and folders that are named, and those beside the documents."""
    named = [Path(place).expanduser() for place in places]
    if documents is not None:
        named += sorted({Path(document.path).parent for document in documents.documents()})
    found: dict[Path, None] = {}
    for place in named:
        try:
            inside = sorted(place.iterdir()) if place.is_dir() else [place]
            for file in inside:
                if file.suffix.lower() in SUFFIXES and file.is_file():
                    found[file.resolve()] = None
        except OSError:  # a folder that may not be read holds nothing that could be
            continue
    return list(found)


def described(one: Table) -> str:
    """Describe a table to the model: its columns, and its first row as an example.

    A description stands where instructions do, and tables may come from anywhere: of the
    example only numbers and single words are shown, nothing that could pass for a sentence.
    """
    columns = ", ".join(quoted(column) for column in one.columns[:_COLUMNS])
    if len(one.columns) > _COLUMNS:
        columns += f", and {len(one.columns) - _COLUMNS} more"
    cells = [_word(cell) for cell in one.sample[0][:_COLUMNS]] if one.sample else []
    example = f" e.g. ({', '.join(cells)})" if cells else ""
    return f"{quoted(one.name)}({columns}), {one.rows} rows{example}."


def overview(tables: Tables) -> str:
    """List all tables with their first rows, and the files that could not be read."""
    lines: list[str] = []
    for one in tables.tables:
        lines.append(f"{quoted(one.name)}, {one.rows} rows, from {one.source.name}:")
        lines += [" | ".join(quoted(column) for column in one.columns)]
        lines += [" | ".join(_shown(cell) for cell in row) for row in one.sample]
    lines += [f"not read: {reason}" for _, reason in tables.skipped]
    return "\n".join(lines)


def written(found: Rows) -> str:
    """Write rows as the documents' tables are written: cells between bars."""
    count = max(1, len(found.rows) * len(found.columns))
    widest = max(_WIDEST, _ROOM // count)
    lines = [" | ".join(found.columns)]
    lines += [" | ".join(_shown(cell, widest) for cell in row) for row in found.rows]
    if not found.rows:
        lines.append("(no rows)")
    if found.more:
        lines.append(f"(only the first {len(found.rows)} rows)")
    return "\n".join(lines)


def _shown(cell: Cell, widest: int = _WIDEST) -> str:
    # Fifteen digits are what a float holds: 0.1 + 0.2 is 0.3.
    plain = f"{cell:.15g}" if isinstance(cell, float) and abs(cell) < 1e15 else cell
    text = "" if plain is None else " ".join(str(plain).split())
    return text if len(text) <= widest else text[: widest - 1] + "…"


def _word(cell: Cell) -> str:
    text = _shown(cell)
    return text if not isinstance(cell, str) or _WORD.fullmatch(text) else "…"
