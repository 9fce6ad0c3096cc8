"""Running heads: lines at the top and bottom of most pages that are no part of the text.

Such a line stands near the page's edge and is set off from its text by white space, and more
than `MOST` of the pages have it: the same words, and numbers that are the same or, as page
numbers do, go up with the pages. A heading whose number happens to be the page's ("Section
12") is kept.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from groundling.knowledge.loaders.pdf_layout import Item
from groundling.knowledge.loaders.pdf_text import Run

MOST = 0.6  # part of the pages
_FEWEST = 2  # pages
_ZONE = 0.15  # part of the page's height
_LINES = 3  # the most that a head or a foot has
_SET_OFF = 0.6  # of a line's height: the white space between it and the text
_BESIDE = 0.5  # of the lower one's height: so much two on one line have in common

_NUMBER = re.compile(r"\d{1,9}")
# A page number alone, with words for a page, or parted from a title by a mark.
_PAGE_NUMBER = re.compile(
    r"(?:(?:pages?|pg?|seite|of|von)\b|페이지|[총제쪽면]|\W|_)*"
    r"|#\s*[|·•–—/-]\s.*|.*\s[|·•–—/-]\s*#",
    re.IGNORECASE,
)


class Content(NamedTuple):
    """What stands on a page, and its size in points."""

    items: Sequence[Item]
    width: float
    height: float


class _Head(NamedTuple):
    """A line's edge of the page, and its text with "#" for each number."""

    edge: str
    text: str


class _Number(NamedTuple):
    """A number in a running head: `value`, and the page's index more where it `counts`."""

    counts: bool
    value: int


class RunningHeads:
    """The running heads of a document.

    Args:
        pages: its pages, or some of them, by their indices from 0.
    """

    def __init__(self, pages: Mapping[int, Content]) -> None:
        seen: dict[_Head, dict[int, list[int]]] = defaultdict(dict)
        for index, page in pages.items():
            for _, head, numbers in _marginal(page):
                seen[head][index] = numbers
        self._heads: dict[_Head, list[_Number]] = {}
        for head, places in seen.items():
            expected = _expected(places)
            fitting = sum(_fits(expected, index, found) for index, found in places.items())
            if fitting < _FEWEST or fitting <= MOST * len(pages):
                continue
            if _PAGE_NUMBER.fullmatch(head.text) or not any(n.counts for n in expected):
                self._heads[head] = expected

    def without(self, index: int, page: Content) -> list[Item]:
        """Return what stands on the page of this index but for running heads."""
        dropped = {
            run.order
            for run, head, numbers in _marginal(page)
            if head in self._heads and _fits(self._heads[head], index, numbers)
        }
        return [
            item for item in page.items if not isinstance(item, Run) or item.order not in dropped
        ]


def _marginal(page: Content) -> Iterator[tuple[Run, _Head, list[int]]]:
    """Yield the runs that white space sets off at an edge, and those that are turned."""
    lines = _lines(item for item in page.items if not isinstance(item, Run) or item.upright)
    top, bottom = _ZONE * page.height, (1 - _ZONE) * page.height
    edges: dict[str, list[Item]] = {
        "top": [item for item in _set_off(lines) if item.bottom < top],
        "bottom": [item for item in _set_off(lines[::-1]) if item.top > bottom],
        "side": [item for item in page.items if isinstance(item, Run) and not item.upright],
    }
    for edge, found in edges.items():
        for run in found:
            if isinstance(run, Run):
                numbers = [int(number) for number in _NUMBER.findall(run.text)]
                yield run, _Head(edge, _NUMBER.sub("#", run.text)), numbers


def _lines(items: Iterable[Item]) -> list[list[Item]]:
    """Group what stands side by side, from the top."""
    lines: list[list[Item]] = []
    bottom = 0.0
    for item in sorted(items, key=lambda item: item.top):
        if lines and item.top < bottom - _BESIDE * (item.bottom - item.top):
            lines[-1].append(item)
            bottom = max(bottom, item.bottom)
        else:
            lines.append([item])
            bottom = item.bottom
    return lines


def _set_off(lines: list[list[Item]]) -> list[Item]:
    """Return what stands on the first lines, as many as white space parts from the next."""
    last = 0
    for count, (line, following) in enumerate(pairwise(lines[: _LINES + 1]), 1):
        above, below = sorted((line, following), key=lambda line: min(item.top for item in line))
        white = min(item.top for item in below) - max(item.bottom for item in above)
        if white >= _SET_OFF * max(item.bottom - item.top for item in line):
            last = count
    return [item for line in lines[:last] for item in line]


def _expected(places: Mapping[int, Sequence[int]]) -> list[_Number]:
    """Return what each number of a head mostly is, on the pages of these indices."""
    expected = []
    for slot in zip(*places.values(), strict=True):
        found: Counter[_Number] = Counter()
        for index, value in zip(places, slot, strict=True):
            found[_Number(False, value)] += 1
            found[_Number(True, value - index)] += 1
        expected.append(found.most_common(1)[0][0])
    return expected


def _fits(expected: Sequence[_Number], index: int, found: Sequence[int]) -> bool:
    return all(
        value == number.value + (index if number.counts else 0)
        for number, value in zip(expected, found, strict=True)
    )
