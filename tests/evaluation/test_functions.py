"""Evaluators of others: functions in LangSmith's conventions, openevals as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import openevals
import pytest
from langchain_core.messages import AIMessage
from langsmith.evaluation import EvaluationResult, run_evaluator
from openevals.llm import create_llm_as_judge
from openevals.string.levenshtein import levenshtein_distance

from groundling.errors import EvaluationError
from groundling.evaluation.evaluators.functions import Function, scores_of
from groundling.evaluation.evaluators.registry import make_evaluator, make_evaluators, split_list
from groundling.evaluation.references import load_object
from groundling.evaluation.score import Score
from tests.evaluation.conftest import example, result
from tests.scripted import ScriptedChat


def judged(function, outputs="6 days", reference="6 days", store=None) -> list[Score]:
    evaluator = make_evaluator(function, None)  # type: ignore[arg-type]
    return asyncio.run(evaluator.evaluate(example("?", reference), result(outputs, store)))


def test_a_function_gets_what_it_names():
    def all_three(inputs: dict, outputs: dict, reference_outputs: dict) -> bool:
        return (inputs, outputs, reference_outputs) == (
            {"question": "?"},
            {"answer": "6 days"},
            {"answer": "6 days"},
        )

    def named_alone(*, outputs: dict) -> float:
        return len(outputs["answer"])

    def by_place(outputs: dict, /, reference_outputs: dict, weight: float = 0.5) -> float:
        return weight * (outputs == reference_outputs)

    assert judged(all_three) == [Score("all_three", 1.0)]
    assert judged(named_alone) == [Score("named_alone", 6.0)]
    assert judged(by_place) == [Score("by_place", 0.5)]


async def waits(outputs: dict) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"key": "waited", "score": True, "comment": "after a while"}


class Callable:
    async def __call__(self, outputs: dict) -> bool:
        return True


@pytest.mark.parametrize("function", [waits, Callable(), lambda outputs: waits(outputs)])
def test_coroutine_functions_are_awaited(function):
    assert judged(function)[0].value == 1


def test_runs_and_examples_come_in_langsmiths_form(traces):
    def older(run, example) -> dict[str, Any]:
        same = run.reference_example_id == example.id and run.outputs == {"answer": "6 days"}
        return {"key": "older", "score": same, "comment": run.name}

    @run_evaluator
    def decorated(run, example):
        return EvaluationResult(key="decorated", score=float(run.outputs["answer"] == "6 days"))

    def by_other_names(first, second) -> bool:
        return first.id != second.id

    assert judged(older, store=traces) == [Score("older", 1.0, "graph")]
    assert [(s.key, s.value) for s in judged(decorated, store=traces)] == [("decorated", 1.0)]
    assert judged(by_other_names, store=traces) == [Score("by_other_names", 1.0)]


@pytest.mark.parametrize(
    ("answer", "scores"),
    [
        (True, [Score("f", 1.0)]),
        (0.25, [Score("f", 0.25)]),
        ({"score": 0.5, "comment": "half"}, [Score("f", 0.5, "half")]),
        ([{"key": "a", "score": 1}, {"key": "b", "score": 0}], [Score("a", 1.0), Score("b", 0.0)]),
        ({"results": [{"key": "a", "score": 1}]}, [Score("a", 1.0)]),
        ({"key": "tone", "value": "polite"}, [Score("tone", None, detail={"value": "polite"})]),
        ("polite", [Score("f", None, "polite", detail={"value": "polite"})]),
    ],
)
def test_every_form_of_answer_is_read(answer, scores):
    assert scores_of(answer, "f") == scores


@pytest.mark.parametrize(
    "answer", [None, {}, {"grade": 1}, float("nan"), {"score": "high"}, object()]
)
def test_what_is_no_score_says_so(answer):
    with pytest.raises(EvaluationError, match="no score"):
        scores_of(answer, "f")


@pytest.mark.parametrize(
    "function", [lambda: True, lambda **given: True, lambda outputs, a, b: True, lambda tone: True]
)
def test_functions_that_cannot_be_asked_are_refused(function):
    with pytest.raises(EvaluationError) as raised:
        Function(function, "odd")
    assert "outputs" in str(raised.value.hint)


def test_openevals_exact_match_and_distance():
    assert judged(openevals.exact_match) == [Score("exact_match", 1.0)]
    assert judged(openevals.exact_match, outputs="7 days")[0].value == 0
    [score] = judged(levenshtein_distance, outputs="6 day", reference="6 days")
    assert 0.9 < score.value < 1


class Structured(ScriptedChat):
    """Answers in a structure, as openevals' judge asks for."""

    def with_structured_output(self, schema, **options):
        return self | (lambda message: message.tool_calls[0]["args"])


def test_openevals_judge_with_a_model_of_ones_own():
    call = {"name": "score", "args": {"reasoning": "it is so", "score": True}, "id": "1"}
    model = Structured([AIMessage("", tool_calls=[call])])
    judge = create_llm_as_judge(
        prompt="{inputs} {outputs} {reference_outputs}", judge=model, feedback_key="helpful"
    )
    assert judged(judge) == [Score("helpful", 1.0, "it is so")]
    assert "6 days" in model.prompts[0][-1].text


def test_evaluators_are_named_on_a_command_line(tmp_path, monkeypatch):
    file = tmp_path / "checks.py"
    file.write_text(
        "def brief(outputs): return len(outputs['answer']) < 5\n"
        "class Long:\n"
        "    name = 'long'\n"
        "    def evaluate(self, example, result): return 'not asked'\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    specs = ["correct", "days=regex:[0-9]+, [0-9]+ days", f"{file}:brief", "checks:Long"]
    made = make_evaluators([*specs, "short=checks:brief"], None)  # type: ignore[arg-type]
    assert [each.name for each in made] == ["correct", "days", "brief", "long", "short"]
    assert split_list("a, b,c") == ["a", "b", "c"]
    assert split_list(specs[1]) == [specs[1]]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (["nonsense"], "no evaluator nonsense"),
        (["correct:x"], "takes no argument"),
        (["no.such.module:f"], "cannot be imported"),
        (["json:nothing"], "has no nothing"),
        (["/nowhere/checks.py:f"], "no file"),
        (["trajectory:sideways"], "sideways"),
        (["json_schema:/nowhere.json"], "cannot be read"),
        (["f1", "f1"], "Two evaluators"),
        ([3], "no evaluator"),
    ],
)
def test_what_is_no_evaluator_is_named(wanted, reason):
    with pytest.raises(EvaluationError, match=reason) as raised:
        make_evaluators(wanted, None)  # type: ignore[arg-type]
    assert raised.value.hint


def test_a_module_that_fails_says_how(tmp_path):
    (tmp_path / "broken.py").write_text("raise OSError('no disk')", encoding="utf-8")
    with pytest.raises(EvaluationError, match="OSError: no disk"):
        load_object(f"{tmp_path / 'broken.py'}:anything")
