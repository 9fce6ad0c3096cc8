"""Evaluators of others: any callable in LangSmith's and openevals' calling conventions.

A function names what it wants: `inputs`, `outputs`, `reference_outputs`, `run`, `example`, in
any selection; two arguments of other names are a run and an example. It may be a coroutine
function. It gives a bool, a number, a text, a mapping with `score`, `value` or `comment` (and
`key`), a list of those, or `{"results": […]}`.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from groundling.errors import EvaluationError
from groundling.evaluation.example import Example
from groundling.evaluation.score import RunResult, Score

if TYPE_CHECKING:
    from langsmith import schemas

_KNOWN = ("inputs", "outputs", "reference_outputs", "run", "example", "attachments")


class Function:
    """Asks a callable for its judgement.

    Args:
        function: see the module.
        name: default: its own.

    Raises:
        EvaluationError: it wants arguments that nobody has.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))
        self._function = function
        self._positional, self._named = _wanted(function, self.name)

    async def evaluate(self, example: Example, result: RunResult) -> list[Score]:
        """Call it; what is not a coroutine function runs in a thread."""
        wanted = {*self._positional, *self._named}
        given: dict[str, Any] = {
            "inputs": example.inputs,
            "outputs": dict(result.outputs),
            "reference_outputs": example.outputs or {},
            "attachments": {},
        }
        if "run" in wanted:
            given["run"] = _langsmith_run(example, result)
        if "example" in wanted:
            given["example"] = _langsmith_example(example)
        args = [given[name] for name in self._positional]
        named = {name: given[name] for name in self._named}
        if _is_async(self._function):
            answer = await self._function(*args, **named)
        else:
            answer = await asyncio.to_thread(self._function, *args, **named)
            if inspect.isawaitable(answer):
                answer = await answer
        return scores_of(answer, self.name)


def scores_of(answer: Any, name: str) -> list[Score]:
    """Read what an evaluator of others gave.

    Args:
        name: key of scores that have none.

    Raises:
        EvaluationError: it is no score.
    """
    if hasattr(answer, "model_dump"):  # langsmith's EvaluationResult
        answer = answer.model_dump()
    if isinstance(answer, Mapping) and "results" in answer:
        answer = answer["results"]
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return [score for each in answer for score in scores_of(each, name)]
    if isinstance(answer, Mapping):
        if not {"score", "value", "comment"} & set(answer):
            raise _no_score(answer)
        said = answer.get("comment")
        detail = {key: answer[key] for key in ("value", "metadata") if answer.get(key) is not None}
        comment = None if said is None else str(said)
        return [
            Score(
                str(answer.get("key") or name), _number(answer.get("score")), comment, detail=detail
            )
        ]
    if isinstance(answer, str):
        return [Score(name, None, answer, detail={"value": answer})]
    if answer is None:
        raise _no_score(answer)
    return [Score(name, _number(answer))]


def _number(value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _no_score(value) from None
    if not math.isfinite(number):
        raise _no_score(value)
    return number


def _no_score(answer: Any) -> EvaluationError:
    return EvaluationError(
        f"It gave {answer!r}, which is no score.",
        hint="A bool, a number, or a mapping with key, score and comment.",
    )


def _wanted(function: Callable[..., Any], name: str) -> tuple[list[str], list[str]]:
    """Return what is passed by position and what by name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"{name} is no function that could be asked: {error}.",
            hint="def evaluator(inputs, outputs, reference_outputs) -> bool",
        ) from error
    plain = [
        each for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    required = [each.name for each in plain if each.default is each.empty]
    if unknown := [each for each in required if each not in _KNOWN]:
        if len(required) == 2:
            return ["run", "example"], []
        raise EvaluationError(
            f"{name} wants {', '.join(unknown)}, which an evaluator is not given.",
            hint=f"It may want any of: {', '.join(_KNOWN)}.",
        )
    known = [each for each in plain if each.name in _KNOWN]
    if not known:
        raise EvaluationError(
            f"{name} does not want to see the run.",
            hint=f"It should want some of: {', '.join(_KNOWN)}.",
        )
    by_place = [each.name for each in known if each.kind is each.POSITIONAL_ONLY]
    return by_place, [each.name for each in known if each.kind is not each.POSITIONAL_ONLY]


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object may have an async one
    )


def _langsmith_run(example: Example, result: RunResult) -> schemas.Run:
    from langsmith import schemas

    root = result.trace.root
    payload = result.trace.payload(root)
    return schemas.Run(
        id=root.id,
        trace_id=root.trace,
        name=root.name,
        run_type=root.run_type,
        start_time=_time(root.started),
        end_time=None if root.ended is None else _time(root.ended),
        inputs=dict(payload.inputs),
        outputs=dict(result.outputs) if result.error is None else None,
        error=result.error,
        extra=dict(payload.extra),
        tags=root.tags,
        reference_example_id=example.id,
        dotted_order=root.dotted_order,
    )


def _langsmith_example(example: Example) -> schemas.Example:
    from langsmith import schemas

    return schemas.Example(
        id=example.id,
        dataset_id=example.dataset_id,
        inputs=example.inputs,
        outputs=example.outputs,
        metadata=example.metadata,
        created_at=_time(example.created),
        modified_at=_time(example.modified),
        source_run_id=example.source_run_id,
    )


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
