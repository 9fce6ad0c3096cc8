"""Evaluators by name, as a command line gives them.

correct                     a name of `EVALUATORS`
regex:[0-9]+ days           with an argument
polite=judge:Is it polite?  kept under a name of one's own
my_checks:brief             any callable: MODULE:NAME or FILE.py:NAME
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from groundling.errors import EvaluationError
from groundling.evaluation.evaluators.citations import CitationValidity, CitedSpan
from groundling.evaluation.evaluators.correct import Correct
from groundling.evaluation.evaluators.exact import ExactMatch
from groundling.evaluation.evaluators.f1 import TokenF1
from groundling.evaluation.evaluators.functions import Function
from groundling.evaluation.evaluators.groundedness import Groundedness
from groundling.evaluation.evaluators.judge import FOLDER, Judge
from groundling.evaluation.evaluators.measures import Latency, Tokens
from groundling.evaluation.evaluators.pattern import Pattern
from groundling.evaluation.evaluators.refusal import Refusal
from groundling.evaluation.evaluators.structure import JsonSchema
from groundling.evaluation.evaluators.trajectory import Trajectory
from groundling.evaluation.references import load_object
from groundling.evaluation.score import Evaluator
from groundling.home import Home
from groundling.knowledge.base import Knowledge

_NAMED = re.compile(r"([A-Za-z_][\w.-]*)=(.+)", re.DOTALL)


@dataclass
class Context:
    """What evaluators work with.

    Args:
        home: the home folder.
        knowledge_name: the knowledge base that was answered from; default: the configured one.
        judge: the model that judges; default: the configured one.
    """

    home: Home
    knowledge_name: str | None = None
    judge: BaseChatModel | None = None

    @cached_property
    def knowledge(self) -> Knowledge:
        """The knowledge base that was answered from."""
        return self.home.knowledge(self.knowledge_name)

    @property
    def judges(self) -> Path:
        """The folder of the judges' calibrations."""
        return self.home.settings.home / FOLDER


Factory = Callable[[str, str | None, Context], Evaluator]

EVALUATORS: dict[str, tuple[str, Factory]] = {
    "correct": (
        "An accepted string is in the answer, no rejected one; or it refuses rightly.",
        lambda name, _, context: Correct(name),
    ),
    "exact": ("The answer is a gold answer.", lambda name, _, context: ExactMatch(name)),
    "f1": ("Words in common with the gold answer.", lambda name, _, context: TokenF1(name)),
    "regex": (
        "A pattern is found in the answer: regex:PATTERN.",
        lambda name, pattern, context: Pattern(pattern, name),
    ),
    "json_schema": (
        "The answer is JSON of a form: json_schema:FILE.",
        lambda name, file, context: JsonSchema(None if file is None else _schema(file), name),
    ),
    "refused": (
        "It refuses where the documents do not tell, and nowhere else.",
        lambda name, _, context: Refusal(name),
    ),
    "cited": ("The gold spans are cited.", lambda name, _, context: CitedSpan(name)),
    "citations": (
        "Every quote is the stored text at its place.",
        lambda name, _, context: CitationValidity(context.knowledge, name),
    ),
    "grounded": (
        "Share of sentences that stand in what was retrieved.",
        lambda name, _, context: Groundedness(context.knowledge, name),
    ),
    "trajectory": (
        "The tools that ran: trajectory:strict, unordered, subset, superset.",
        lambda name, mode, context: Trajectory(mode or "strict", name),
    ),
    "judge": (
        "A model's probability that the answer is right: judge:YES-OR-NO QUESTION.",
        lambda name, criterion, context: Judge(
            context.judge or context.home.model, criterion, folder=context.judges, name=name
        ),
    ),
    "latency": ("Seconds.", lambda name, _, context: Latency(name)),
    "tokens": ("Tokens read and written.", lambda name, _, context: Tokens(name)),
}
_TAKE_ARGUMENT = ("regex", "json_schema", "trajectory", "judge")
USUAL = ("correct", "f1", "latency", "tokens")
USUAL_OF_RAG = ("correct", "cited", "refused", "citations", "grounded", "latency", "tokens")


def make_evaluators(wanted: Sequence[str | Any], context: Context) -> list[Evaluator]:
    """Make evaluators, each under a name of its own.

    Args:
        wanted: names and references as a command line gives them; evaluators; callables.

    Raises:
        EvaluationError: there is none of that name, or two would have the same.
    """
    made = [make_evaluator(each, context) for each in wanted]
    names = [each.name for each in made]
    if double := {name for name in names if names.count(name) > 1}:
        raise EvaluationError(
            f"Two evaluators are called {double.pop()}.",
            hint="Give one another name: NAME=EVALUATOR.",
        )
    return made


def make_evaluator(wanted: str | Any, context: Context) -> Evaluator:
    """Make one evaluator.

    Raises:
        EvaluationError: there is none of that name.
    """
    if not isinstance(wanted, str):
        return _of_object(wanted, None)
    named = _NAMED.fullmatch(wanted)
    own, spec = (named[1], named[2]) if named else (None, wanted)
    kind, colon, argument = spec.partition(":")
    if kind in EVALUATORS:
        if colon and kind not in _TAKE_ARGUMENT:
            raise EvaluationError(f"{kind} takes no argument.", hint=f"Write {kind} alone.")
        return EVALUATORS[kind][1](own or kind, argument or None, context)
    if not colon:
        raise EvaluationError(
            f"There is no evaluator {spec}.",
            hint=f"One of {', '.join(EVALUATORS)}; or a function, as MODULE:NAME.",
        )
    return _of_object(load_object(spec), own or spec.rpartition(":")[2])


def split_list(text: str) -> list[str]:
    """Split `a,b,c`; an argument that has commas of its own is given by itself."""
    head = text.partition(":")[0].rpartition("=")[2]
    if head in _TAKE_ARGUMENT and ":" in text:
        return [text]
    return [each.strip() for each in text.split(",") if each.strip()]


def _of_object(found: Any, name: str | None) -> Evaluator:
    if isinstance(found, type):
        found = found()
    if hasattr(found, "evaluate") and isinstance(getattr(found, "name", None), str):
        return found  # type: ignore[no-any-return]
    if callable(judge := getattr(found, "evaluate_run", None)):  # langsmith's RunEvaluator
        return Function(lambda run, example: judge(run, example), name or type(found).__name__)
    if callable(found):
        return Function(found, name)
    raise EvaluationError(
        f"{name or found!r} is no evaluator.",
        hint="A function of (inputs, outputs, reference_outputs), or an object with `name` and "
        "`evaluate`.",
    )


def _schema(file: str) -> dict[str, Any]:
    try:
        schema = json.loads(Path(file).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"The schema {file} cannot be read: {error}", hint="Give a file with a JSON schema."
        ) from error
    if not isinstance(schema, dict):
        raise EvaluationError(f"{file} is no JSON schema.", hint="It should hold an object.")
    return schema
