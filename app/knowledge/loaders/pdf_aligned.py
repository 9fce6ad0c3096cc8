"""Tables without vertical rules: lines of which the words stand below each other.

A streak of lines makes a table where a strip of white between any two columns runs through
all of it. Two columns are left as text: "Name  Kim" reads as well, and lists look like that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from groundling.knowledge.loaders.pdf_tables import Table
from groundling.knowledge.loaders.pdf_text import Run, joined

Line = list[Run]

_ROWS, _COLUMNS = 3, 3  # the fewest
_FILLED = 0.6  # the least part of the cells with text
_LETTERS = 25  # a cell has on average, at most: more is prose in columns
_STRIP = 0.4  # of a line's height: the narrowest strip between two columns
_GAP = 1.5  # the same, of the usual gap: those of justified text are smaller
_NEAR = 3.0  # points by which the start of a cell's next line may be off
_APART = 3.0  # of a line's height: the most that two rows stand apart


def aligned_tables(lines: Sequence[Line]) -> Iterator[Line | Table]:
    """Yield lines, from the top, and in place of those that make a table the table."""
    streak: list[Line] = []
    for line in lines:
        if streak and not _continues(streak, line):
            yield from _table_or_lines(streak)
            streak = []
        if streak or len(line) > 1:
            streak.append(line)
        else:
            yield line
    yield from _table_or_lines(streak)


def _continues(streak: list[Line], line: Line) -> bool:
    """Tell whether a line may be a row, or the next line of one cell of the row above."""
    above = streak[-1]
    if line[0].top - above[0].top > _APART * above[0].height:
        return False
    return len(line) > 1 or _wraps(streak, line)


def _wraps(streak: list[Line], line: Line) -> bool:
    row = next(row for row in reversed(streak) if len(row) > 1)
    return len(line) == 1 and any(abs(run.left - line[0].left) <= _NEAR for run in row[1:])


def _table_or_lines(streak: list[Line]) -> Iterator[Line | Table]:
    columns = _columns(streak)
    rows = _rows(streak, columns)
    if len(rows) < _ROWS or len(columns) < _COLUMNS or not _looks_like_cells(streak, rows):
        yield from streak
        return
    runs = [run for line in streak for run in line]
    top, bottom = min(run.top for run in runs), max(run.bottom for run in runs)
    edges = (*(left for left, _ in columns), columns[-1][1])
    yield Table(edges[0], top, edges[-1], bottom, edges, rows)


def _looks_like_cells(streak: list[Line], rows: list[list[str]]) -> bool:
    """Tell cells from prose: most are filled, with little, and stand well apart."""
    cells = [cell for row in rows for cell in row]
    filled = [cell for cell in cells if cell]
    gaps = [
        (right.left - left.right) / left.height for line in streak for left, right in pairwise(line)
    ]
    return (
        len(filled) >= _FILLED * len(cells)
        and sum(map(len, filled)) <= _LETTERS * len(filled)
        and median(gaps) >= _GAP
    )


def _columns(streak: list[Line]) -> list[tuple[float, float]]:
    """Return where words stand: the strips between are white in all lines."""
    columns: list[tuple[float, float]] = []
    for run in sorted((run for line in streak for run in line), key=lambda run: run.left):
        if columns and run.left <= columns[-1][1] + _STRIP * run.height:
            columns[-1] = (columns[-1][0], max(columns[-1][1], run.right))
        else:
            columns.append((run.left, run.right))
    return columns


def _rows(streak: list[Line], columns: list[tuple[float, float]]) -> list[list[str]]:
    rows: list[list[str]] = []
    for line in streak:
        row = rows[-1] if rows and len(line) == 1 else [""] * len(columns)
        for run in line:
            column = max(n for n, (left, _) in enumerate(columns) if left <= run.left)
            row[column] = joined(row[column], run.text) if row[column] else run.text
        if not rows or row is not rows[-1]:
            rows.append(row)
    return rows
