"""The order in which a page is read: columns one after the other, lines, paragraphs.

A page is cut where a strip of white parts its lines into a left and a right side, after the
recursive X-Y cut (Nagy and Seth, 1984), but only if the two sides read as columns: the file
writes them one after the other, or both are full of text. So a form and a table without
rules are read across.

A line's end is kept unless the next line's first word would not have fitted before it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from groundling.knowledge.loaders.pdf_aligned import aligned_tables
from groundling.knowledge.loaders.pdf_tables import Table
from groundling.knowledge.loaders.pdf_text import Run, ends_in_hangul, joined, line, same_line

Item = Run | Table

_STEP = 2.0  # points: how exactly the strip is looked for
_STRIP = 6.0  # points: the narrowest strip between columns
_MIDDLE = (0.15, 0.85)  # parts of the width between which it stands
_NESTED = 4  # columns within columns
_FEWEST = 2  # lines of a column
_FULL_LINES, _FULL = 5, 0.7  # of columns that the file writes line by line: lines, their width

# Parts of a line's height.
_SIZE = 0.15  # lines of one paragraph differ less in height
_INDENT = 0.8
_SPACE = 0.25
_PARAGRAPH = 1.25  # of the usual distance of lines
_FAR = 2.2
# A text narrower than this part of the page, and not a column, is a list or verse.
_NARROW = 0.45

_ITEM = re.compile(
    r"[•●○◦▪■□◆◇▶►※‣⁃∙·*–—-]\s|[①-⑳]|제\s?\d+\s?[조항장절]"
    r"|\(?(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z가나다라마바사아자차카타파하]|[ivxIVX]{1,5})[.)]\s"
)
# Dots that lead to a page number in a table of contents.
_LEADER = re.compile(r"(?:[.·…]\s?){4,}\S{0,6}$")


def blocks(items: Sequence[Item], width: float) -> Iterator[str | Table]:
    """Yield the paragraphs and tables of a page of this width in the order they are read.

    Text that stands upright comes first, text turned on its side last.
    """
    upright = [item for item in items if isinstance(item, Table) or item.upright]
    turned = [item.text for item in items if isinstance(item, Run) and not item.upright]
    parts = list(_columns(upright))
    spaced = any(ends_in_hangul(item) and item.spaced for item in items if isinstance(item, Run))
    for part in parts:
        yield from _paragraphs(_lines(part), 0 if len(parts) > 1 else _NARROW * width, spaced)
    yield from turned


def _columns(items: list[Item], depth: int = 0) -> Iterator[list[Item]]:
    """Yield the parts of a page that are read one after the other."""
    at = _strip(items) if depth < _NESTED else None
    if at is None:
        if items:
            yield items
        return
    across: list[Item] = []
    for wide, left, right in _bands(items, at):
        across.extend(wide)
        if _are_columns(left, right):
            if across:
                yield across
            across = []
            yield from _columns(left, depth + 1)
            yield from _columns(right, depth + 1)
        else:
            across.extend((*left, *right))
    if across:
        yield across


def _bands(items: list[Item], at: float) -> Iterator[tuple[list[Item], list[Item], list[Item]]]:
    """Yield what lies across the strip, then what stands left and right of it below that."""
    wide: list[Item] = []
    left: list[Item] = []
    right: list[Item] = []
    for item in sorted(items, key=lambda item: item.top):
        if item.left < at < item.right:
            if left or right:
                yield wide, left, right
                wide, left, right = [], [], []
            wide.append(item)
        else:
            (left if item.right <= at else right).append(item)
    yield wide, left, right


def _strip(items: list[Item]) -> float | None:
    """Return the middle of the widest strip that the fewest lines lie across."""
    if len(items) < 2 * _FEWEST:
        return None
    begin, end = min(item.left for item in items), max(item.right for item in items)
    count = int((end - begin) / _STEP) + 1
    changes = [0] * (count + 2)
    for item in items:
        changes[int((item.left - begin) / _STEP)] += 1
        changes[int((item.right - begin) / _STEP) + 1] -= 1
    low, high = int(count * _MIDDLE[0]), int(count * _MIDDLE[1])
    level = 0
    best: tuple[int, int, int] = (len(items), 0, 0)
    start = 0
    levels = []
    for change in changes:
        level += change
        levels.append(level)
    for i in range(low, high):
        if i == low or levels[i] != levels[i - 1]:
            start = i
        best = min(best, (levels[i], start - i - 1, i))
    _, length, last = best
    if -length * _STEP < _STRIP:
        return None
    return begin + (last + 1 + length / 2) * _STEP


def _are_columns(left: list[Item], right: list[Item]) -> bool:
    """Tell whether the right side is to be read after the left one, not beside it."""
    if min(len(left), len(right)) < _FEWEST:
        return False
    top = max(min(item.top for item in side) for side in (left, right))
    bottom = min(max(item.bottom for item in side) for side in (left, right))
    if top >= bottom:
        return False
    sides = {
        item.order: side
        for side, part in enumerate((left, right))
        for item in part
        if isinstance(item, Run)
    }
    written = [sides[order] for order in sorted(sides)]
    changes = sum(one != other for one, other in pairwise(written))
    if changes <= max(1, min(len(left), len(right)) // 10):
        return True
    return _full(left) and _full(right)


def _full(side: list[Item]) -> bool:
    width = max(item.right for item in side) - min(item.left for item in side)
    covered = sum(item.right - item.left for item in side) / len(side)
    return len(side) >= _FULL_LINES and covered >= _FULL * width


def _lines(items: Iterable[Item]) -> list[Item]:
    """Put runs on one line together, and lines that make a table, from the top."""
    groups: list[list[Run]] = []
    lines: list[Item] = []
    for item in sorted(items, key=lambda item: item.top):
        if isinstance(item, Table):
            lines.append(item)
            continue
        for group in groups[-3:]:
            if same_line(group[0], item):
                group.append(item)
                break
        else:
            groups.append([item])
    for group in groups:
        group.sort(key=lambda run: run.left)
    found = aligned_tables(groups)
    lines.extend(part if isinstance(part, Table) else line(part) for part in found)
    return sorted(lines, key=lambda item: item.top)


def _paragraphs(lines: list[Item], narrow: float, spaced: bool) -> Iterator[str | Table]:
    """Yield blocks of text, lines that go on made one, and the tables between them."""
    runs = [item for item in lines if isinstance(item, Run)]
    edge = _edge(runs)
    if runs and edge - min(run.left for run in runs) < narrow:
        edge = float("inf")
    usual = _usual_distance(runs)
    block = ""
    begin: Run | None = None
    above: Run | None = None
    for item in lines:
        if isinstance(item, Table):
            if block:
                yield block
            yield item
            block, above = "", None
            continue
        if above is None or begin is None:
            block, begin = item.text, item
        elif _apart(above, item, usual):
            yield block
            block, begin = item.text, item
        elif _goes_on(begin, above, item, edge):
            block = joined(block, item.text, space=above.spaced or not spaced)
        else:
            block, begin = f"{block}\n{item.text}", item
        above = item
    if block:
        yield block


def _edge(runs: list[Run]) -> float:
    """Return the right edge of a column: where lines end, but for a few that stick out."""
    if not runs:
        return 0.0
    ends = sorted(run.right for run in runs)
    height = median(run.height for run in runs)
    fewest = max(2, len(runs) // 20) if len(runs) >= 12 else 1
    for last in range(len(ends) - 1, -1, -1):
        if last + 1 - bisect_left(ends, ends[last] - height) >= fewest:
            return ends[last]
    return ends[-1]


def _usual_distance(runs: list[Run]) -> float:
    """Return how far below a line the next one of its size stands."""
    distances = [below.top - above.top for above, below in pairwise(runs) if _alike(above, below)]
    near = [distance for distance in distances if distance > 0]
    return median(near) if near else 0.0


def _alike(above: Run, below: Run) -> bool:
    return abs(above.height - below.height) <= _SIZE * max(above.height, below.height)


def _apart(above: Run, below: Run, usual: float) -> bool:
    """Tell whether white space or another size of letters sets off the lower line."""
    distance = below.top - above.top
    most = min(max(_PARAGRAPH * usual, above.height), _FAR * above.height)
    return not _alike(above, below) or distance > most or distance < 0


def _goes_on(begin: Run, above: Run, below: Run, edge: float) -> bool:
    """Tell whether the text goes on from one line to the next, in a paragraph since `begin`."""
    height = below.height
    if above.right + _SPACE * height + below.first <= edge:
        return False
    if _is_item(above, below) or _LEADER.search(above.text):
        return False
    indent = (below.left - above.left) / height
    first = begin is above
    if indent > _INDENT:
        return first and bool(_ITEM.match(above.text))
    return indent >= -_INDENT or (first and not _ITEM.match(above.text))


def _is_item(above: Run, below: Run) -> bool:
    """Tell whether a line begins with a list's mark: "다." after a syllable ends a sentence."""
    return bool(_ITEM.match(below.text)) and not (
        ends_in_hangul(above) and "가" <= below.text[0] <= "힣"
    )
