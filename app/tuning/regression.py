"""What a model could do before it was tuned, and should still: a small suite, in two languages.

    general    the right one of a few options is the likeliest
    guard      a harmful request is told from a harmless one, by the guard's own prompt
    refusal    a passage that answers a question is told from one that does not
    citation   an answer from a passage says what stands in it

The first three are read from the model's own probabilities: one forward pass each. They are
the prompts that the graphs use, so that what falls here falls there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from langchain_core.messages import HumanMessage

from groundling.evaluation.evaluators.matching import holds_any
from groundling.models.chat import ChatLlama
from groundling.models.prompts import Language, fenced, prompt

Skill = Literal["general", "guard", "refusal", "citation"]
SKILLS: tuple[Skill, ...] = ("general", "guard", "refusal", "citation")
_YES_NO = ["yes", "no"]
_LETTERS = "ABCD"


@dataclass(frozen=True)
class Case:
    """One question of the suite.

    Args:
        score: asks a model, with adapters or without, and says how right it is, 0 to 1.
    """

    skill: Skill
    language: Language
    shown: str
    score: Callable[[ChatLlama, Sequence[str]], float]


@cache
def suite() -> tuple[Case, ...]:
    """Return the shipped suite, in its order."""
    text = resources.files("groundling.data").joinpath("regression.jsonl").read_text("utf-8")
    return tuple(case for line in text.splitlines() for case in _cases(json.loads(line)))


def _cases(told: dict[str, Any]) -> list[Case]:
    language: Language = told["language"]
    match told["kind"]:
        case "general":
            return [Case("general", language, told["question"], _general(told))]
        case "guard":
            return [Case("guard", language, told["text"], _guard(told))]
        case _:
            cases = [Case("refusal", language, told["question"], _refusal(told))]
            if told["accept"]:
                cases.append(Case("citation", language, told["question"], _citation(told)))
            return cases


def _general(told: dict[str, Any]) -> Callable[[ChatLlama, Sequence[str]], float]:
    options: list[str] = told["options"]
    # The right one is the first in the file; where it is shown follows from the question.
    turn = sum(told["question"].encode()) % len(options)
    shown = [*options[turn:], *options[:turn]]
    lines = [f"{letter}. {option}" for letter, option in zip(_LETTERS, shown, strict=False)]
    ask = {"en": "Answer with the letter alone.", "ko": "글자 하나로만 답하십시오."}
    text = "\n".join([told["question"], *lines, ask[told["language"]]])
    letters = list(_LETTERS[: len(options)])
    right = _LETTERS[(len(options) - turn) % len(options)]
    return lambda model, adapters: model.choose([HumanMessage(text)], letters, adapters=adapters)[
        right
    ]


def _guard(told: dict[str, Any]) -> Callable[[ChatLlama, Sequence[str]], float]:
    messages = prompt("guard_request", told["language"]).messages(text=fenced(told["text"]))
    return _yes_no(messages, right=told["harmful"])


def _refusal(told: dict[str, Any]) -> Callable[[ChatLlama, Sequence[str]], float]:
    messages = prompt("judge", told["language"]).messages(
        passages=f"[1] {told['passage']}", question=told["question"]
    )
    return _yes_no(messages, right=bool(told["accept"]))


def _yes_no(messages: Any, *, right: bool) -> Callable[[ChatLlama, Sequence[str]], float]:
    wanted = _YES_NO[0 if right else 1]
    return lambda model, adapters: model.choose(messages, _YES_NO, adapters=adapters)[wanted]


def _citation(told: dict[str, Any]) -> Callable[[ChatLlama, Sequence[str]], float]:
    messages = prompt("answer", told["language"]).messages(
        passages=f"[1] {told['passage']}", question=told["question"]
    )

    def score(model: ChatLlama, adapters: Sequence[str]) -> float:
        reply = model.invoke(messages, adapters=list(adapters), temperature=0.0, max_tokens=64)
        return float(holds_any(reply.text, told["accept"]))

    return score
