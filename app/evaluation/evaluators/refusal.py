"""Refusal: the graph declines where the documents do not tell, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundling.evaluation.evaluators.matching import normal
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, answer_of, not_applicable


class Refusal:
    """1 where the run refused exactly if the example's outputs have `refuse`."""

    def __init__(self, name: str = "refused") -> None:
        self.name = name

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Compare what was done with what should have been."""
        if not isinstance((example.outputs or {}).get("refuse"), bool):
            return not_applicable(self.name, "the example does not say whether to refuse")
        wanted, refused = should_refuse(example), has_refused(result.outputs)
        comment = None
        if wanted != refused:
            comment = "refused an answerable question" if refused else "should have refused"
        return Score(self.name, float(wanted == refused), comment)


def should_refuse(example: Example) -> bool:
    """Tell whether an example has no answer in the documents."""
    return bool((example.outputs or {}).get("refuse"))


def has_refused(outputs: Mapping[str, Any]) -> bool:
    """Tell whether a run refused: by its verdict, else by the words that `rag` refuses in."""
    if isinstance(verdict := outputs.get("verdict"), str):
        return verdict == "refused"
    from groundling.graphs.rag import REFUSALS

    answer = normal(answer_of(outputs))
    return any(answer == normal(refusal) for refusal in REFUSALS.values())
