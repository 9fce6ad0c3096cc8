"""A place in a text that has the shape of a number, and what stands around it.

A shape alone says little: "120-81-47521" is a business's number or an order's. A rule joins
a pattern with a judge who weighs check digits, dates and the words around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

NO = 0.0
REACH = 40
# What may follow a number: no further digit of the same number, no letter.
RIGHT = r"(?![0-9A-Za-z])(?![-.][0-9])"
_SEPARATORS = re.compile("[^0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stretch of a text that matched a shape.

    Args:
        text: the whole text.
        match: the stretch.
        left: the `REACH` characters before it, in lower case.
    """

    text: str
    match: re.Match[str]
    left: str

    @property
    def written(self) -> str:
        """The stretch as it is written."""
        return self.match.group()

    @property
    def digits(self) -> str:
        """Its digits and letters, without separators."""
        return _SEPARATORS.sub("", self.match.group())

    @property
    def bare(self) -> bool:
        """Whether it is written without separators."""
        return self.match.group().isdigit()

    def before(self, cue: re.Pattern[str], reach: int = 30) -> bool:
        """Tell whether a cue (in lower case) stands in the characters just before."""
        return cue.search(self.left[-reach:]) is not None

    def after(self, cue: re.Pattern[str]) -> bool:
        """Tell whether what follows begins with a cue (in lower case)."""
        end = self.match.end()
        return cue.match(self.text[end : end + REACH].lower()) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of number looks like, and who judges it.

    Args:
        kind: the kind of the findings.
        pattern: the shape; matched where a number begins.
        judge: gives a candidate its score, 0 where it is something else.
        cued: whether a word for it must be near; such shapes fit many numbers.
    """

    kind: str
    pattern: re.Pattern[str]
    judge: Callable[[Candidate], float]
    cued: bool = False


def rule(
    kind: str, pattern: str, judge: Callable[[Candidate], float], *, cued: bool = False
) -> Rule:
    """Make a rule whose pattern ends where the number ends."""
    return Rule(kind, re.compile(f"(?:{pattern}){RIGHT}"), judge, cued)


def cue(*words: str) -> re.Pattern[str]:
    """Make the pattern of words that tell what a number is; they are patterns, in lower case.

    Each begins with a plain letter, so that the engine skips to those: a boundary before it
    is written behind it (`rrn(?<!\\wrrn)`).
    """
    return re.compile("|".join(words))


def word(*words: str) -> str:
    """Return the pattern of whole English words."""
    return "|".join(rf"{one}(?<![a-z]{one})(?![a-z])" for one in words)


def joined(text: str, start: int) -> bool:
    """Tell whether what begins here goes on from what stands before: `ORD-12`, `a12`, `$12`.

    A line break or tab that is written as `\\n` or `\\t`, as in JSON within a text, is not
    part of a word.
    """
    if not start:
        return False
    last = text[start - 1]
    if last.isascii() and last.isalnum():
        return not (last in "nrt" and text[start - 2 : start - 1] == "\\")
    if last in "$₩€£¥":
        return True
    if last not in "-_./":
        return False
    left = text[start - 2 : start - 1] if start > 1 else ""
    if not (left.isascii() and left.isalnum()):
        return False
    if last == "/":  # phone numbers are listed so: 02-…/010-…
        return left.isalpha()
    return last != "." or left.isdigit()  # T.02-… is a phone, 3.14 is not
