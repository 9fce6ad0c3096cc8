"""What an evaluator is given, and what it gives.

    class Short:
        name = "short"

        def evaluate(self, example: Example, result: RunResult) -> Score:
            return Score(self.name, float(len(answer_of(result.outputs)) < 80))

An evaluator that cannot judge an example says so: `value=None` and a comment where it does not
apply, an exception (or `error`) where it failed. Neither counts as a zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from groundling.evaluation.example import Example
from groundling.evaluation.recorded import Trace
from groundling.tracing.digest import said

Better = Literal["higher", "lower"]
_TEXTS = ("answer", "output", "result", "text", "content", "completion")
_MARKS = re.compile(r"\s*(?:\[\d+\])+")


@dataclass(frozen=True)
class Score:
    """One judgement of one run.

    Args:
        key: what is judged.
        value: how good it is, usually from 0 to 1; None where that cannot be said.
        comment: why, in a person's words.
        error: why the evaluator failed; None where it did not.
        better: whether higher or lower values are the good ones.
        detail: further facts, as JSON.
    """

    key: str
    value: float | None
    comment: str | None = None
    error: str | None = None
    better: Better = "higher"
    detail: Mapping[str, Any] = field(default_factory=dict)


Scores = Score | Sequence[Score]


@dataclass(frozen=True)
class RunResult:
    """How a run of an example went.

    Args:
        outputs: what it gave, as JSON; empty where it failed.
        error: why it failed.
        trace: the run and all below it.
    """

    run_id: UUID
    outputs: Mapping[str, Any]
    error: str | None
    trace: Trace


class Evaluator(Protocol):
    """Judges runs.

    A run that failed gets 0 without being asked about; evaluators that measure runs rather
    than judge answers set `measures = True` and are asked.
    """

    @property
    def name(self) -> str:
        """What its scores are kept under; those of a list may have other keys."""

    def evaluate(self, example: Example, result: RunResult) -> Scores | Awaitable[Scores]:
        """Judge a run of an example."""


def answer_of(outputs: Mapping[str, Any]) -> str:
    """Return the answer in a graph's outputs, without the numbers of its citations."""
    return _MARKS.sub("", plain_answer_of(outputs))


def plain_answer_of(outputs: Mapping[str, Any]) -> str:
    """Return the answer in a graph's outputs: a text, else the last message, else JSON."""
    for key in _TEXTS:
        if isinstance(outputs.get(key), str):
            return str(outputs[key])
    if any(key in outputs for key in ("messages", "message", "generations")):
        return said(outputs)
    values = list(outputs.values())
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return json.dumps(outputs, ensure_ascii=False, sort_keys=True) if outputs else ""


def gold_answers(example: Example) -> list[str]:
    """Return the answers that an example accepts, the best one first.

    Those are `answer` (or what else stands for it) and the list `accept` of its outputs.
    """
    outputs = example.outputs or {}
    listed = outputs.get("accept")
    best = [plain_answer_of(outputs)] if outputs else []
    more = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    return list(dict.fromkeys(each for each in [*best, *more] if each))


def asked_of(example: Example) -> str:
    """Return what an example asks, in words."""
    for key in ("question", "query", "input", "text", "task", "prompt"):
        if isinstance(example.inputs.get(key), str):
            return str(example.inputs[key])
    return json.dumps(example.inputs, ensure_ascii=False)


def not_applicable(key: str, why: str, better: Better = "higher") -> Score:
    """Say that an example cannot be judged in this way."""
    return Score(key, None, why, better=better)
