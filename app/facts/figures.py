"""Numbers with what they count: the check on an over-confident judge.

"24 months" against "12 months" is a contradiction that needs no model, and a claim with a
number that its evidence does not have is not proved by it, whatever a model says.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from groundling.knowledge.citations import numbers

_COUNTED = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)*)[\s-]*(?P<unit>%|°[CF]|[$€£₩]|[A-Za-z]+|[가-힣]+)?"
)
_SYNONYMS = {"percent": "%", "퍼센트": "%", "won": "원", "krw": "원"}
_ENDINGS = re.compile(
    r"(?:으로|에서|부터|까지|동안|이상|이하|이내|이다|이며|이고|입니다|간|은|는|이|가|을|를|의|에|로|도|씩)+$"
)


class Figure(NamedTuple):
    """A number, as written and in one form, and the word that it counts ("" if none)."""

    written: str
    value: str
    unit: str


def figures(text: str) -> list[Figure]:
    """Return the numbers of a text with their units."""
    found = []
    for match in _COUNTED.finditer(text):
        [value] = numbers(match["number"]) or {match["number"]}
        found.append(Figure(match["number"], value, _unit(match["unit"] or "")))
    return found


class Conflict(NamedTuple):
    """A number of a claim, and the one that stands in its place in the evidence."""

    claimed: str
    stated: str


def conflict(claim: str, evidence: str) -> Conflict | None:
    """Find the number of a claim that its evidence has otherwise.

    Both must count the same thing, and be the only number of each that does so; the
    claim's other numbers must all stand in the evidence. Anything less is no proof.
    """
    stated, claimed = figures(evidence), figures(claim)
    there = {figure.value for figure in stated}
    missing = [figure for figure in claimed if figure.value not in there]
    if len(missing) != 1 or not missing[0].unit:
        return None
    [wrong] = missing
    same = {figure.value: figure.written for figure in stated if figure.unit == wrong.unit}
    if len(same) != 1 or sum(figure.unit == wrong.unit for figure in claimed) != 1:
        return None
    [written] = same.values()
    return Conflict(wrong.written, written)


def corrected(words: str, found: Conflict) -> str | None:
    """Put the stated number in place of the claimed one; None if it stands there not once."""
    pattern = re.compile(rf"(?<![\d.,]){re.escape(found.claimed)}(?![\d]|[.,]\d)")
    if len(pattern.findall(words)) != 1:
        return None
    return pattern.sub(lambda _: found.stated, words)


def _unit(word: str) -> str:
    word = word.casefold()
    if any("가" <= sign <= "힣" for sign in word):
        word = _ENDINGS.sub("", word) or word
    elif len(word) > 3 and word.endswith("s"):
        word = word[:-1]
    return _SYNONYMS.get(word, word)
