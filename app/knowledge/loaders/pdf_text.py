"""Words of a PDF page put together: to runs, to lines, to running text.

A run is what stands together on a line without a wide gap: a line of a column, a cell of a
table, a page number. Its gaps say nothing of meaning; only places do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from groundling.knowledge.loaders.pdf_page import HYPHEN, Word

# Parts of the height of a line of text.
_GAP = 0.9  # a wider one parts two runs
_BACK = 0.5  # so far to the left stands only what is on another line, or in another column
_OVERLAP = 0.5  # of the lower one: so much two on one line have in common
_TOUCHING = 0.12  # a narrower gap between runs is none: an exponent, a change of font

_FIRST = re.compile(r"[^\W\d_]+")
_HYPHENS = ("-", HYPHEN, "\u00ad", "\u2010")
# "pre- and post-war": the hyphen stands for a word left out.
_AFTER_OMISSION = {"and", "or", "to", "und", "oder", "bis", "et", "ou", "y", "o"}


class Run(NamedTuple):
    """Words on a line without a wide gap.

    Args:
        first: width of the first word, in points.
        spaced: white space follows in the file, before the line ends.
        order: where it stands in the file's order.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float
    first: float
    spaced: bool
    order: int
    upright: bool

    @property
    def height(self) -> float:
        return max(1.0, self.bottom - self.top)


def runs(words: Sequence[Word]) -> list[Run]:
    """Put words that stand together into runs, in the order of the file."""
    found: list[Run] = []
    part: list[Word] = []
    for word in words:
        if part and not _together(part[-1], word):
            found.append(_run(part, len(found)))
            part = []
        part.append(word)
    if part:
        found.append(_run(part, len(found)))
    return found


def _together(before: Word, word: Word) -> bool:
    if "\n" in before.after or before.upright is not word.upright:
        return False
    if not word.upright:
        return True
    height = min(before.bottom - before.top, word.bottom - word.top)
    if not -_BACK * height <= word.left - before.right <= _GAP * height:
        return False
    common = min(before.bottom, word.bottom) - max(before.top, word.top)
    return common >= _OVERLAP * height


def _run(words: list[Word], order: int) -> Run:
    first, last = words[0], words[-1]
    upright = first.upright
    return Run(
        "".join([f"{word.text} " if word.after else word.text for word in words]).strip(),
        first.left if upright else min(word.left for word in words),
        min(word.top for word in words),
        last.right if upright else max(word.right for word in words),
        max(word.bottom for word in words),
        first.right - first.left,
        last.after[:1] in (" ", "\t"),
        order,
        upright,
    )


def line(parts: Sequence[Run]) -> Run:
    """Return the runs of one line, given from the left, as one."""
    text = parts[0].text
    for before, part in pairwise(parts):
        touching = part.left - before.right < _TOUCHING * min(before.height, part.height)
        text += part.text if touching and not before.spaced else f" {part.text}"
    tallest = max(parts, key=lambda part: part.height)
    return parts[0]._replace(
        text=text,
        top=tallest.top,
        bottom=tallest.bottom,
        right=max(part.right for part in parts),
        spaced=parts[-1].spaced,
    )


def same_line(one: Run, other: Run) -> bool:
    """Tell whether two runs stand at the same height."""
    common = min(one.bottom, other.bottom) - max(one.top, other.top)
    return common >= _OVERLAP * min(one.height, other.height)


def joined(above: str, below: str, *, space: bool = True) -> str:
    """Return two lines as running text: a word that was parted is made whole.

    A hyphen goes where a word of small letters goes on. It stays in a compound of several
    ("state-of-the-\\nart") and before "and". Chinese and Japanese lines are joined without
    a space, and Korean ones if `space` is false: Korean lines end between words or, in other
    settings, between any two syllables.
    """
    if above.endswith(_HYPHENS):
        stem = above[:-1]
        word = stem.rsplit(maxsplit=1)[-1] if stem[-1:].isalnum() else ""
        follows = _FIRST.match(below)
        if not word or (follows and follows[0] in _AFTER_OMISSION):
            return f"{stem}- {below}"
        parted = word[-1].islower() and below[:1].islower() and "-" not in word
        return stem + below if parted or above.endswith("\u00ad") else f"{stem}-{below}"
    last, first = above[-1:], below[:1]
    if _spaceless(last) and _spaceless(first):
        return above + below
    if not space and _hangul(last) and _hangul(first):
        return above + below
    return f"{above} {below}"


def shown(text: str) -> str:
    """Return the text with its hyphens as they are seen."""
    return text.replace(HYPHEN, "-").replace("\u00ad", "")


def ends_in_hangul(run: Run) -> bool:
    """Tell whether a run's last character is a Korean syllable."""
    return _hangul(run.text[-1:])


def _hangul(character: str) -> bool:
    return "가" <= character <= "힣"


def _spaceless(character: str) -> bool:
    """Tell whether it is of a script without spaces: Chinese, Japanese, their punctuation."""
    wide = unicodedata.east_asian_width(character) in "WF" if character else False
    return wide and not _hangul(character)
