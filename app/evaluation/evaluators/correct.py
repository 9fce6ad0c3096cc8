"""Contains: the answer holds an accepted string and no rejected one."""

from __future__ import annotations

from groundling.evaluation.evaluators.matching import holds
from groundling.evaluation.evaluators.refusal import has_refused, should_refuse
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, answer_of, gold_answers, not_applicable


class Correct:
    """1 where the answer holds one of `accept` (or `answer`) and none of `reject`.

    An example with `refuse` in its outputs is answered rightly by refusing, and only so. The
    fields stand in the example's outputs; texts are compared after `matching.normal`, and no
    number is cut in two.
    """

    def __init__(self, name: str = "correct") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Look for the strings."""
        if should_refuse(example):
            refused = has_refused(result.outputs)
            return Score(self.name, float(refused), None if refused else "should have refused")
        outputs = example.outputs or {}
        accept = outputs.get("accept")
        gold = accept if isinstance(accept, list) and accept else gold_answers(example)
        if not gold:
            return not_applicable(self.name, "the example has no gold answer")
        answer = answer_of(result.outputs)
        for wrong in outputs.get("reject") or ():
            if holds(answer, wrong):
                return Score(self.name, 0.0, f"says “{wrong}”")
        if any(holds(answer, each) for each in gold):
            return Score(self.name, 1.0)
        return Score(self.name, 0.0, f"does not say “{gold[0]}”")
