"""Experiments: stored as they come, gone on with where they stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from groundling.errors import EvaluationError, KnowledgeError
from groundling.evaluation.evaluators.registry import Context, make_evaluators
from groundling.evaluation.experiment import run_experiment
from groundling.evaluation.experiments import ExperimentBook
from groundling.evaluation.plan import LOCKS, plan
from groundling.evaluation.results import read_results
from groundling.evaluation.score import Score
from groundling.evaluation.summary import grouped, summarise
from groundling.evaluation.targets import GraphTarget, RunnableTarget, load_target
from groundling.home import Home
from groundling.tracing.attach import flush
from groundling.tracing.feedback import FeedbackBook
from groundling.tracing.query import RunFilter
from tests.scripted import ScriptedChat


def add(inputs: dict) -> dict:
    return {"answer": str(int(inputs["question"].split()[0]) + 1)}


def test_runs_and_scores_are_stored_the_langsmith_way(opened, datasets, sums, evaluate):
    results = evaluate(sums, add, ["correct", "f1", "latency"], repeat=2, concurrency=3)
    experiment = results.experiment
    assert (experiment.name, experiment.dataset) == ("sums-add-1", datasets.get(sums).id)
    assert experiment.ended is not None
    assert experiment.metadata["dataset_version"] == datasets.get(sums).version
    assert experiment.metadata["evaluators"] == ["correct", "f1", "latency"]
    runs = opened.traces.find(RunFilter(project=experiment.name), limit=-1)
    assert len(runs) == 20
    assert {run.example for run in runs} == {each.id for each in datasets.examples(sums)}
    assert {run.name for run in runs} == {"add"}
    said = FeedbackBook(opened.traces).of_run(runs[0])
    assert {each.key for each in said} == {"completed", "correct", "f1", "latency"}
    assert {each.source["type"] for each in said} == {"model"}
    assert results.mean("correct") == results.mean("completed") == 1
    assert results.better("latency") == "lower"
    assert sorted({each.repetition for each in results.outcomes}) == [0, 1]


def test_coroutines_runnables_and_plain_values_are_targets(sums, evaluate):
    async def slowly(inputs):
        await asyncio.sleep(0)
        return str(int(inputs["question"][0]) + 1)

    assert evaluate(sums, slowly).mean("correct") == 1
    assert evaluate(sums, RunnableLambda(add).with_retry()).mean("correct") == 1


def test_a_graph_of_the_home_folder_is_a_target(opened, sums, evaluate):
    model = ScriptedChat([str(n + 1) for n in range(10)])
    results = evaluate(sums, GraphTarget(opened, "ask", model=model))
    assert results.mean("correct") == 1
    described = results.experiment.metadata["target"]
    assert described["graph"] == "ask"
    assert described["prompts"]
    assert {each.run.graph for each in results.outcomes} == {"ask"}


class Seeded(ScriptedChat):
    """Answers with its seed."""

    seed: int = 7

    def _next(self, messages):
        self.replies.append(f"seed {self.seed}")
        return super()._next(messages)


def test_each_repetition_draws_with_a_seed_of_its_own(opened, sums, evaluate):
    results = evaluate(sums, GraphTarget(opened, "ask", model=Seeded()), repeat=3, limit=2)
    drawn = {(each.repetition, each.run.answer) for each in results.outcomes}
    assert drawn == {(0, "seed 7"), (1, "seed 8"), (2, "seed 9")}


def test_a_graph_that_keeps_conversations_gets_a_new_one_for_each_run(sums, evaluate):
    def count(state: MessagesState):
        return {"messages": [("ai", f"turn {len(state['messages'])}")]}

    graph = StateGraph(MessagesState).add_node(count).add_edge(START, "count")
    compiled = graph.add_edge("count", END).compile(checkpointer=InMemorySaver(), name="counter")
    results = evaluate(sums, compiled, limit=3)
    assert {each.run.answer for each in results.outcomes} == {"turn 0"}


def test_tools_that_ran_are_seen_by_evaluators(datasets, evaluate):
    @tool
    def plus_one(n: int) -> int:
        """Add one."""
        return n + 1

    datasets.create("tools")
    from groundling.evaluation.datasets import NewExample

    wanted = [{"name": "plus_one", "args": {"n": 3}}]
    datasets.add("tools", [NewExample({"n": 3}, {"trajectory": wanted})])

    async def calls(inputs):
        return {"answer": await plus_one.ainvoke({"n": inputs["n"]})}

    assert evaluate("tools", calls, ["trajectory"]).mean("trajectory") == 1


# what fails


def test_a_run_that_fails_scores_zero_and_says_so(sums, evaluate):
    def picky(inputs):
        if inputs["question"].startswith("3"):
            raise ValueError("three is too many")
        return add(inputs)

    steps = []
    results = evaluate(sums, picky, ["correct", "latency"], steps.append)
    assert results.mean("correct") == 0.9
    [failed] = results.failed
    assert failed.value("completed") == failed.value("correct") == 0
    assert "three is too many" in failed.scores["correct"].comment
    assert failed.value("latency") is not None
    assert [step.error for step in steps if step.error] == ["ValueError: three is too many"]
    assert [step.done for step in steps] == [0, *range(1, 11)]


class Moody:
    name = "moody"

    def __init__(self) -> None:
        self.asked = 0
        self.well = False

    def evaluate(self, example, result):
        self.asked += 1
        if not self.well and example.inputs["question"].startswith(("1", "2")):
            raise RuntimeError("not today")
        return [Score("mood", 1.0), Score("depth", 0.5)]


def test_an_evaluator_that_fails_is_no_zero_and_is_asked_again(sums, evaluate):
    moody = Moody()
    results = evaluate(sums, add, [moody], name="m")
    assert results.mean("mood") == 1
    assert len(results.unjudged("moody")) == 2
    [line] = [each for each in summarise(results) if each.key == "moody"]
    assert (line.mean, line.unjudged) == (None, 2)
    assert len(results.by_example("mood")) == 8
    moody.well = True
    again = evaluate(sums, add, [moody], name="m")
    assert moody.asked == 12
    assert len(again.by_example("mood")) == 10


def test_evaluators_can_be_added_without_running_anything_again(sums, evaluate):
    calls = []

    def target(inputs):
        calls.append(inputs)
        return add(inputs)

    evaluate(sums, target, ["correct"], name="m")
    results = evaluate(sums, target, ["correct", "f1"], name="m")
    assert len(calls) == 10
    assert results.mean("f1") == 1
    assert results.experiment.metadata["evaluators"] == ["correct", "f1"]


def test_what_was_blacked_out_is_answered_again_before_it_is_judged(sums, evaluate):
    def target(inputs):
        return {"answer": f"{add(inputs)['answer']}, write to someone@example.com"}

    evaluate(sums, target, ["correct"], name="m", limit=2)
    results = evaluate(sums, target, ["correct", "regex:@example"], name="m", limit=2)
    assert results.mean("regex") == 1
    assert all(each.run.redacted for each in results.outcomes)


def test_where_nothing_works_it_stops_at_once_and_goes_on_once_mended(opened, sums, evaluate):
    works = False

    def target(inputs):
        if not works:
            raise KnowledgeError("It is empty.", hint="groundling knowledge add FOLDER")
        return add(inputs)

    with pytest.raises(EvaluationError, match=r"first 5 runs failed.*It is empty.*add FOLDER"):
        evaluate(sums, target)
    works = True
    results = evaluate(sums, target)
    assert results.experiment.name == "sums-target-1"
    assert results.mean("correct") == 1
    assert not results.failed


def test_tracing_has_to_be_on(datasets, sums, home):
    with Home(tracing={"enabled": False}) as off:
        wanted = plan(datasets, sums, RunnableTarget(add), [])
        with pytest.raises(EvaluationError, match="tracing is off"):
            asyncio.run(run_experiment(off, wanted))


def test_a_run_that_could_not_be_recorded_is_an_error(opened, datasets, sums, monkeypatch):
    from groundling.tracing.writer import TraceWriter

    monkeypatch.setattr(TraceWriter, "put", lambda self, patch: None)
    wanted = plan(datasets, sums, RunnableTarget(add), [])
    with pytest.raises(EvaluationError, match="was not recorded"):
        asyncio.run(run_experiment(opened, wanted))


# which experiment


def test_an_experiment_that_stopped_is_gone_on_with(opened, datasets, sums, evaluate):
    calls = []

    def target(inputs):
        calls.append(inputs["question"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return add(inputs)

    with pytest.raises(KeyboardInterrupt):
        evaluate(sums, target)
    [unfinished] = ExperimentBook(opened.traces).list()
    assert unfinished.ended is None
    stopped = len(read_results(opened.traces, unfinished).outcomes)
    assert stopped == 3
    steps = []
    results = evaluate(sums, target, progress=steps.append)
    assert results.experiment.id == unfinished.id
    assert steps[0].done == stopped
    assert len(calls) == 11
    assert evaluate(sums, target).experiment.name == "sums-target-2"


def test_anew_means_anew(sums, evaluate):
    def target(inputs):
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(EvaluationError):
            evaluate(sums, target, fresh=True)
    assert evaluate(sums, add, name="sums-target-3").experiment.name == "sums-target-3"


def test_a_name_is_not_taken_for_something_else(datasets, sums, evaluate, opened):
    evaluate(sums, add, name="mine")
    with pytest.raises(EvaluationError, match=r"made of something else: repeat"):
        evaluate(sums, add, name="mine", repeat=2)
    datasets.remove([datasets.examples(sums)[0].id])
    with pytest.raises(EvaluationError, match="dataset_version"):
        evaluate(sums, add, name="mine")
    RunnableLambda(add).invoke({"question": "1"})
    flush()
    with pytest.raises(EvaluationError, match="already"):
        evaluate(sums, add, name="default")  # the project of all other runs
    assert evaluate(sums, add, name="mine", as_of=datasets.versions(sums)[1].name)


def test_an_experiment_that_runs_is_left_alone(opened, datasets, sums, evaluate):
    def target(inputs):
        raise ValueError("no")

    with pytest.raises(EvaluationError):
        evaluate(sums, target, name="busy")
    held = ExperimentBook(opened.traces).get("busy")
    folder = opened.settings.home / LOCKS
    with FileLock(folder / f"{held.id}.lock"):
        with pytest.raises(EvaluationError, match="being run by another process"):
            evaluate(sums, target, name="busy")
        with pytest.raises(EvaluationError):
            evaluate(sums, target)
    assert {each.name for each in ExperimentBook(opened.traces).list()} == {
        "busy", "sums-target-1",
    }  # fmt: skip
    assert [each.name for each in folder.iterdir()] == [f"{held.id}.lock"]  # the test's own


def test_what_cannot_be_run_is_refused(datasets, sums):
    datasets.create("empty")
    target = RunnableTarget(add)
    for options in (
        {"dataset": "nobody"}, {"dataset": "empty"}, {"dataset": sums, "splits": ["none"]},
        {"dataset": sums, "as_of": "nonsense"}, {"dataset": sums, "repeat": 0},
        {"dataset": sums, "limit": 0},
    ):  # fmt: skip
        with pytest.raises(EvaluationError) as raised:
            plan(datasets, target=target, evaluators=[], **options)
        assert raised.value.hint
    with pytest.raises(EvaluationError, match="neither be invoked nor called"):
        load_target("sys:version")


def test_figures_by_a_field_of_the_metadata(datasets, sums, evaluate):
    def odd(inputs):
        n = int(inputs["question"][0])
        return {"answer": str(n + 1 if n % 2 else 0)}

    results = evaluate(sums, odd)
    examples = {each.id: each for each in datasets.examples(sums)}
    groups = grouped(results, examples, "parity")
    assert {group: scores["correct"] for group, scores in groups.items()} == {
        "even": (0.0, 5), "odd": (1.0, 5),
    }  # fmt: skip


def test_runs_go_on_side_by_side(sums, evaluate):
    together = threading.Barrier(4, timeout=20)

    async def meets(inputs):
        await asyncio.to_thread(together.wait)
        return add(inputs)

    assert evaluate(sums, meets, concurrency=4, limit=8).mean("correct") == 1


# killed

KILLED = """
import asyncio, sys
from pathlib import Path
from groundling.home import Home
from groundling.evaluation.datasets import DatasetStore
from groundling.evaluation.evaluators.registry import Context, make_evaluators
from groundling.evaluation.experiment import run_experiment
from groundling.evaluation.plan import plan
from groundling.evaluation.targets import RunnableTarget
log, slow = Path(sys.argv[1]), float(sys.argv[2])

async def target(inputs):
    await asyncio.sleep(slow)
    with log.open("a") as file:
        file.write(inputs["question"] + "\\n")
    return {"answer": str(int(inputs["question"].split()[0]) + 1)}

with Home() as home, DatasetStore(home.settings.evaluation_path) as datasets:
    made = make_evaluators(["correct", "latency"], Context(home))
    wanted = plan(datasets, "sums", RunnableTarget(target, "target"), made, concurrency=2)
    results = asyncio.run(run_experiment(home, wanted, lambda step: print(step.done, flush=True)))
    print(results.experiment.name, len(results.outcomes), results.mean("correct"))
"""


@pytest.mark.parametrize("after", [1, 6])
def test_killed_in_the_middle_it_goes_on_where_it_stopped(opened, datasets, sums, tmp_path, after):
    log = tmp_path / "log"
    environment = {**os.environ, "GROUNDLING_HOME": str(opened.settings.home)}

    def start(slow: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(log), str(slow)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    killed = start(0.05)
    assert killed.stdout is not None
    for line in killed.stdout:
        if int(line) >= after:
            break
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    [unfinished] = ExperimentBook(opened.traces).list()
    before = read_results(opened.traces, unfinished).outcomes
    assert unfinished.ended is None
    assert len(before) >= after
    done = start(0)
    output, _ = done.communicate(timeout=120)
    assert done.returncode == 0
    lines = output.splitlines()
    assert lines[-1] == "sums-target-1 10 1.0"
    assert int(lines[0]) == len(before)
    answered = log.read_text(encoding="utf-8").splitlines()
    # What was over was not run again; at most the two that were going on were.
    assert len(set(answered)) == 10
    assert len(answered) <= 12
    results = read_results(opened.traces, ExperimentBook(opened.traces).get("sums-target-1"))
    assert {each.run.id for each in before} <= {each.run.id for each in results.outcomes}
    assert all({"completed", "correct", "latency"} <= set(each.scores) for each in results.outcomes)
    assert len(results.outcomes) == 10


def test_scores_are_of_the_last_word(sums, evaluate, opened):
    results = evaluate(sums, add, limit=1, name="m")
    [outcome] = results.outcomes
    first = outcome.scores["correct"]
    time.sleep(0.001)
    evaluate(sums, add, ["exact"], limit=1, name="m")
    [again] = read_results(opened.traces, results.experiment).outcomes
    assert again.scores["correct"].id == first.id
    assert set(again.scores) == {"completed", "correct", "exact"}


def test_targets_are_loaded_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_app.py").write_text("def answer(inputs): return {}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    target = load_target("my_app:answer")
    assert target.name == "answer"
    assert set(target.describe()) == {"callable", "source"}
    assert Path.cwd() == tmp_path
    assert make_evaluators(["latency"], Context(None))[0].name == "latency"  # type: ignore[arg-type]
