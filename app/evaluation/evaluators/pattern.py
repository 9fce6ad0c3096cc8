"""Regular expression: a pattern is found in the answer."""

from __future__ import annotations

import re

from groundling.errors import EvaluationError
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score, not_applicable, plain_answer_of


class Pattern:
    """1 where the pattern is found in the answer.

    Args:
        pattern: of Python's `re`; None: the field `pattern` of the example's outputs.

    Raises:
        EvaluationError: the pattern is none.
    """

    def __init__(self, pattern: str | None = None, name: str = "regex") -> None:
        self.name = name
        self._pattern = None if pattern is None else compiled(pattern)

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Look for the pattern."""
        pattern = self._pattern
        if pattern is None:
            own = (example.outputs or {}).get("pattern")
            if not isinstance(own, str):
                return not_applicable(self.name, "the example has no pattern")
            pattern = compiled(own)
        found = pattern.search(plain_answer_of(result.outputs))
        return Score(self.name, float(found is not None), None if found else "not found")


def compiled(pattern: str) -> re.Pattern[str]:
    """Read a pattern.

    Raises:
        EvaluationError: it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise EvaluationError(
            f"{pattern} is no regular expression: {error}.",
            hint="Python's re module describes how they are written.",
        ) from error
