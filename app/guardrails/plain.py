"""A plain copy of a text to search in, with the way back to the original's offsets.

Full-width digits, digits of other scripts, no-break spaces, dashes of every length and
characters without width hide "010-1234-5678" from a pattern. The copy has one ASCII
character for each of the former and nothing for the latter (categories Cf and the fillers);
decomposed Hangul is composed, so that cue words are found. The original is never changed.

Of Unicode's NFKC the copy takes what stands for one ASCII character. Circled, raised and
lowered digits are left as they are: they number lists and footnotes, and "①010-…" read as
"1010-…" would hide the number behind it.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from groundling.guardrails.detector import Finding

# Where such characters are: all of the first planes but Han, Hangul and private use.
_PLACES = (
    range(0xA0, 0x1100), range(0x115F, 0x1161), range(0x1200, 0x3400), range(0xA4D0, 0xAC00),
    range(0xFB00, 0x10000), range(0x1D400, 0x1D800), range(0x1FBF0, 0x1FBFA),
    range(0xE0000, 0xE0200),
)  # fmt: skip
MARGIN = 1000
_WINDOW = 1 << 16
_SHORTEST = len("a@b.kr")
_WORD = 16  # names shorter than this are no keys, whatever they begin with
_BEYOND = "\U0001d400-\U0001d7ff\U0001fbf0-\U0001fbf9\U000e0000-\U000e01ff"
_FILLERS = "\u034f\u115f\u1160\u180b\u180c\u180d\u3164\uffa0"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_MARKS = ("<circle>", "<super>", "<sub>", "<fraction>", "<square>")
_JAMO = "\u1100-\u115e\u1161-\u11ff"


@dataclass(frozen=True, slots=True)
class Plain:
    """A copy of a text for searching.

    Args:
        text: the copy.
        begins: offsets into the copy where a stretch begins that was shifted.
        origins: where those stretches begin in the original.
    """

    text: str
    begins: tuple[int, ...] = (0,)
    origins: tuple[int, ...] = (0,)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original's offsets of a stretch of the copy that is not empty."""
        return self._origin(start), self._origin(end - 1) + 1

    @property
    def shifted(self) -> bool:
        """Whether an offset into the copy may differ from the original's."""
        return self.origins != (0,)

    def _origin(self, offset: int) -> int:
        stretch = bisect_right(self.begins, offset) - 1
        return self.origins[stretch] + offset - self.begins[stretch]


def scan(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern, window after window.

    A search holds the interpreter's lock until it finds something; in windows, other threads
    get their turn within a millisecond or two, however long the text is. What the pattern
    looks at ahead of a match, or takes, must fit into `MARGIN` characters.
    """
    begin, length = 0, len(text)
    while begin < length:
        border = begin + _WINDOW
        for match in pattern.finditer(text, begin, border + MARGIN):
            if match.start() >= border:
                break
            yield match
            begin = match.end()
        begin = max(begin, border)


def plain(text: str) -> Plain:
    """Copy a text for searching; the text itself where it is plain already."""
    if text.isascii():
        return Plain(text)
    runs, table = _special()
    pieces: list[str] = []
    begins, origins = [0], [0]
    done = length = 0
    for run in scan(runs, text):
        found = run.group()
        kept = text[done : run.start()]
        pieces.append(kept)
        length += len(kept)
        done = run.start()
        # Hangul moves as a whole: what is searched for in it is only looked at, not cut out.
        whole = "\u1100" <= found[0] <= "\u11ff"
        for part in (found,) if whole or len(found) == 1 else found:
            copy = unicodedata.normalize("NFC", part) if whole else table.get(part, part)
            pieces.append(copy)
            length += len(copy)
            done += len(part)
            if len(copy) != len(part):
                if begins[-1] == length:
                    origins[-1] = done
                else:
                    begins.append(length)
                    origins.append(done)
    if not done:
        return Plain(text)
    pieces.append(text[done:])
    return Plain("".join(pieces), tuple(begins), tuple(origins))


class PlainDetector(ABC):
    """A detector by patterns, which searches the plain copy of a text.

    Whoever asks several of them makes the copy once and calls `find_plain`.
    """

    def find(self, text: str) -> Iterable[Finding]:
        """Return the findings in a text."""
        return self.find_plain(plain(text))

    def find_plain(self, view: Plain) -> Iterable[Finding]:
        """Return the findings, with offsets into the text that the copy was made of."""
        text = view.text
        if len(text) < _WORD and (len(text) < _SHORTEST or text.isidentifier()):
            return ()  # "role", "run_type": most strings of a trace
        if not view.shifted:
            return self.search(text)
        return [Finding(f.kind, *view.span(f.start, f.end), f.score) for f in self.search(text)]

    @abstractmethod
    def search(self, text: str) -> Iterator[Finding]:
        """Yield the findings in a plain text."""


@cache
def _special() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return what finds runs of characters that change, and what each becomes."""
    table = {}
    for place in _PLACES:
        for code in place:
            character = chr(code)
            copy = _copy(character)
            if copy is not None:
                table[character] = copy
    # Beyond U+FFFF the engine compares range after range, so those are few; below, it has a map.
    low = "".join(character for character in table if character <= "\uffff")
    ranges = f"{re.escape(low)}{_BEYOND}"
    return re.compile(f"[{ranges}{_JAMO}](?:(?<=[{_JAMO}])[{_JAMO}]*+|[{ranges}]*+)"), table


def _copy(character: str) -> str | None:
    """Return what a character becomes; None where it stays."""
    category = unicodedata.category(character)
    if category == "Cf" or character in _FILLERS or "\ufe00" <= character <= "\ufe0f":
        return ""
    if "\U000e0100" <= character <= "\U000e01ef":  # variation selectors
        return ""
    if character in _DASHES:
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if unicodedata.decomposition(character).startswith(_MARKS):
        return None
    composed = unicodedata.normalize("NFKC", character)
    return composed if len(composed) == 1 and composed.isascii() else None
