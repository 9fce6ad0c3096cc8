"""Tables of spreadsheets and text files, in an SQLite database that can only be read.

The queries come from a model. SQLite's authorizer lets nothing but reading these tables
through; time, rows and lengths are bounded, so that no query takes the machine with it.
(DuckDB reads the same files faster and weighs 20 MB more.)
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundling.errors import DocumentError, KnowledgeError
from groundling.knowledge.spreadsheets import Cell, Row, header, read
from groundling.knowledge.table_names import free, identifier, quoted

MOST_FILES = 20
MOST_ROWS = 200_000
MOST_CELLS = 2_000_000  # of all tables together: about 100 MB, and 5 to 25 s to read
SHOWN_ROWS = 50
SECONDS = 5.0
_MOST_SHOWN = 1_000_000  # characters of a result
_TICK = 500  # steps of SQLite's machine between looks at the clock

_LIMITS = (
    # Comparing long texts is one step, which cannot be interrupted: this keeps steps short.
    (sqlite3.SQLITE_LIMIT_LENGTH, 100_000),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 20_000),
    (sqlite3.SQLITE_LIMIT_COLUMN, 500),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
)
_LONGEST_CELL = 32_767  # characters, as in Excel
# fmt: off
_HARMLESS = frozenset({
    "abs", "avg", "ceil", "ceiling", "char", "coalesce", "concat", "concat_ws", "count",
    "cume_dist", "date", "datetime", "dense_rank", "exp", "first_value", "floor", "format", "glob",
    "group_concat", "hex", "ifnull", "iif", "instr", "julianday", "lag", "last_value", "lead",
    "length", "like", "ln", "log", "log10", "log2", "lower", "ltrim", "max", "min", "mod",
    "nth_value", "ntile", "nullif", "percent_rank", "pi", "pow", "power", "printf", "quote",
    "rank", "replace", "round", "row_number", "rtrim", "sign", "sqrt", "strftime", "string_agg",
    "substr", "substring", "sum", "time", "total", "trim", "trunc", "typeof", "unicode",
    "unixepoch", "upper",
})
# fmt: on
# What people write where a figure is missing.
_BLANKS = ("-", "–", "—", "n/a", "na", "nan", "null", "none", "없음", "해당없음")


@dataclass(frozen=True)
class Table:
    """A table as it can be queried; `sample` are its first three rows."""

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
    """Tables in memory; `query` answers one SELECT. Threads may share it.

    Args:
        files: what to read. One that cannot be read stands in `skipped` with the reason.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._room = MOST_CELLS
        self.tables: list[Table] = []
        self.skipped: list[tuple[Path, str]] = []
        for place, file in enumerate(files):
            try:
                if place >= MOST_FILES:
                    raise DocumentError(f"only the first {MOST_FILES} files are read.")
                before = len(self.tables)
                for name, rows in read(file):
                    self._load(file, name, rows)
                if len(self.tables) == before:
                    raise DocumentError(f"{file} is empty.")
            except (KnowledgeError, OSError, ValueError, sqlite3.Error) as error:
                self.skipped.append((file, str(error)))
        for limit, most in _LIMITS:
            self._db.setlimit(limit, most)
        self._db.set_authorizer(_authorizer({table.name for table in self.tables}))

    def query(self, sql: str, rows: int = SHOWN_ROWS) -> Rows:
        """Answer one SELECT, which may stand in a Markdown fence.

        Raises:
            KnowledgeError: it is no SELECT, is wrong, or takes too long; the message says what
                and names the tables.
        """
        end = time.monotonic() + SECONDS
        with self._lock:
            self._db.set_progress_handler(lambda: int(time.monotonic() > end), _TICK)
            try:
                cursor = self._db.execute(_bare(sql))
                found, more = _fetch(cursor, rows)
                names = tuple(column[0] for column in cursor.description or ())
                cursor.close()
            except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
                raise KnowledgeError(_explain(error), hint=f"Tables: {self.schema()}") from error
            finally:
                self._db.set_progress_handler(None, 0)
        if not names:
            raise KnowledgeError("That is no SELECT.", hint=f"Tables: {self.schema()}")
        return Rows(names, found, more)

    def schema(self) -> str:
        """Write the tables with their columns, as CREATE TABLE has them."""
        return "; ".join(
            f"{quoted(table.name)}({', '.join(quoted(column) for column in table.columns)})"
            for table in self.tables
        )

    def close(self) -> None:
        """Let go of the memory."""
        self._db.close()

    def _load(self, file: Path, name: str, rows: Iterator[Row]) -> None:
        head, body = header(rows)
        if not head:
            return
        name = free(identifier(name), [table.name for table in self.tables])
        columns = ", ".join(f'"{column}"' for column in head)
        places = ", ".join("?" * len(head))
        count = 0

        def padded() -> Iterator[list[Cell]]:
            nonlocal count
            for row in body:
                if any(cell is not None for cell in row):
                    count += 1
                    if count > MOST_ROWS:
                        raise DocumentError(f"{file} has more than {MOST_ROWS:,} rows.")
                    if count * len(head) > self._room:
                        raise DocumentError(
                            f"{file} is too large: all tables together have more than "
                            f"{MOST_CELLS:,} cells."
                        )
                    cells = [_shortened(cell) for cell in row[: len(head)]]
                    yield cells + [None] * (len(head) - len(cells))

        self._db.execute("BEGIN")
        try:
            self._db.execute(f'CREATE TABLE "{name}" ({columns})')
            self._db.executemany(f'INSERT INTO "{name}" VALUES ({places})', padded())
            for column in head:
                self._db.execute(_without_blanks(name, column), _BLANKS * 2)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._room -= count * len(head)
        sample = self._db.execute(f'SELECT * FROM "{name}" LIMIT 3').fetchall()
        self.tables.append(Table(name, file, tuple(head), count, tuple(sample)))


def _bare(sql: str) -> str:
    """Take off the Markdown fence in which models like to write."""
    sql = sql.strip()
    if sql.startswith("```"):
        sql = sql.strip("`").removeprefix("sqlite").removeprefix("sql")
    return sql


def _shortened(cell: Cell) -> Cell:
    return cell[:_LONGEST_CELL] if isinstance(cell, str) else cell


def _without_blanks(table: str, column: str) -> str:
    """Write the SQL that empties "-" and the like in a column of figures.

    Left as they are, SQLite would take them for zero: averages would be wrong.
    """
    marks = ", ".join("?" * len(_BLANKS))
    blank = f"""typeof("{column}") = 'text' AND lower("{column}") IN ({marks})"""
    return f"""UPDATE "{table}" SET "{column}" = NULL WHERE {blank}
        AND EXISTS (SELECT 1 FROM "{table}" WHERE typeof("{column}") IN ('integer', 'real'))
        AND NOT EXISTS (SELECT 1 FROM "{table}"
            WHERE typeof("{column}") = 'text' AND lower("{column}") NOT IN ({marks}))"""


def _fetch(cursor: sqlite3.Cursor, rows: int) -> tuple[list[tuple[Cell, ...]], bool]:
    found: list[tuple[Cell, ...]] = []
    room = _MOST_SHOWN
    for row in cursor:
        if len(found) == rows or room <= 0:
            return found, True
        found.append(row)
        room -= sum(len(cell) for cell in row if isinstance(cell, str | bytes))
    return found, False


def _authorizer(tables: set[str]) -> Callable[..., int]:
    """Let a query read the tables, SQLite's own list of them, and no more."""
    readable = tables | {"sqlite_master"}

    def authorise(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        allowed = (
            action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
            or (action == sqlite3.SQLITE_READ and first in readable)
            or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _HARMLESS)
        )
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return authorise


def _explain(error: Exception) -> str:
    text = str(error)
    if "not authorized to use function" in text:
        return f"This function is not allowed: {text.rpartition(': ')[2]}."
    if "not authorized" in text or "prohibited" in text:
        return "Only SELECT over the tables is allowed."
    if "interrupted" in text:
        return f"The query took longer than {SECONDS:g} s; make it simpler."
    return f"The query is wrong: {text}."
