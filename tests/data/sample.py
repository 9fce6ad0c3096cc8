"""The sample questions as the tests read them."""

from __future__ import annotations

from typing import Any, TypedDict, cast

from bench import questions as bench
from groundling.evaluation.evaluators.matching import holds

HANDBOOK = bench.DATA / "handbook"
DOCUMENTS = sorted(path.name for path in HANDBOOK.iterdir())


class Question(TypedDict, total=False):
    id: str
    language: str
    kind: str
    question: str
    answer: str
    accept: list[str]
    reject: list[str]
    document: str
    quote: str
    quotes: list[dict[str, str]]
    absent: list[str]
    tool: str
    working: str
    slips: list[str]


def names(questions: list[Question]) -> list[str]:
    return [question["id"] for question in questions]


QUESTIONS = cast("list[Question]", bench.questions())
CORE = QUESTIONS[: bench.CORE]
ANSWERABLE = [question for question in QUESTIONS if question["kind"] != "unanswerable"]
UNANSWERABLE = [question for question in QUESTIONS if question["kind"] == "unanswerable"]
TOLD = [question for question in ANSWERABLE if question["kind"] != "tool"]
TOOL = [question for question in ANSWERABLE if question["kind"] == "tool"]


def spans(question: Question) -> list[bench.Span]:
    """Return what the gold answer rests on."""
    return bench.spans(cast("dict[str, Any]", question))


def quotes(question: Question) -> str:
    """Return everything that the gold answer rests on, a line for each quote."""
    return "\n".join(span.quote for span in spans(question))


def holding(texts: dict[str, str], strings: list[str]) -> list[tuple[str, str]]:
    """Return which documents hold which of the strings."""
    return [(name, s) for name, text in texts.items() for s in strings if holds(text, s)]


def hangul_share(text: str) -> float:
    """Return how much of a text's letters is Hangul, from 0 to 1."""
    letters = [character for character in text if character.isalpha()]
    return sum("가" <= character <= "힣" for character in letters) / len(letters)
