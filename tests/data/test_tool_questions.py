"""The answers of the questions that need a tool, reckoned again from their figures."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction

import pytest

from groundling.evaluation.evaluators.matching import holds
from tests.data.sample import TOOL, Question, holding, quotes, spans
from tests.data.workings import DATED, amounts, figures, numbers, says, spellings, work

# What a tool knows without the documents.
CONSTANTS = {
    "calculator": {"24", "60", "12", "100"},  # hours, minutes, months, per cent
    "units": {"9", "5", "32", "3.75", "0.45359237"},  # °F, grams of a 돈, kilograms of a pound
    "dates": set(),
}


class TestTool:
    def test_workings_give_the_answers(self) -> None:
        for question in TOOL:
            result = work(question["working"])
            for wanted in question["accept"]:
                assert says(wanted, result), (question["id"], wanted)
            assert names_exactly(question["answer"], result), question["id"]

    def test_figures_stand_in_the_quotes_or_the_question(self) -> None:
        for question in TOOL:
            source = f"{question['question']} {quotes(question)}"
            known = figures(quotes(question)) | numbers(question["question"])
            if match := DATED.fullmatch(question["working"]):
                day = date.fromisoformat(match[1])
                assert any(holds(source, written) for written in spellings(day)), question["id"]
                assert str(day.year) in source, question["id"]
                assert match[3] is None or Fraction(match[3]) in figures(quotes(question))
            else:
                needed = numbers(question["working"]) - constants(question)
                assert needed <= known, question["id"]

    def test_every_quote_gives_a_figure(self) -> None:
        for question in TOOL:
            for span in spans(question):
                needed = DATED.fullmatch(question["working"]) or (
                    figures(span.quote) & numbers(question["working"])
                )
                assert needed, question["id"]

    def test_no_document_holds_the_result(self, texts: dict[str, str]) -> None:
        for question in TOOL:
            assert holding(texts, question["accept"]) == [], question["id"]

    def test_rejected_strings_are_what_the_slips_give(self) -> None:
        for question in TOOL:
            wrong, right = question.get("reject", []), work(question["working"])
            slips = [work(slip) for slip in question.get("slips", [])]
            assert all(any(says(s, slip) for slip in slips) for s in wrong), question["id"]
            assert all(any(says(s, slip) for s in wrong) for slip in slips), question["id"]
            assert not any(says(s, right) for s in wrong), question["id"]

    def test_slips_use_figures_of_the_documents(self, texts: dict[str, str]) -> None:
        for question in TOOL:
            documents = "\n".join(texts[span.document] for span in spans(question))
            known = figures(documents) | numbers(question["question"]) | constants(question)
            for slip in question.get("slips", []):
                assert DATED.fullmatch(slip) or numbers(slip) <= known, question["id"]


def names_exactly(answer: str, result: Fraction | date) -> bool:
    """Tell whether a gold answer names a result, rounded as it should be."""
    if isinstance(result, date):
        return any(holds(answer, written) for written in spellings(result))
    places = max((len(digits) for digits in re.findall(r"\d\.(\d+)", answer)), default=0)
    half = Fraction(1, 2 * 10**places)
    return any(abs(number - result) <= half for number in amounts(answer))


def constants(question: Question) -> set[Fraction]:
    return {Fraction(number) for number in CONSTANTS[question["tool"]]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KRW 2.4 million", {2_400_000}),
        ("90만 원 이상 700만 원 미만", {900_000, 7_000_000}),
        ("6만6천 원", {66_000}),
        ("17만 9500원", {179_500}),
        ("66 thousand", {66_000}),
        ("four fifths, twenty-six", {4, 5, 26}),
        ("개봉한 날부터 석 달", {3}),
        ("21.5 °C ± 0.4 °C", {Fraction("21.5"), Fraction("0.4")}),
    ],
)
def test_numbers_are_read_from_words(text: str, expected: set[float | Fraction]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("working", "result"),
    [
        ("0.12 * 4 / 5", Fraction("0.096")),
        ("2026-10-21 - 4 working days", date(2026, 10, 15)),
        ("2026-10-15 + 4 working days", date(2026, 10, 21)),
        ("2026-08-31 + 6 months", date(2027, 2, 28)),
        ("2027-03-15 - 5 months", date(2026, 10, 15)),
        ("2023-04-30 + 8 years", date(2031, 4, 30)),
        ("2027-05-23 to monday", date(2027, 5, 24)),
    ],
)
def test_workings_are_done(working: str, result: Fraction | date) -> None:
    assert work(working) == result


@pytest.mark.parametrize("working", ["2 ** 3", "len('a')", "2026-10-21 - 4 weeks", "True"])
def test_other_workings_are_refused(working: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        work(working)
