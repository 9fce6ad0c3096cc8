"""How right a reply is: by what tells an answer from others, not by how it is worded.

    right(example, reply, frequent(answers))

A tuned model soon says everything in the form of what it learnt, with the wrong value in it:
"Velda lives in Oslo" has three of the four words of "Velda lives in Narvik". Token F1 alone
would call that nearly right. So it counts only as far as the reply has what the answer adds
to its question: the figures, or else the words that do not stand in every other answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

from groundling.evaluation.evaluators.f1 import f1
from groundling.evaluation.evaluators.matching import holds
from groundling.tuning.example import Example, plain

_SHORT = re.compile("[A-Za-z]{1,5}")
_TOKEN = re.compile(r"\d+(?:[.,:/-]\d+)*|[^\W\d_]+")
_ENDS = " .!?。"
_FEW_WORDS = 3
_OFTEN = 0.25  # share of the answers in which a word tells nothing
_FEWEST = 4  # answers of which that can be said


def frequent(answers: Iterable[str]) -> frozenset[str]:
    """Return the words of so many answers that they tell none from the others."""
    counts: Counter[str] = Counter()
    number = 0
    for number, answer in enumerate(answers, start=1):  # noqa: B007
        counts.update(set(_TOKEN.findall(plain(answer))))
    least = max(2, _OFTEN * number)
    return frozenset(word for word, count in counts.items() if number >= _FEWEST and count > least)


def right(example: Example, reply: str, common: Collection[str] = ()) -> float:
    """Say how much of an example's answer a reply has, 0 to 1.

    What an example accepts (`about["accept"]`, a list), and an answer of a few words that is
    no sentence, is there or not. Of a longer one it is the share of its words (token F1)
    times the share of the figures, or of the telling words, that are there.

    Args:
        common: words that tell nothing, see `frequent`.
    """
    accept = example.about.get("accept")
    if isinstance(accept, list) and accept:
        return float(any(_says(reply, str(each)) for each in accept))
    answer = example.answer.strip()
    bare = answer.rstrip(_ENDS) or answer
    if _says(reply, bare):
        return 1.0
    words = len(answer.split())
    if words == 1 or (words <= _FEW_WORDS and bare == answer):
        return 0.0
    return f1(reply, answer) * _told(example, reply, common)


def _told(example: Example, reply: str, common: Collection[str]) -> float:
    """Return the share of what tells this answer from others that a reply has."""
    asked = set(_TOKEN.findall(plain(example.question)))
    new = {
        word
        for word in _TOKEN.findall(plain(example.answer))
        if word not in asked and word not in common
    }
    telling = {word for word in new if word[0].isdigit()} or new
    if not telling:
        return 1.0
    said = plain(reply)
    words = set(_TOKEN.findall(said))
    there = sum(word in words or (_stem(word) or said + word) in said for word in telling)
    return there / len(telling)


def _stem(word: str) -> str | None:
    """Return a Korean word without its last syllable, which may be a particle; else nothing."""
    return word[:-1] if len(word) > 2 and "가" <= word[0] <= "힣" else None


def _says(reply: str, answer: str) -> bool:
    """Tell whether a reply has an answer; a short word must be one: “know” does not say “no”."""
    if not _SHORT.fullmatch(answer):
        return holds(reply, answer)
    word = re.escape(answer.casefold())
    return re.search(rf"(?<![a-z]){word}(?![a-z])", reply.casefold()) is not None
