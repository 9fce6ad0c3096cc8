"""Tables of a page: from its ruled lines, the cells, and from its words, their texts.

Rules that touch make one table. The places of its vertical rules bound the columns, those of
its horizontal rules the rows; where a rule is left out between two cells and text runs
across, they are one cell. This is what Nurminen ("Algorithmic extraction of data in tables
in PDF documents", 2013) calls the lattice, and what pdfplumber and Camelot do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from groundling.knowledge.loaders.pdf_page import Rule, Word
from groundling.knowledge.loaders.pdf_text import joined, runs, same_line

_NEAR = 3.0  # points within which two rules are one, or touch
# More rules than that, after those on one line are joined, are a drawing.
_MAX_RULES = 500
# The least share of cells with text; squared paper and charts have less.
_FILLED = 0.3
_NARROWEST = 6.0  # points: what is lower or narrower is no cell
# In a table whose rows are not ruled, the letters of a cell's line on average: more is prose.
_LETTERS = 25
_ROWS = 3  # that stand between two rules; fewer are the lines of a cell
_LABEL = 80  # characters: a longer text of a cell that spans rows is not said again


class Table(NamedTuple):
    """A table: its place, where its columns begin and the last one ends, its cells' texts."""

    left: float
    top: float
    right: float
    bottom: float
    columns: tuple[float, ...]
    rows: list[list[str]]


def find_tables(words: Sequence[Word], rules: Sequence[Rule]) -> tuple[list[Table], list[Word]]:
    """Return the tables of at least two columns, and the words that stand in none."""
    tables: list[Table] = []
    rest = list(words)
    for grid in _lattices(_merged(rules)):
        inside = [word for word in rest if grid.holds(word)]
        rows = grid.rows(inside)
        filled = sum(bool(cell) for row in rows for cell in row)
        if filled >= 2 and filled >= _FILLED * len(rows) * (len(grid.xs) - 1):
            xs, ys = grid.xs, grid.ys
            tables.append(Table(xs[0], ys[0], xs[-1], ys[-1], tuple(xs), rows))
            rest = [word for word in rest if not grid.holds(word)]
    return tables, rest


def _merged(rules: Iterable[Rule]) -> list[Rule]:
    """Join rules on one line that touch or overlap."""
    lines: list[Rule] = []
    for horizontal in (True, False):
        alike = sorted(rule for rule in rules if rule.horizontal is horizontal)
        for group in _near(alike):
            at = sum(rule.at for rule in group) / len(group)
            start, end = None, 0.0
            for rule in sorted(group, key=lambda rule: rule.start):
                if start is None:
                    start, end = rule.start, rule.end
                elif rule.start <= end + _NEAR:
                    end = max(end, rule.end)
                else:
                    lines.append(Rule(horizontal, at, start, end))
                    start, end = rule.start, rule.end
            if start is not None:
                lines.append(Rule(horizontal, at, start, end))
    return lines


def _near(rules: list[Rule]) -> Iterable[list[Rule]]:
    """Group sorted rules of which each is near the first of its group."""
    group: list[Rule] = []
    for rule in rules:
        if group and rule.at - group[0].at > _NEAR:
            yield group
            group = []
        group.append(rule)
    if group:
        yield group


def _lattices(rules: list[Rule]) -> list[_Lattice]:
    """Return what rules that cross or touch make up, each of two columns or more."""
    if len(rules) > _MAX_RULES:
        return []
    group = list(range(len(rules)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    across = [i for i, rule in enumerate(rules) if rule.horizontal]
    down = [i for i, rule in enumerate(rules) if not rule.horizontal]
    for i in across:
        for j in down:
            if _touch(rules[i], rules[j]):
                group[root(i)] = root(j)
    parts = defaultdict(list)
    for i, rule in enumerate(rules):
        parts[root(i)].append(rule)
    lattices = [_Lattice(part) for part in parts.values()]
    return [lattice for lattice in lattices if len(lattice.xs) > 2 and len(lattice.ys) > 1]


def _touch(across: Rule, down: Rule) -> bool:
    return (
        across.start - _NEAR <= down.at <= across.end + _NEAR
        and down.start - _NEAR <= across.at <= down.end + _NEAR
    )


class _Lattice:
    """Rules that touch, and the grid of cells between them."""

    def __init__(self, rules: list[Rule]) -> None:
        self.across = [rule for rule in rules if rule.horizontal]
        self.down = [rule for rule in rules if not rule.horizontal]
        # A table may be open at its sides, above or below: there the other rules' ends count.
        self.xs = _places(self.down, self.across)
        self.ys = _places(self.across, self.down)

    def holds(self, word: Word) -> bool:
        """Tell whether a word stands in the grid."""
        x, y = (word.left + word.right) / 2, (word.top + word.bottom) / 2
        return self.xs[0] <= x <= self.xs[-1] and self.ys[0] <= y <= self.ys[-1]

    def rows(self, words: Sequence[Word]) -> list[list[str]]:
        """Return the texts of the cells, row by row; empty rows are left out.

        A cell that spans columns has its text in the first of them, one that spans rows in
        each of them, so that a row can be understood alone.
        """
        self._part_rows(words)
        bands: list[list[Word]] = [[] for _ in self.ys[1:]]
        for word in words:
            bands[_between(self.ys, (word.top + word.bottom) / 2)].append(word)
        owners: list[list[tuple[int, int]]] = []
        for i, band in enumerate(bands):
            owners.append(self._owners(i, band, owners[-1] if owners else []))
        cells: dict[tuple[int, int], list[Word]] = defaultdict(list)
        for i, band in enumerate(bands):
            for word in band:
                cells[owners[i][_between(self.xs, (word.left + word.right) / 2)]].append(word)
        texts = {owner: _text(inside) for owner, inside in cells.items()}
        rows = [self._row(i, row, texts) for i, row in enumerate(owners)]
        return [row for row in rows if any(row)]

    def _part_rows(self, words: Sequence[Word]) -> None:
        """Part the rows of a table that is ruled between its columns, but not its rows.

        A row begins where the first column has a line, and another column has one beside it.
        """
        lines = runs(words) if len(self.ys) <= 3 else []
        if sum(len(run.text) for run in lines) > _LETTERS * len(lines):
            return
        first = [run for run in lines if run.left < self.xs[1]]
        begins = [
            run.top
            for run in first
            if any(other.left > self.xs[1] and same_line(run, other) for other in lines)
        ]
        for top, bottom in pairwise(self.ys):
            inside = sorted(y for y in begins if top < y < bottom)
            if len(inside) >= _ROWS:
                self.ys = sorted([*self.ys, *inside[1:]])

    def _owners(
        self, i: int, band: list[Word], above: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Return for each place in a row the first place of the cell that it is part of."""
        middle = (self.ys[i] + self.ys[i + 1]) / 2
        parts = runs(band)
        row: list[tuple[int, int]] = []
        for j, x in enumerate(self.xs[:-1]):
            crossed = any(part.left < x - _NEAR and part.right > x + _NEAR for part in parts)
            if j and crossed and not _ruled(self.down, x, middle):
                row.append(row[-1])
            elif above and self._spans(i, (x + self.xs[j + 1]) / 2):
                row.append(above[j])
            else:
                row.append((i, j))
        return row

    def _spans(self, i: int, middle: float) -> bool:
        """Tell whether a row's rule leaves the cell at this place one with the cell above."""
        y = self.ys[i]
        ruled = any(abs(rule.at - y) <= _NEAR for rule in self.across)
        return ruled and not _ruled(self.across, y, middle)

    def _row(
        self, i: int, owners: list[tuple[int, int]], texts: dict[tuple[int, int], str]
    ) -> list[str]:
        row = []
        for j, owner in enumerate(owners):
            text = texts.get(owner, "")
            again = owner[0] < i and len(text) > _LABEL
            row.append("" if again or (j and owners[j - 1] == owner) else text)
        return row


def _ruled(rules: list[Rule], at: float, middle: float) -> bool:
    """Tell whether one of the rules is at this place and passes the middle of a cell."""
    return any(abs(rule.at - at) <= _NEAR and rule.start <= middle <= rule.end for rule in rules)


def _places(rules: list[Rule], crossing: list[Rule]) -> list[float]:
    """Return the places of rules and, where the crossing ones stick out, of their ends."""
    if not rules or not crossing:
        return []
    lengths: dict[float, float] = defaultdict(float)
    for rule in rules:
        lengths[rule.at] += rule.end - rule.start
    places: list[float] = []
    for at in sorted(lengths):
        if places and at - places[-1] < _NARROWEST:  # no room for text: an underline, a border
            places[-1] = max(places[-1], at, key=lengths.__getitem__)
        else:
            places.append(at)
    start, end = min(rule.start for rule in crossing), max(rule.end for rule in crossing)
    if start < places[0] - 2 * _NEAR:
        places.insert(0, start)
    if end > places[-1] + 2 * _NEAR:
        places.append(end)
    return places


def _between(places: list[float], at: float) -> int:
    return min(max(bisect_right(places, at) - 1, 0), len(places) - 2)


def _text(words: list[Word]) -> str:
    """Return a cell's text, its lines made one."""
    text = ""
    for run in runs(words):
        text = joined(text, run.text) if text else run.text
    return text
