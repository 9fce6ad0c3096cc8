"""`table`: SQL over the spreadsheets that stand among the documents; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.knowledge.tables import SUFFIXES, Cell, Rows, Table, Tables, quoted
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge

MOST_FILES = 20
_WIDEST = 60  # characters of a cell
_DESCRIBED = 8  # tables whose columns stand in the tool's description


def table(files: Sequence[Path]) -> StructuredTool:
    """Make the tool.

    Args:
        files: CSV, TSV or XLSX; one that cannot be read is left out.
    """
    tables = Tables(files)

    @tool("table")
    def look(
        sql: Annotated[str, Field(description="one SELECT in SQLite's SQL")],
    ) -> str:
        """Placeholder."""
        return written(tables.query(sql))

    assert isinstance(look, StructuredTool)
    look.description = "Query tables of figures with SQL (SQLite, SELECT only). " + " ".join(
        described(one) for one in tables.tables[:_DESCRIBED]
    )
    return with_risk(look, "read")


def table_files(documents: Knowledge | None, places: Iterable[Path] = ()) -> list[Path]:
    """Find the tables: files and folders that are named, and those beside the documents."""
    folders = [Path(place).expanduser() for place in places]
    if documents is not None:
        folders += sorted({Path(document.path).parent for document in documents.documents()})
    found: dict[Path, None] = {}
    for folder in folders:
        inside = sorted(folder.iterdir()) if folder.is_dir() else [folder]
        for file in inside:
            if file.suffix.lower() in SUFFIXES and file.is_file():
                found[file.resolve()] = None
    return list(found)[:MOST_FILES]


def described(one: Table) -> str:
    """Describe a table to the model: its columns, and its first row as an example."""
    columns = ", ".join(quoted(column) for column in one.columns)
    example = f" e.g. ({', '.join(_shown(cell) for cell in one.sample[0])})" if one.sample else ""
    return f"{quoted(one.name)}({columns}), {one.rows} rows{example}."


def written(found: Rows) -> str:
    """Write rows as the documents' tables are written: cells between bars."""
    lines = [" | ".join(found.columns)]
    lines += [" | ".join(_shown(cell) for cell in row) for row in found.rows]
    if not found.rows:
        lines.append("(no rows)")
    if found.more:
        lines.append(f"(only the first {len(found.rows)} rows)")
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    text = "" if cell is None else " ".join(str(cell).split())
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
