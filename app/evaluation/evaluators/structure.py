"""JSON schema: the answer is JSON of a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from groundling.evaluation.example import Example
from groundling.evaluation.schemas import first_problem, validator
from groundling.evaluation.score import RunResult, Score, not_applicable, plain_answer_of


class JsonSchema:
    """1 where the answer is JSON that keeps to the schema, and nothing besides.

    Args:
        schema: None: the field `schema` of the example's outputs.

    Raises:
        EvaluationError: the schema is none.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None, name: str = "json_schema") -> None:
        self.name = name
        self._validator = None if schema is None else validator(schema)

    def evaluate(self, example: Example, result: RunResult) -> Score:
        """Read the answer and check it."""
        against = self._validator
        if against is None:
            own = (example.outputs or {}).get("schema")
            if not isinstance(own, dict):
                return not_applicable(self.name, "the example has no schema")
            against = validator(own)
        answer = plain_answer_of(result.outputs)
        try:
            value = json.loads(answer)
        except ValueError as error:
            return Score(self.name, 0.0, f"not JSON: {error}")
        problem = first_problem(against, value)
        return Score(self.name, float(problem is None), problem)
