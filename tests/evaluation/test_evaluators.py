"""Evaluators that look at the answer alone."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import EvaluationError
from groundling.evaluation.evaluators.correct import Correct
from groundling.evaluation.evaluators.exact import ExactMatch
from groundling.evaluation.evaluators.f1 import TokenF1, f1
from groundling.evaluation.evaluators.matching import holds, normal
from groundling.evaluation.evaluators.pattern import Pattern
from groundling.evaluation.evaluators.refusal import Refusal
from groundling.evaluation.evaluators.structure import JsonSchema
from groundling.evaluation.score import answer_of, gold_answers
from groundling.graphs.rag import REFUSALS
from tests.evaluation.conftest import example, result


def value(evaluator, outputs, reference) -> float | None:
    return evaluator.evaluate(example("?", reference), result(outputs)).value


@pytest.mark.parametrize(
    ("text", "wanted", "there"),
    [
        ("It is 12 % of it", "12%", True),
        ("It is 112 %", "12%", False),
        ("It is 1.12 %", "12%", False),
        ("It is 12.5 %", "12", False),
        ("KRW 66,000 per person", "66000", True),
        ("ＫＲＷ　６６，０００", "KRW 66,000", True),
        ("느티나무 광장에 모입니다", "느티나무광장", True),
        ("**6** days", "6 days", True),
        ("anything", " ", False),
    ],
)
def test_a_number_is_not_cut_in_two(text, wanted, there):
    assert holds(text, wanted) is there


WRITTEN = st.text(st.sampled_from("abXY 0123.,%*_`가나힣ＡＢ１２\n"))


@given(WRITTEN, WRITTEN)
def test_normalising_twice_is_normalising_once(text, other):
    assert normal(normal(text)) == normal(text)
    if normal(other)[:1].isalpha() and normal(other)[-1:].isalpha():
        assert holds(f"{text} {other}", other)


def test_exact_means_nothing_more_than_the_answer():
    assert value(ExactMatch(), "6 Days.", "6 days") == 1
    assert value(ExactMatch(), "6 days [1][2].", "6 days") == 1
    assert value(ExactMatch(), "It is 6 days.", "6 days") == 0
    assert value(ExactMatch(), "six", {"answer": "6", "accept": ["six"]}) == 1
    assert value(ExactMatch(), "6", None) is None


def test_correct_needs_an_accepted_string_and_no_rejected_one():
    gold = {"answer": "6 days", "accept": ["6 days", "6일"], "reject": ["17 days"]}
    assert value(Correct(), "You may carry over 6일.", gold) == 1
    assert value(Correct(), "17 days, of which 6 days are carried over", gold) == 0
    assert value(Correct(), "16 days", gold) == 0
    score = Correct().evaluate(example("?", gold), result("none"))
    assert score.comment == "does not say “6 days”"
    assert value(Correct(), "none", {"spans": [], "accept": []}) == 0


@pytest.mark.parametrize("refusal", REFUSALS.values())
def test_what_has_no_answer_is_answered_by_refusing(refusal):
    gold = {"answer": "The documents do not tell.", "refuse": True}
    assert value(Correct(), {"answer": refusal, "verdict": "refused"}, gold) == 1
    assert value(Correct(), {"answer": "42", "verdict": "answered"}, gold) == 0
    assert value(Correct(), refusal, gold) == 1
    assert value(Refusal(), refusal, gold) == 1
    assert value(Refusal(), "42", gold) == 0
    answerable = {"answer": "42", "refuse": False}
    assert value(Refusal(), {"answer": refusal, "verdict": "refused"}, answerable) == 0
    assert value(Refusal(), "42", answerable) == 1
    assert value(Refusal(), "42", {"answer": "42"}) is None


def squad(prediction: str, gold: str) -> float:
    """The official script of SQuAD 1.1, `f1_score`."""

    def normalise(text: str) -> list[str]:
        text = "".join(each for each in text.lower() if each not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    said, wanted = normalise(prediction), normalise(gold)
    same = sum((Counter(said) & Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def korquad(prediction: str, gold: str) -> float:
    """The official script of KorQuAD 1.0, `f1_score`."""

    def normalise(text: str) -> str:
        for mark in "'\"《》<>〈〉()‘’":
            text = text.replace(mark, " ")
        text = "".join(each for each in text.lower() if each not in set(string.punctuation))
        return " ".join(text.split())

    said = [each for token in normalise(prediction).split() for each in token]
    wanted = [each for token in normalise(gold).split() for each in token]
    same = sum((Counter(said) & Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


ENGLISH = st.lists(
    st.sampled_from(["the", "a", "leave", "6", "days", "of", "HB-220,", "Carry", "over.", "(VPN)"]),
    min_size=1,
).map(" ".join)
KOREAN = st.lists(
    st.sampled_from(
        ["휴가는", "6일", "입니다.", "‘미리내’", "《규정》", "95,000원", "HB-220", "연차"]
    ),
    min_size=1,
).map(" ".join)


@given(ENGLISH, ENGLISH)
def test_f1_of_english_is_squads(said, wanted):
    if re.sub(r"\b(a|the)\b| ", "", wanted):
        assert f1(said, wanted) == pytest.approx(squad(said, wanted))


@given(KOREAN, KOREAN)
def test_f1_of_korean_is_korquads(said, wanted):
    if re.search("[가-힣]", wanted):
        assert f1(said, wanted) == pytest.approx(korquad(said, wanted))


@given(st.text(), st.text())
def test_f1_is_a_share_and_whole_for_the_same(said, wanted):
    assert 0 <= f1(said, wanted) <= 1
    assert f1(wanted, wanted) == 1


@given(ENGLISH, ENGLISH)
def test_f1_does_not_mind_which_is_which(said, wanted):
    assert f1(said, wanted) == pytest.approx(f1(wanted, said))


def test_f1_takes_the_gold_answer_that_fits_best():
    assert value(TokenF1(), "6일", {"answer": "six days", "accept": ["6일"]}) == 1
    assert value(TokenF1(), "6 days", {"answer": "six days"}) == 0.5


def test_a_pattern_is_found():
    assert value(Pattern(r"\d+ days"), "It is 6 days.", None) == 1
    assert value(Pattern(r"^\d+$"), "It is 6 days.", None) == 0
    assert value(Pattern(), "abc", {"pattern": "b"}) == 1
    assert value(Pattern(), "abc", {"answer": "b"}) is None
    with pytest.raises(EvaluationError, match="no regular expression"):
        Pattern("(")


def test_json_keeps_to_a_schema():
    schema = {"type": "object", "required": ["days"], "properties": {"days": {"type": "integer"}}}
    assert value(JsonSchema(schema), '{"days": 6}', None) == 1
    assert value(JsonSchema(schema), '{"days": "six"}', None) == 0
    assert value(JsonSchema(schema), "six", None) == 0
    assert value(JsonSchema(), '{"days": 6}', {"schema": schema}) == 1
    assert value(JsonSchema(), "{}", None) is None
    said = JsonSchema(schema).evaluate(example(), result('{"days": "six"}'))
    assert said.comment == ".days: 'six' is not of type 'integer'"
    with pytest.raises(EvaluationError, match="no JSON schema"):
        JsonSchema({"type": "nothing"})


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        ({"answer": "It is 6 [1][2]. And 7 [3]."}, "It is 6. And 7."),
        ({"output": "six"}, "six"),
        ({"anything": "six"}, "six"),
        (
            {"messages": [{"type": "human", "content": "?"}, {"type": "ai", "content": "six"}]},
            "six",
        ),
        ({"days": 6, "unit": "day"}, '{"days": 6, "unit": "day"}'),
        ({}, ""),
    ],
)
def test_the_answer_is_found_in_outputs_of_many_shapes(outputs, answer):
    assert answer_of(outputs) == answer


def test_gold_answers_are_listed_once():
    outputs = {"answer": "6 days", "accept": ["6 days", "6일"]}
    assert gold_answers(example("?", outputs)) == ["6 days", "6일"]
    assert gold_answers(example("?", None)) == []
