"""Token F1: how much of the answer and of the gold answer is the other's.

English by words as SQuAD's script counts (Rajpurkar et al. 2016, arXiv:1606.05250), Korean by
characters as KorQuAD's does (Lim et al. 2019, arXiv:1909.07005), since Korean particles stick
to their words. Which of the two is the gold answer's matter.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, answer_of, gold_answers, not_applicable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_HANGUL = re.compile(r"[가-힣ᄀ-ᇿㄱ-ㆎ]")
_BRACKETS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation))


class TokenF1:
    """The best F1 that the answer has with a gold answer, 0 to 1."""

    def __init__(self, name: str = "f1") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Compare the answer with each gold answer."""
        gold = gold_answers(example)
        if not gold:
            return not_applicable(self.name, "the example has no gold answer")
        answer = answer_of(result.outputs)
        return Score(self.name, max(f1(answer, each) for each in gold))


def f1(answer: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall over tokens."""
    korean = _HANGUL.search(unicodedata.normalize("NFKC", gold)) is not None
    said, wanted = tokens(answer, korean=korean), tokens(gold, korean=korean)
    if not said or not wanted:
        return float(said == wanted)
    common = (Counter(said) & Counter(wanted)).total()
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def tokens(text: str, *, korean: bool) -> list[str]:
    """Split a text into lower-case words without articles, or into Korean's characters."""
    text = unicodedata.normalize("NFKC", text).lower()
    if korean:
        return list("".join(text.translate(_BRACKETS).translate(_PUNCTUATION).split()))
    return _ARTICLES.sub(" ", text.translate(_PUNCTUATION)).split()
