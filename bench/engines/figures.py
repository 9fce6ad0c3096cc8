"""Numbers from measurements, and tables of them: text, markdown and JSON.

A `Table` keeps its figures as numbers; how many digits are shown is decided where it is
printed, once for all benchmarks.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

Cell = str | int | float | None


def median(values: Sequence[float]) -> float:
    """Return the middle value; NaN where there is none."""
    return statistics.median(values) if values else float("nan")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share lies, between neighbours in proportion.

    Args:
        values: in any order; NaN is returned where there are none.
        share: from 0 to 1.
    """
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the rise of a line through the points, by Theil and Sen: no outlier tilts it.

    Args:
        points: places and values; 0 where fewer than two places differ.
    """
    rises = [
        (b - a) / (y - x) for n, (x, a) in enumerate(points) for y, b in points[n + 1 :] if y != x
    ]
    return statistics.median(rises) if rises else 0.0


def common(left: Sequence[object], right: Sequence[object]) -> int:
    """Return how many items the two begin with in common."""
    for n, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return n
    return min(len(left), len(right))


@dataclass
class Table:
    """Rows of figures under a title.

    Args:
        title: what was measured, on what.
        columns: their heads, with units.
        rows: a name and then numbers; None where nothing was measured.
        notes: what a reader must know to read the figures right.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Append a row."""
        assert len(cells) == len(self.columns), "a row has a cell for each column"
        self.rows.append(list(cells))

    def text(self) -> str:
        """Write it for a terminal."""
        shown = [self.columns, *[[show(cell) for cell in row] for row in self.rows]]
        widths = [max(len(row[n]) for row in shown) for n in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in shown
        ]
        return "\n".join([f"\n{self.title}", *lines, *(f"  {note}" for note in self.notes)])

    def markdown(self) -> str:
        """Write it for a page."""
        rule = ["---", *["--:"] * (len(self.columns) - 1)]
        shown = [self.columns, rule, *[[show(cell) for cell in row] for row in self.rows]]
        lines = ["| " + " | ".join(row) + " |" for row in shown]
        notes = ["", *self.notes] if self.notes else []
        return "\n".join([f"\n**{self.title}**", "", *lines, *notes])

    def json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def show(cell: Cell) -> str:
    """Write a figure with three digits, or more before the point."""
    if cell is None or cell != cell:  # NaN
        return "–"
    if not isinstance(cell, float):
        return str(cell)
    size = abs(cell)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{cell:.{digits}f}"
