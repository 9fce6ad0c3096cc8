"""`bench.questions` asks the right questions and judges them by the rule."""

from __future__ import annotations

import click
import pytest

from bench.questions import Outcome, choose, good_by_kind, score, spans
from tests.data.sample import QUESTIONS, names


def test_the_core_set_is_asked_unless_told_otherwise() -> None:
    assert [q["id"] for q in choose("core")] == names(QUESTIONS)[:20]
    assert len(choose("all")) == len(QUESTIONS)


def test_a_question_of_any_set_can_be_named() -> None:
    assert [q["id"] for q in choose("core", ("ko-gold",))] == ["ko-gold"]


def test_an_unknown_id_is_named() -> None:
    with pytest.raises(click.UsageError, match="ko-gould"):
        choose("all", ("ko-gould", "ko-gold"))


@pytest.mark.parametrize("cited", [1, 2])
def test_every_quote_that_is_needed_is_to_be_cited(cited: int) -> None:
    [question] = choose("all", ("en-deviation-limit",))
    citations = [
        {"source": f"/somewhere/{span.document}", "quote": span.quote} for span in spans(question)
    ]
    result = {"answer": "0.096 mg [1].", "citations": citations[:cited], "verdict": "answered"}
    outcome = score(question, result, 1.0)
    assert outcome.right
    assert outcome.cited is (cited == 2)


def test_kinds_are_counted() -> None:
    def outcome(kind: str, good: bool) -> Outcome:
        return Outcome("en-x", "en", kind, good, good, good, 0.1, "")

    outcomes = [outcome("fact", True), outcome("fact", False), outcome("unanswerable", True)]
    assert good_by_kind(outcomes) == {"fact": "1/2", "unanswerable": "1/1"}
