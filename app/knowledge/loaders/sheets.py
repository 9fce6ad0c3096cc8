"""Spreadsheets and CSV files: each sheet a table under its name.

Cells of text files stay as they are written ("₩1,200", "2024. 3. 2."): a citation must show
what stands in the file. Numbers of workbooks are written in full, without the noise of binary
fractions; of their formats only percentages are heeded. Rows are written one by one, so that
only the text itself is held in memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder
from groundling.knowledge.spreadsheets import Cell, Row, Sheet, header_place, sheets, top

MOST_CHARACTERS = 64 * 1024 * 1024  # as much as a text file may have
_SHEET_LEVEL = 2


def load_sheets(path: Path) -> LoadedDocument:
    """Read a .csv, .tsv or .xlsx file; the title is the file's name.

    The row that names the columns is the table's header (how it is found: `header_place`);
    what stands above it is a paragraph.

    Raises:
        DocumentError: the file is damaged, encrypted, or holds too much.
        OSError: it cannot be opened.
    """
    builder = TextBuilder()
    for sheet in sheets(path, as_written=True):
        _write(sheet, builder, path)
    return builder.document(path.stem, path.suffix.lower().removeprefix("."))


def written(cell: Cell) -> str:
    """Write a cell as a person would search for it: 0.1 + 0.2 as "0.3", 1200.0 as "1200"."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and math.isfinite(cell):
        # 15 digits are what a spreadsheet shows at most.
        digits = Decimal(f"{cell:.15g}")
        plain = format(digits, "f")
        return plain if len(plain) <= 30 else str(digits)
    return str(cell)


def _write(sheet: Sheet, builder: TextBuilder, path: Path) -> None:
    rows = iter(sheet.rows)
    first = top(rows)
    if not first:
        return
    builder.heading(_SHEET_LEVEL, sheet.title)
    place = header_place(first)
    builder.paragraph("\n".join(" | ".join(_texts(row)) for row in first[:place]))
    table = map(_texts, itertools.chain(first[place:], rows))
    builder.table(_bounded(table, MOST_CHARACTERS - builder.length, path))


def _texts(row: Row) -> list[str]:
    """Return a row's cells as texts, without the empty ones at its end."""
    cells = [written(cell) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _bounded(rows: Iterator[list[str]], room: int, path: Path) -> Iterator[list[str]]:
    for row in rows:
        room -= sum(map(len, row)) + 3 * len(row)
        if room < 0:
            raise DocumentError(
                f"{path.name} holds more than {MOST_CHARACTERS:,} characters.",
                hint="Split it into parts and add those.",
            )
        yield row
