"""Tables of spreadsheets and text files, in an SQLite database that can only be read.

Formats: CSV, TSV, XLSX. The first row that has a text in each of its cells names the columns.
Numbers are read with thousands separators ("1,200"), dates and times as ISO texts. SQLite's
authorizer lets nothing but reading through, and time, rows and lengths are bounded: the
queries come from a model. (DuckDB reads the same files faster and weighs 20 MB more.)
"""

from __future__ import annotations

import csv
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from groundling.errors import DocumentError, KnowledgeError
from groundling.knowledge.loaders.text import decode

SUFFIXES = (".csv", ".tsv", ".xlsx")
MOST_ROWS = 200_000
MOST_BYTES = 50_000_000
MOST_COLUMNS = 200
SHOWN_ROWS = 50
SECONDS = 5.0
Cell = str | int | float | None

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
# fmt: off
_HARMLESS = frozenset({
    "abs", "avg", "count", "sum", "total", "min", "max", "round", "upper", "lower", "length",
    "substr", "substring", "trim", "ltrim", "rtrim", "replace", "instr", "like", "glob",
    "coalesce", "ifnull", "nullif", "iif", "date", "time", "datetime", "julianday", "strftime",
    "printf", "format", "typeof", "cast", "group_concat", "row_number", "rank", "dense_rank",
    "lag", "lead", "ntile", "first_value", "last_value", "unicode", "char", "sign", "floor",
    "ceil", "ceiling", "sqrt", "power", "pow", "mod",
})
# fmt: on
_TICK = 10_000  # steps of SQLite's machine between looks at the clock


@dataclass(frozen=True)
class Table:
    """A table as it can be queried."""

    name: str
    source: Path
    columns: tuple[str, ...]
    rows: int
    sample: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Rows:
    """What a query found; `more` if there were more rows than are given."""

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    more: bool


class Tables:
    """Tables in memory; `query` answers one SELECT.

    Args:
        files: what to read. One that cannot be read stands in `skipped` with the reason.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self.tables: list[Table] = []
        self.skipped: list[tuple[Path, str]] = []
        for file in files:
            try:
                for name, rows in _read(file):
                    self._load(file, name, rows)
            except (KnowledgeError, OSError) as error:
                self.skipped.append((file, str(error)))
        for limit, value in (
            (sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000),
            (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 20_000),
            (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20),
            (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        ):
            self._db.setlimit(limit, value)
        self._db.set_authorizer(_authorise)

    def query(self, sql: str, rows: int = SHOWN_ROWS) -> Rows:
        """Answer one SELECT.

        Raises:
            KnowledgeError: it is no SELECT, is wrong, or takes too long; the message says what
                and names the tables.
        """
        end = time.monotonic() + SECONDS
        with self._lock:
            self._db.set_progress_handler(lambda: int(time.monotonic() > end), _TICK)
            try:
                cursor = self._db.execute(sql)
                found = cursor.fetchmany(rows + 1)
                names = tuple(column[0] for column in cursor.description or ())
                cursor.close()
            except (sqlite3.Error, sqlite3.Warning, ValueError, UnicodeError) as error:
                raise KnowledgeError(_explain(error), hint=f"Tables: {self.schema()}") from error
            finally:
                self._db.set_progress_handler(None, 0)
        if not names:
            raise KnowledgeError("That is no SELECT.", hint=f"Tables: {self.schema()}")
        return Rows(names, found[:rows], len(found) > rows)

    def schema(self) -> str:
        """Write the tables with their columns, as CREATE TABLE has them."""
        return "; ".join(
            f"{quoted(table.name)}({', '.join(quoted(column) for column in table.columns)})"
            for table in self.tables
        )

    def close(self) -> None:
        """Let go of the memory."""
        self._db.close()

    def _load(self, file: Path, name: str, rows: Iterator[Sequence[Cell]]) -> None:
        head, body = header(rows)
        if not head:
            return
        taken = {table.name for table in self.tables}
        name = _free(_identifier(name), taken)
        columns = ", ".join(quoted(column) for column in head)
        places = ", ".join("?" * len(head))
        self._db.execute(f"CREATE TABLE {quoted(name)} ({columns})")
        count = 0

        def padded() -> Iterator[list[Cell]]:
            nonlocal count
            for row in body:
                if any(cell is not None for cell in row):
                    count += 1
                    if count > MOST_ROWS:
                        raise DocumentError(f"{file} has more than {MOST_ROWS:,} rows.")
                    yield [*row[: len(head)], *[None] * (len(head) - len(row))]

        try:
            self._db.execute("BEGIN")
            self._db.executemany(f"INSERT INTO {quoted(name)} VALUES ({places})", padded())
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            self._db.execute(f"DROP TABLE {quoted(name)}")
            raise
        sample = self._db.execute(f"SELECT * FROM {quoted(name)} LIMIT 3").fetchall()
        self.tables.append(Table(name, file, tuple(head), count, tuple(sample)))


def header(rows: Iterable[Sequence[Cell]]) -> tuple[list[str], Iterator[Sequence[Cell]]]:
    """Find the row that names the columns, and return it with the rows after it.

    Rows above it, such as a title, are passed over. Where no row is all text, the first one
    counts; columns without a name are called `column_3`, and repeated names are numbered.
    """
    iterator = iter(rows)
    above: list[Sequence[Cell]] = []
    for row in iterator:
        cells = [cell for cell in row if cell is not None]
        if not cells:
            continue
        above.append(row)
        if (len(cells) > 1 or len(row) == 1) and all(isinstance(cell, str) for cell in cells):
            return _names(row), iterator
        if len(above) == 10:
            break
    if not above:
        return [], iterator
    return _names(above[0]), _chain(above[1:], iterator)


def value(text: str) -> Cell:
    """Read a cell of a text file: a number where it is one, None where it is empty."""
    text = text.strip()
    if not text:
        return None
    # Leading zeros are kept: "010" is a code, not ten.
    if _NUMBER.fullmatch(text) and not re.match(r"[-+]?0\d", text) and len(text) < 16:
        bare = text.replace(",", "")
        return float(bare) if "." in bare else int(bare)
    return text


def quoted(name: str) -> str:
    """Write a name as SQL does where it is not a plain word."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f'"{name}"'


def _read(file: Path) -> Iterator[tuple[str, Iterator[Sequence[Cell]]]]:
    if file.stat().st_size > MOST_BYTES:
        raise DocumentError(f"{file} is larger than {MOST_BYTES // 1_000_000} MB.")
    if file.suffix.lower() == ".xlsx":
        yield from _read_workbook(file)
        return
    text = decode(file)
    delimiter = "\t" if file.suffix.lower() == ".tsv" else _delimiter(text)
    yield file.stem, _read_lines(file, text, delimiter)


def _read_lines(file: Path, text: str, delimiter: str) -> Iterator[Sequence[Cell]]:
    try:
        for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
            yield [value(cell) for cell in row[:MOST_COLUMNS]]
    except csv.Error as error:
        raise DocumentError(f"{file} is no table: {error}") from error


def _read_workbook(file: Path) -> Iterator[tuple[str, Iterator[Sequence[Cell]]]]:
    from openpyxl import load_workbook

    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # zip, XML and its own: openpyxl lets everything through
        raise DocumentError(f"{file} is no workbook: {error}") from error
    try:
        sheets = book.worksheets
        for sheet in sheets:
            name = file.stem if len(sheets) == 1 else f"{file.stem}_{sheet.title}"
            rows = sheet.iter_rows(max_col=MOST_COLUMNS, values_only=True)
            yield name, ([_cell(cell) for cell in row] for row in rows)
    finally:
        book.close()


def _cell(cell: object) -> Cell:
    if cell is None or isinstance(cell, int | float):
        return cell
    if isinstance(cell, datetime):
        midnight = (cell.hour, cell.minute, cell.second) == (0, 0, 0)
        return cell.date().isoformat() if midnight else cell.isoformat(" ")
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell).strip() or None


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t|", key=first.count)


def _names(row: Sequence[Cell]) -> list[str]:
    last = max(place for place, cell in enumerate(row) if cell is not None)
    names: list[str] = []
    for place, cell in enumerate(row[: last + 1], start=1):
        plain = " ".join(str(cell).split()).replace('"', "") if cell is not None else ""
        taken = {name.casefold() for name in names}
        names.append(_free(plain or f"column_{place}", taken))
    return names


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or "table"


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 2
    while free.casefold() in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _chain(
    first: Sequence[Sequence[Cell]], rest: Iterator[Sequence[Cell]]
) -> Iterator[Sequence[Cell]]:
    yield from first
    yield from rest


def _authorise(
    action: int, first: str | None, second: str | None, _: str | None, __: str | None
) -> int:
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _HARMLESS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _explain(error: Exception) -> str:
    text = str(error)
    if "not authorized" in text or "prohibited" in text:
        return "Only SELECT over the tables is allowed."
    if "interrupted" in text:
        return f"The query took longer than {SECONDS:g} s; make it simpler."
    return f"The query is wrong: {text}."
