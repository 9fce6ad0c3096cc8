"""A model as judge: asked once, calibrated, shown pairs both ways round."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import EvaluationError
from groundling.evaluation.compare import compare
from groundling.evaluation.evaluators.calibration import Calibration
from groundling.evaluation.evaluators.judge import Judge
from groundling.evaluation.evaluators.registry import Context
from groundling.evaluation.fitting import fit_judge
from groundling.evaluation.preference import EQUAL, prefer, prefer_all
from tests.evaluation.conftest import example, result
from tests.scripted import ScriptedChat


def judged(judge: Judge, answer: str, gold: str | None = "6 days", question: str = "How many?"):
    return asyncio.run(judge.evaluate(example(question, gold), result(answer)))


def yes(probability: float) -> dict[str, float]:
    return {"yes": probability, "no": 1 - probability}


def test_the_score_is_the_models_own_probability_until_it_is_calibrated():
    model = ScriptedChat()
    model.enqueue_choice(yes(0.9))
    score = judged(Judge(model), "It is 6 days [1].")
    assert (score.value, score.comment) == (0.9, "not calibrated")
    [prompt] = model.prompts
    assert "How many?" in prompt[-1].text
    assert "6 days" in prompt[-1].text
    assert '"It is 6 days."' in prompt[-1].text


def test_korean_is_asked_in_korean():
    model = ScriptedChat()
    model.enqueue_choice("yes")
    judged(Judge(model), "6일입니다.", "6일", "휴가는 며칠입니까?")
    assert "채점할 답" in model.prompts[0][-1].text


def test_a_criterion_needs_no_reference():
    model = ScriptedChat()
    model.enqueue_choice("no")
    assert judged(Judge(model, "Is it polite?"), "Go away.", None).value == 0
    assert "Is it polite?" in model.prompts[0][-1].text
    assert judged(Judge(model), "Go away.", None).value is None


def test_a_judge_that_says_yes_to_everything_is_put_right(tmp_path):
    random = np.random.default_rng(1)
    right = random.random(200) < 0.5
    # Right answers get 0.97 to 0.99, wrong ones 0.90 to 0.96: all of them a yes.
    probabilities = np.where(right, random.uniform(0.96, 0.99, 200), random.uniform(0.9, 0.97, 200))
    fitted = Calibration.fit(list(probabilities), list(right))
    assert fitted.raw.rate == pytest.approx(right.mean())
    assert fitted.raw.kappa == 0
    assert fitted.fitted.rate > 0.85
    assert fitted.fitted.kappa > 0.7
    assert fitted.fitted.brier < fitted.raw.brier
    assert fitted(0.985) > 0.9 > 0.1 > fitted(0.91)
    file = tmp_path / "judges" / "judge.json"
    fitted.write(file)
    assert Calibration.read(file) == fitted
    staircase = Calibration.fit(list(probabilities), list(right), "isotonic")
    assert staircase.fitted.rate > 0.85


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=12, max_size=60),
    st.sampled_from(["platt", "isotonic"]),
)
def test_a_fit_never_falls_and_stays_a_share(labelled, method):
    probabilities, labels = zip(*labelled, strict=True)
    if min(labels.count(True), labels.count(False)) < 2:
        with pytest.raises(EvaluationError, match="too few"):
            Calibration.fit(probabilities, labels, method)
        return
    fitted = Calibration.fit(probabilities, labels, method)
    values = [fitted(each) for each in np.linspace(0, 1, 50)]
    assert all(0 <= each <= 1 for each in values)
    assert all(low <= high + 1e-12 for low, high in pairwise(values))
    assert 0 <= fitted.fitted.rate <= 1


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.6, 0.9]), st.booleans()), min_size=10))
def test_isotonic_keeps_the_share_of_right_answers(labelled):
    probabilities, labels = zip(*labelled, strict=True)
    if min(labels.count(True), labels.count(False)) >= 2:
        fitted = Calibration.fit(probabilities, labels, "isotonic")
        mean = np.mean([fitted(each) for each in probabilities])
        assert mean == pytest.approx(np.mean(labels))


def test_a_damaged_fit_says_so(tmp_path):
    file = tmp_path / "judge.json"
    file.write_text('{"method": "platt"}', encoding="utf-8")
    with pytest.raises(EvaluationError, match="cannot be read") as raised:
        Calibration.read(file)
    assert "calibrate" in str(raised.value.hint)


class Graded(ScriptedChat):
    """Says yes with 0.99 to right sums and with 0.95 to wrong ones."""

    async def achoose(self, messages, options, config=None):
        graded = messages[-1].text.partition("Answer to be graded")[2]
        return yes(0.99 if "right" in graded else 0.95)


def test_a_judge_is_fitted_to_an_experiment(opened, datasets, sums, evaluate):
    def target(inputs):
        n = int(inputs["question"][0])
        return {"answer": f"{n + 1}, right" if n % 2 else "0"}

    evaluate(sums, target, repeat=2, name="labels")
    context = Context(opened, judge=Graded())
    calibration, file = asyncio.run(fit_judge(opened, datasets, context, "labels"))
    assert calibration.examples == 20
    assert calibration.raw.rate == 0.5
    assert calibration.fitted.rate == 1
    assert json.loads(file.read_text(encoding="utf-8"))["method"] == "platt"
    fitted = Judge(Graded(), folder=context.judges)
    score = judged(fitted, "right")
    assert score.value > 0.7
    assert (score.comment, score.detail["yes"]) == ("yes", True)
    assert judged(fitted, "wrong").comment == "no"
    other = Judge(Graded(), "Is it polite?", folder=context.judges)
    assert judged(other, "right").comment == "not calibrated"
    with pytest.raises(EvaluationError, match="no judge"):
        asyncio.run(fit_judge(opened, datasets, context, "labels", "correct"))


def prefers(model, a, b):
    return asyncio.run(prefer(model, example("How many?", "6"), a, b))


def test_a_preference_that_turns_with_the_order_is_none():
    model = ScriptedChat()
    model.enqueue_choice({"A": 0.9, "B": 0.1}, {"A": 0.8, "B": 0.2})
    said = prefers(model, "one", "two")
    assert said.winner is None
    assert said.b == pytest.approx(0.45)
    assert said.first == pytest.approx(0.85)
    straight, turned = (prompt[-1].text for prompt in model.prompts)
    assert straight.index("one") < straight.index("two")
    assert turned.index("two") < turned.index("one")


def test_a_preference_that_holds_both_ways_counts():
    model = ScriptedChat()
    model.enqueue_choice({"A": 0.3, "B": 0.7}, {"A": 0.8, "B": 0.2})
    assert prefers(model, "one", "two").winner == "b"
    model.enqueue_choice("A", "B")
    assert prefers(model, "one", "two").winner == "a"
    assert prefers(model, "6 Days", "6 days") is EQUAL


class First(ScriptedChat):
    """Prefers what it is shown first, except that seven is better than all."""

    async def achoose(self, messages, options, config=None):
        a, b = messages[-1].text.split("Answer B")
        return {"A": 0.2, "B": 0.8} if "7" in b and "7" not in a.split("Answer A")[1] else {
            "A": 0.9, "B": 0.1
        }  # fmt: skip


def test_all_pairs_are_asked_about(opened, datasets, sums, evaluate):
    evaluate(
        sums, lambda inputs: {"answer": "same" if "0" in inputs["question"] else "5"}, name="a"
    )
    evaluate(
        sums, lambda inputs: {"answer": "same" if "0" in inputs["question"] else "7"}, name="b"
    )
    found = compare(opened.traces, datasets, "a", "b")
    counted = []
    said = asyncio.run(
        prefer_all(First(), opened.traces, found.pairs, progress=lambda *n: counted.append(n))
    )
    assert (said.wins, said.ties, said.losses, said.equal) == (9, 1, 0, 1)
    assert said.consistency == 1
    assert said.p_sign == pytest.approx(2 / 2**9)
    assert counted[-1] == (10, 10)
