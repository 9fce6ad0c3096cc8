"""Exact match: the answer is one of the gold answers, and nothing more."""

from __future__ import annotations

from groundling.evaluation.evaluators.matching import normal
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, answer_of, gold_answers, not_applicable


class ExactMatch:
    """1 where answer and a gold answer are the same after `matching.normal`.

    The stop that ends a sentence does not count.
    """

    def __init__(self, name: str = "exact") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Compare the answer with each gold answer."""
        gold = gold_answers(example)
        if not gold:
            return not_applicable(self.name, "the example has no gold answer")
        answer = _bare(answer_of(result.outputs))
        return Score(self.name, float(any(answer == _bare(each) for each in gold)))


def _bare(text: str) -> str:
    return normal(text).rstrip(".。!")
