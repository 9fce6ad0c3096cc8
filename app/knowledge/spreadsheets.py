"""Rows of CSV, TSV and XLSX files, as values that SQL can reckon with.

Numbers are read as people write them ("1,200", "₩1,200", "−3.5"), dates become ISO texts
("2024. 3. 2." is 2024-03-02). A code such as "010" stays a text. Files are read row by row,
and a file that unpacks to too much, or says that it has more rows than a sheet can have, is
refused: it may come from anywhere.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from groundling.errors import DocumentError
from groundling.knowledge.loaders.packages import check_package
from groundling.knowledge.loaders.text import decode
from groundling.knowledge.table_names import clean, free

SUFFIXES = (".csv", ".tsv", ".xlsx")
MOST_BYTES = 50_000_000
MOST_UNPACKED = 500_000_000
MOST_COLUMNS = 200
LONGEST_CELL = 131_072  # the csv module's own limit, which any code of a process may raise
MOST_LINES = 1_048_576  # of a sheet: what Excel can hold, empty ones among them
MOST_WALKED = 20_000_000  # cells of a sheet, empty ones among them
Cell = str | int | float | None
Row = Sequence[Cell]

_LOOKED_AT = 10  # rows at the top among which the names of the columns are looked for
_NUMBER = re.compile(r"([-+−]?)\s*[₩￦$€£¥￥]?\s*([-+−]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*원?")
_DATE = re.compile(
    r"(\d{4})(?:([-./])[ ]?(\d{1,2})\2[ ]?(\d{1,2})\.?|년[ ]?(\d{1,2})월[ ]?(\d{1,2})일)"
    r"(?:[ T](\d{1,2}:\d{2}(?::\d{2})?))?"
)
_INTEGER_DIGITS = 18  # more do not fit SQLite's 64 bits


@dataclass(frozen=True)
class Sheet:
    """A table of a file: its name in SQL, its own title (text files have none), its rows."""

    name: str
    title: str
    rows: Iterator[Row]


def read(file: Path) -> Iterator[tuple[str, Iterator[Row]]]:
    """Read a file's tables: a name for each, and its rows, as `sheets` does."""
    for sheet in sheets(file):
        yield sheet.name, sheet.rows


def sheets(file: Path, *, as_written: bool = False) -> Iterator[Sheet]:
    """Read a file's tables. Go through them and their rows in this order.

    Args:
        file: a file of one of `SUFFIXES`.
        as_written: leave the cells of text files as they are, and give percentages of
            workbooks as texts such as "15%"; else both are numbers to reckon with.

    Raises:
        DocumentError: the file is too large, damaged, or none of its kind; the rows raise it,
            too.
        OSError: it cannot be opened.
    """
    if file.stat().st_size > MOST_BYTES:
        raise DocumentError(f"{file} is larger than {MOST_BYTES // 1_000_000} MB.")
    if file.suffix.lower() == ".xlsx":
        yield from _read_workbook(file, as_written)
        return
    text = decode(file)
    delimiter = "\t" if file.suffix.lower() == ".tsv" else delimiter_of(text)
    yield Sheet(file.stem, "", _read_lines(file, text, delimiter, _bare if as_written else value))


def header(rows: Iterable[Row]) -> tuple[list[str], Iterator[Row]]:
    """Find the row that names the columns, and return the names with the rows after it.

    It is the first row with more than one cell that is at least half as full as the fullest of
    the first ten, so that titles above a table are passed over. Where it is nothing but
    numbers, there is no header. Columns without a name are called `column_3`, and repeated
    names are numbered.
    """
    iterator = iter(rows)
    first = top(iterator)
    if not first:
        return [], iterator
    place = header_place(first)
    width = max(_width(row) for row in first[place:])
    named = any(isinstance(cell, str) for cell in first[place])
    names = _names(first[place] if named else (), width)
    return names, itertools.chain(first[place + named :], iterator)


def top(rows: Iterator[Row]) -> list[Row]:
    """Take the first rows that are not empty, among which the header is looked for."""
    return list(itertools.islice((row for row in rows if _filled(row)), _LOOKED_AT))


def header_place(first: Sequence[Row]) -> int:
    """Find the row that names the columns among those that `top` took."""
    fullest = max(_filled(row) for row in first)
    least = min(fullest, max(2, (fullest + 1) // 2))
    return next(n for n, row in enumerate(first) if _filled(row) >= least)


def value(text: str) -> Cell:
    """Read a cell of a text file: a number or ISO date where it is one, None where empty."""
    text = text.strip()
    if not text:
        return None
    if found := _NUMBER.fullmatch(text):
        before, after, whole, fraction = found.groups()
        digits = whole.replace(",", "")
        # Leading zeros are kept: "010" is a code, not ten.
        if (len(digits) > 1 and digits[0] == "0") or (before and after):
            return text
        sign = "-" if (before or after) in ("-", "−") else ""
        if fraction:
            return float(f"{sign}{digits}{fraction}")
        return int(sign + digits) if len(digits) <= _INTEGER_DIGITS else text
    if found := _DATE.fullmatch(text):
        year, _, *parts, clock = found.groups()
        month, day = (int(part) for part in parts if part is not None)
        try:
            day_of_it = date(int(year), month, day).isoformat()
        except ValueError:
            return text
        return f"{day_of_it} {clock.zfill(5)}" if clock else day_of_it
    return text


def delimiter_of(text: str) -> str:
    """Tell what stands between the cells: what splits most lines into as many cells."""
    lines = [line for line in text[:100_000].splitlines() if line.strip()][:20]

    def fitness(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            return 0, 0
        return max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))

    return max(",;\t|", key=fitness)


def _read_lines(
    file: Path, text: str, delimiter: str, read_cell: Callable[[str], Cell]
) -> Iterator[Row]:
    try:
        # Not splitlines: a cell may hold a line or paragraph separator of Unicode.
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(len(cell) > LONGEST_CELL for cell in row):
                raise DocumentError(f"{file} has a field larger than {LONGEST_CELL:,} characters.")
            yield [read_cell(cell) for cell in row[:MOST_COLUMNS]]
    except csv.Error as error:
        raise DocumentError(f"{file} is no table: {error}") from error


def _read_workbook(file: Path, as_written: bool) -> Iterator[Sheet]:
    from openpyxl import load_workbook

    try:
        check_package(file, MOST_UNPACKED)
        book = load_workbook(file, read_only=True, data_only=True)
    except (DocumentError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zip, XML and its own: openpyxl lets everything through
        raise DocumentError(f"{file} is no workbook: {error}") from error
    try:
        several = len(book.worksheets) > 1
        for sheet in book.worksheets:
            name = f"{file.stem}_{sheet.title}" if several else file.stem
            sheet.reset_dimensions()  # some programs write wrong ones
            rows = sheet.iter_rows(values_only=not as_written)
            shown = ([_shown(cell) for cell in row] for row in rows) if as_written else rows
            yield Sheet(name, sheet.title, _read_sheet(file, shown))
    finally:
        book.close()


def _read_sheet(file: Path, rows: Iterable[Sequence[object]]) -> Iterator[Row]:
    iterator = iter(rows)
    lines = cells = 0
    while True:
        try:
            row = next(iterator, None)
        except Exception as error:  # sheets are unpacked and parsed only now
            raise DocumentError(f"{file} is a damaged workbook: {error}") from error
        if row is None:
            return
        # Rows and cells that are left out are given as empty ones, as many as the file claims.
        lines, cells = lines + 1, cells + len(row)
        if lines > MOST_LINES or cells > MOST_WALKED:
            raise DocumentError(f"{file} claims to be larger than {lines:,} rows: too much.")
        yield [_cell(cell) for cell in row[:MOST_COLUMNS]]


def _bare(text: str) -> Cell:
    return text.strip() or None


def _shown(cell: Any) -> object:
    """Return the value of a workbook's cell, a percentage as people see it."""
    number = isinstance(cell.value, int | float) and not isinstance(cell.value, bool)
    return f"{cell.value * 100:.12g}%" if number and "%" in cell.number_format else cell.value


def _cell(cell: object) -> Cell:
    if isinstance(cell, int):
        return cell if abs(cell) < 10**_INTEGER_DIGITS else str(cell)
    if cell is None or isinstance(cell, float):
        return cell
    if isinstance(cell, datetime):
        midnight = (cell.hour, cell.minute, cell.second) == (0, 0, 0)
        return cell.date().isoformat() if midnight else cell.isoformat(" ")
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell).strip() or None


def _filled(row: Row) -> int:
    return sum(cell is not None for cell in row)


def _width(row: Row) -> int:
    return max((place for place, cell in enumerate(row, 1) if cell is not None), default=0)


def _names(row: Row, width: int) -> list[str]:
    names: list[str] = []
    for place in range(width):
        cell = row[place] if place < len(row) else None
        plain = clean(str(cell)) if cell is not None else ""
        names.append(free(plain or f"column_{place + 1}", names))
    return names
