"""Offsets: where quoted words stand in a text, and where they stand after an edit."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MARKER = re.compile(r"[ \t]*\[\d{1,3}\]")  # of a citation
ALIKE = 0.8  # share of the quoted words that must stand in the text, in order
_WORD = re.compile(r"\w+(?:[.,:/%'’-]\w+)*|[^\w\s]")
_SHOWN = 160  # characters of evidence inside an answer


@dataclass(frozen=True)
class Edit:
    """Characters `start` to `end` of a text become `text`; nothing replaced is an insertion."""

    start: int
    end: int
    text: str


def locate(words: str, text: str, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
    """Find where words stand in `text[start:end]`; None rather than a place that is not theirs.

    White space, case, quotation marks and citation markers may differ. Failing that, the
    words are aligned one by one, and four in five of them must be there, in order.
    """
    end = len(text) if end is None else end
    words = MARKER.sub("", words).strip().strip("\"'“”‘’…")
    if not words:
        return None
    place = text.find(words, start, end)
    if place >= 0:
        return place, place + len(words)
    parts = [re.escape(part) for part in words.split()]
    between = r"(?:\s|[*_`]|\[\d{1,3}\])+"
    match = re.compile(between.join(parts), re.IGNORECASE).search(text, start, end)
    return match.span() if match else _aligned(words, text, start, end)


def _aligned(words: str, text: str, start: int, end: int) -> tuple[int, int] | None:
    """Align word by word; the place may not be much longer than what was quoted."""
    wanted = [match[0].casefold() for match in _WORD.finditer(words)]
    there = list(_WORD.finditer(text, start, min(end, start + 20 * len(words) + 2000)))
    if not wanted or not there:
        return None
    matcher = SequenceMatcher(None, wanted, [match[0].casefold() for match in there], False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    held = sum(block.size for block in blocks)
    if not blocks or held < ALIKE * len(wanted):
        return None
    first, last = blocks[0].b, blocks[-1].b + blocks[-1].size - 1
    if last - first + 1 > 1.5 * len(wanted) + 1:
        return None
    return there[first].start(), there[last].end()


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Make edits that do not overlap; offsets are those of the text as it is given."""
    parts, done = [], 0
    for edit in sorted(edits, key=lambda one: (one.start, one.end)):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])


class Remap:
    """Offsets of a text after edits.

    Args:
        edits: as for `apply`.
    """

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = sorted(edits, key=lambda one: (one.start, one.end))
        self._ends = [edit.end for edit in self._edits]
        self._grown = [0]
        for edit in self._edits:
            self._grown.append(self._grown[-1] + len(edit.text) - (edit.end - edit.start))

    def start(self, offset: int) -> int:
        """Move the offset of a stretch's first character."""
        at = bisect_right(self._ends, offset)
        if at < len(self._edits) and self._edits[at].start < offset:
            offset = self._edits[at].start  # inside what was replaced: its beginning
        return offset + self._grown[at]

    def end(self, offset: int) -> int:
        """Move the offset behind a stretch's last character; insertions there stay outside."""
        at = bisect_right(self._ends, offset)
        while at and self._edits[at - 1].start == self._edits[at - 1].end == offset:
            at -= 1
        if at < len(self._edits) and self._edits[at].start < offset:
            edit = self._edits[at]  # inside what was replaced: its end
            return edit.start + self._grown[at] + len(edit.text)
        return offset + self._grown[at]


def one_line(text: str, most: int = _SHOWN) -> str:
    """Make evidence fit to stand inside an answer: one line, visible, without brackets."""
    shown = "".join(
        " " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text[: 4 * most]
    )
    shown = " ".join(shown.translate({ord("["): "(", ord("]"): ")"}).split())
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"
