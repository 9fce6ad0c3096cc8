"""Two experiments side by side, and the gate between them."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from groundling.errors import EvaluationError, GateFailed
from groundling.evaluation.compare import compare
from groundling.evaluation.datasets import NewExample
from groundling.evaluation.gate import check, gate, parse_limit, parse_limits
from groundling.evaluation.results import read_results
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status


def right_from(first: int):
    """Answer the sums from that number on rightly."""

    def target(inputs):
        n = int(inputs["question"].split()[0])
        return {"answer": str(n + 1 if n >= first else 0)}

    return target


@pytest.fixture
def compared(opened, datasets):
    def found(a: str = "a", b: str = "b", **options):
        return compare(opened.traces, datasets, a, b, **options)

    return found


def test_examples_are_paired_and_the_one_that_lost_most_comes_first(sums, evaluate, compared):
    evaluate(sums, right_from(2), ["correct", "f1", "latency"], name="a")
    evaluate(sums, right_from(5), ["correct", "f1", "latency"], name="b")
    found = compared()
    correct = found.by_key["correct"]
    assert (correct.paired.mean_a, correct.paired.mean_b) == (0.8, 0.5)
    assert correct.paired.difference == pytest.approx(-0.3)
    assert correct.paired.low < -0.3 < correct.paired.high <= 0
    assert (correct.wins, correct.paired.ties, correct.losses) == (0, 7, 3)
    assert correct.drop == pytest.approx(0.3)
    assert correct.worst_drop > 0.3
    lost = [pair.example.inputs["question"][0] for pair in found.pairs[:3]]
    assert sorted(lost) == ["2", "3", "4"]
    assert found.by_key["latency"].better == "lower"
    # The targets are one function, so that only what it closes over differs.
    assert found.notes == []


def test_an_experiment_does_not_differ_from_itself(sums, evaluate, compared):
    evaluate(sums, right_from(3), ["correct", "f1", "latency"], repeat=2, name="a")
    found = compared("a", "a")
    for each in found.differences:
        assert (each.paired.difference, each.paired.low, each.paired.high) == (0, 0, 0)
        assert (each.wins, each.losses, each.drop) == (0, 0, 0)


def test_repetitions_are_averaged_before_they_are_compared(sums, evaluate, compared):
    counted: dict[str, int] = {}

    def sometimes(inputs):
        n = int(inputs["question"].split()[0])
        counted[inputs["question"]] = counted.get(inputs["question"], 0) + 1
        return {"answer": str(n + 1 if counted[inputs["question"]] % 2 else 0)}

    evaluate(sums, right_from(0), name="a", repeat=2)
    evaluate(sums, sometimes, name="b", repeat=2)
    found = compared()
    assert found.by_key["correct"].paired.examples == 10
    assert found.by_key["correct"].paired.mean_b == 0.5
    assert {pair.difference("correct") for pair in found.pairs} == {-0.5}


def test_versions_that_differ_are_told_and_only_the_same_examples_compared(
    sums, datasets, evaluate, compared
):
    first, second, *_ = datasets.examples(sums)
    evaluate(sums, right_from(0), name="a")
    datasets.change(first.id, outputs={"answer": "one"})
    datasets.change(second.id, metadata={"level": "easy"})
    datasets.remove([datasets.examples(sums)[-1].id])
    datasets.add(sums, [NewExample({"question": "20 + 1?"}, {"answer": "21"})])
    evaluate(sums, right_from(0), name="b")
    found = compared()
    assert len(found.pairs) == 8
    notes = " ".join(found.notes)
    assert "different versions" in notes
    assert "dataset_version" in notes
    assert "1 example is left out: changed between the versions" in notes
    assert "1 example is left out: only in a" in notes
    assert "1 example is left out: only in b" in notes


def test_examples_of_other_data_sets_are_paired_by_content(sums, datasets, evaluate, compared):
    datasets.create("copy")
    datasets.add(
        "copy",
        [NewExample(each.inputs, each.outputs) for each in reversed(datasets.examples(sums)[:4])],
    )
    evaluate(sums, right_from(0), name="a")
    evaluate("copy", right_from(0), name="b")
    found = compared()
    assert len(found.pairs) == 4
    assert all(pair.a[0].run.preview == pair.b[0].run.preview for pair in found.pairs)
    assert any("different data sets" in note for note in found.notes)


def test_without_a_common_example_there_is_nothing_to_compare(sums, datasets, evaluate, compared):
    datasets.create("other")
    datasets.add("other", [NewExample({"question": "7 + 7?"}, {"answer": "14"})])
    evaluate(sums, right_from(0), name="a")
    evaluate("other", right_from(0), name="b")
    with pytest.raises(EvaluationError, match="no example in common"):
        compared()
    with pytest.raises(EvaluationError, match="no experiment nobody"):
        compared("a", "nobody")


def test_a_deleted_data_set_can_still_be_compared_by_ids(sums, datasets, evaluate, compared):
    evaluate(sums, right_from(0), name="a")
    evaluate(sums, right_from(1), name="b")
    datasets.delete(sums)
    assert len(compared().pairs) == 10


def test_what_is_missing_is_told(sums, evaluate, compared):
    class Half:
        name = "half"

        def evaluate(self, example, result):
            raise ValueError("cannot tell")

    def picky(inputs):
        if inputs["question"].startswith("3"):
            raise ValueError("no")
        return right_from(0)(inputs)

    evaluate(sums, right_from(0), ["correct", "f1"], name="a")
    evaluate(sums, picky, ["correct", Half()], name="b")
    notes = " ".join(compared().notes)
    assert "f1: only in a" in notes
    assert "half: only in b" in notes
    assert "1 run of b failed and score 0" in notes


# the gate


def test_a_gate_lets_through_what_is_not_worse(sums, evaluate, compared):
    evaluate(sums, right_from(2), name="a")
    evaluate(sums, right_from(3), name="b")
    found = compared()
    drop = {"max_drop": {"*": 0.1}}
    assert [each.key for each in gate(found.b, found, **drop)] == ["completed", "correct"]
    with pytest.raises(GateFailed, match=r"correct fell by 0\.100 \(0\.800 → 0\.700\); 0\.050 is"):
        gate(found.b, found, max_drop={"*": 0.05})
    with pytest.raises(GateFailed, match="correct may have fallen"):
        gate(found.b, found, **drop, strict=True)
    with pytest.raises(GateFailed, match="correct fell"):
        gate(found.b, found, max_drop={"*": 0.5, "correct": 0.0})
    better = compared("b", "a")
    assert all(each.passed for each in check(better.b, better, max_drop={"*": 0.0}))
    assert GateFailed("x").exit_code == 9


def test_limits_of_b_alone(sums, evaluate, compared):
    results = evaluate(sums, right_from(3), ["correct", "latency"], name="a")
    assert [each.passed for each in gate(results, min={"correct": 0.7})] == [True]
    with pytest.raises(GateFailed, match=r"correct is 0\.700, less than 0\.710"):
        gate(results, min={"correct": 0.71})
    with pytest.raises(GateFailed, match="speed has no scores"):
        gate(results, min={"speed": 0.1})
    with pytest.raises(EvaluationError, match="no condition"):
        gate(results)
    with pytest.raises(EvaluationError, match="needs a key"):
        gate(results, min={"*": 0.1})


def test_measures_are_bound_by_their_growth_and_only_where_named(sums, evaluate, compared):
    class Cost:
        name = "tokens"
        measures = True

        def __init__(self, value):
            self.value = value

        def evaluate(self, example, result):
            from groundling.evaluation.score import Score

            return Score("tokens", self.value, better="lower")

    evaluate(sums, right_from(0), ["correct", Cost(100.0)], name="a")
    evaluate(sums, right_from(0), ["correct", Cost(115.0)], name="b")
    found = compared()
    assert found.by_key["tokens"].drop == pytest.approx(0.15)
    assert found.by_key["tokens"].losses == 10
    gate(found.b, found, max_drop={"*": 0.0})
    gate(found.b, found, max_drop={"tokens": 0.15})
    with pytest.raises(GateFailed, match=r"tokens grew by 15\.0% \(100\.0 → 115\.0\); 10\.0% is"):
        gate(found.b, found, max_drop={"tokens": 0.1})


def test_what_could_not_be_judged_does_not_pass(sums, evaluate, compared, opened):
    class Moody:
        name = "mood"

        def __init__(self, failing):
            self.failing = failing

        def evaluate(self, example, result):
            from groundling.evaluation.score import Score

            if example.inputs["question"][0] in self.failing:
                raise RuntimeError("no")
            return Score("mood", 1.0)

    evaluate(sums, right_from(0), [Moody("")], name="a")
    evaluate(sums, right_from(0), [Moody("12")], name="b")
    evaluate(sums, right_from(0), ["correct"], name="c")
    found = compared()
    with pytest.raises(GateFailed, match="mood could not be judged on 2 runs"):
        gate(found.b, found, max_drop={"*": 0.5})
    with pytest.raises(GateFailed, match="mood could not be judged on 2 runs"):
        gate(found.b, min={"mood": 0.5})
    without = compared("a", "c")
    with pytest.raises(GateFailed, match="mood has no scores to compare"):
        gate(without.b, without, max_drop={"*": 0.5})


def test_what_people_said_of_a_is_not_asked_of_b(sums, evaluate, compared, opened):
    results = evaluate(sums, right_from(0), name="a")
    evaluate(sums, right_from(0), name="b")
    outcome = results.outcomes[0]
    FeedbackBook(opened.traces).add(Feedback("thumbs", outcome.run.id, score=1.0))
    found = compared()
    assert "thumbs" in found.a.keys
    gate(found.b, found, max_drop={"*": 0.0})


def test_an_unfinished_experiment_does_not_pass(sums, evaluate, opened):
    def target(inputs):
        if inputs["question"].startswith("7"):
            raise KeyboardInterrupt
        return right_from(0)(inputs)

    with pytest.raises(KeyboardInterrupt):
        evaluate(sums, target, name="a")
    from groundling.evaluation.experiments import ExperimentBook

    results = read_results(opened.traces, ExperimentBook(opened.traces).get("a"))
    with pytest.raises(GateFailed, match="a is not complete"):
        gate(results, min={"correct": 0.1})


@pytest.mark.parametrize(
    ("text", "limit"),
    [("2%", ("*", 0.02)), ("0.02", ("*", 0.02)), ("correct=0", ("correct", 0.0)),
     (" latency = 10 % ", ("latency", 0.1)), ("a=b=1", ("a=b", 1.0))],
)  # fmt: skip
def test_limits_are_read(text, limit):
    assert parse_limit(text) == pytest.approx(limit)


@pytest.mark.parametrize("text", ["", "x", "-1%", "correct=", "=1", "nan", "inf", "1%%", "1 2"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(EvaluationError, match="no limit") as raised:
        parse_limit(text)
    assert raised.value.hint


def test_several_limits_are_read_together():
    assert parse_limits(["2%,correct=0", "f1=5%"]) == {"*": 0.02, "correct": 0.0, "f1": 0.05}
    with pytest.raises(EvaluationError, match="two limits"):
        parse_limits(["2%", "3%"])


def test_experiments_of_langsmiths_client_are_read(datasets, sums, compared, opened):
    """Its runs say no repetition and its projects no end; `langsmith.evaluate` makes them so."""
    examples = datasets.examples(sums)
    for name, wrong in (("a", 0), ("b", 4)):
        project = uuid4()
        with opened.traces.writing() as db:
            db.execute(
                "INSERT INTO projects (uuid, name, started, dataset) VALUES (?, ?, ?, ?)",
                (project.bytes, name, time.time_ns() // 1000, examples[0].dataset_id.bytes),
            )
        for place, example in enumerate([*examples, *examples]):
            run = Patch(
                uuid4(), project=name, name="Target", run_type="chain", started=place, duration=1,
                status=Status.SUCCESS, inputs=encode(example.inputs), outputs=encode({}),
                example=example.id,
            )  # fmt: skip
            opened.traces.write([run])
            score = float(place % 10 >= wrong)
            said = Feedback("right", run.id, score=score, source={"type": "model"})
            FeedbackBook(opened.traces).add(said)
    found = compared()
    assert [each.repetition for each in found.pairs[0].a] == [0, 1]
    assert found.by_key["right"].paired.difference == pytest.approx(-0.4)
    assert found.notes == []
    with pytest.raises(GateFailed, match=r"right fell by 0\.400"):
        gate(found.b, found, max_drop={"*": 0.02})
