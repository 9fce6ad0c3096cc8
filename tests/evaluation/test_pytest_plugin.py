"""The pytest plugin, in test sessions of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

SUMS = "".join(
    f'{{"inputs": {{"question": "{n} + 1?"}}, "outputs": {{"answer": "{n + 1}"}}}}\n'
    for n in range(10)
)
HEAD = """
from pathlib import Path
import pytest
sums = pytest.mark.groundling_eval

@pytest.fixture
def groundling_target():
    def answer(inputs):
        n = int(inputs["question"].split()[0])
        return {"answer": str(n + 1 if n < 8 else 0)}
    return answer

"""
LIMITS = """
@sums(dataset="sums.jsonl", min={"correct": 0.8}, name="main")
def test_reaches_it(groundling_experiment):
    assert len(groundling_experiment.outcomes) == 10
    assert not groundling_experiment.failed

@sums("sums.jsonl", evaluators=["correct", "f1"], min={"correct": 0.9})
def test_falls_short():
    pass

@sums("sums.jsonl", min={"correct": 0.5})
def test_own_assertion(groundling_experiment):
    assert groundling_experiment.mean("correct") > 0.9, "mine"

def brief(outputs):
    return len(outputs["answer"]) < 3

@sums("sums.jsonl", evaluators=[brief], min={"brief": 1.0})
async def test_inside_a_loop(groundling_experiment):
    assert groundling_experiment.mean("brief") == 1

class TestAnother:
    @pytest.fixture
    def groundling_target(self):
        return lambda inputs: {"answer": "1"}

    @sums("sums.jsonl", evaluators=["correct"], baseline="main", max_drop={"*": 0.02})
    def test_got_worse(self):
        pass

def test_plain():
    pass

@sums("sums.jsonl", evaluators=["correct"])
def test_the_file_loses_lines(groundling_experiment):
    file = Path(__file__).with_name("sums.jsonl")
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:3]))

@sums("sums.jsonl", evaluators=["correct"])
def test_and_is_followed(groundling_experiment):
    assert len(groundling_experiment.outcomes) == 3
"""
MISTAKES = """
@sums("nobody")
def test_unknown(): pass

@sums("missing.jsonl")
def test_missing(): pass

@sums("broken.jsonl")
def test_broken(): pass

@sums("sums.jsonl", evaluators=["nonsense"])
def test_nonsense(): pass

def test_unmarked(groundling_experiment): pass
"""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs a test module beside the sums, with few other plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (pytester.path / "sums.jsonl").write_text(SUMS, encoding="utf-8")
    pytester.makeini(
        "[pytest]\nfilterwarnings = error\nasyncio_mode = auto\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )

    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_graph=HEAD + tests)
        names = ("groundling.evaluation.pytest_plugin", "pytest_asyncio.plugin", "no:cacheprovider")
        plugins = [each for name in names for each in ("-p", name)]
        return pytester.runpytest_subprocess(*plugins, "--strict-markers", *options)

    return run


def test_tests_hold_a_graph_to_its_limits(session):
    done = session(LIMITS)
    done.assert_outcomes(passed=5, failed=3)
    done.stdout.fnmatch_lines_random(
        [
            "*test_falls_short*",
            "correct is 0.800, less than 0.900",
            "groundling eval show sums.jsonl-answer-* tells where.",
            "E * mine*",
            "correct fell by 0.700 (0.800 → 0.100); 0.020 is allowed",
        ]
    )
    done.stdout.fnmatch_lines(
        [
            "*= experiments =*",
            "test_graph.py::test_reaches_it  main: 10 runs, 0 failed",
            "*correct * 0.800  at least 0.800",
        ]
    )


def test_mistakes_are_told(session, pytester):
    (pytester.path / "broken.jsonl").write_text("{\n", encoding="utf-8")
    done = session(MISTAKES)
    done.assert_outcomes(errors=5)
    done.stdout.fnmatch_lines_random(
        [
            "There is no data set nobody.",
            "There is no missing.jsonl in *",
            "broken.jsonl:1: not JSON*",
            "There is no evaluator nonsense.",
            "the test has no mark*",
            "Next:  *",
        ]
    )


def test_a_mark_with_an_unknown_argument_is_a_usage_error(session):
    done = session("@sums(graf='rag')\ndef test_odd(): pass\n")
    assert done.ret != pytest.ExitCode.OK
    assert "graf" in done.stdout.str() + done.stderr.str()


def test_pytest_finds_the_plugin_by_itself():
    found = {each.name: each.value for each in entry_points(group="pytest11")}
    assert found["groundling"] == "groundling.evaluation.pytest_plugin"


def test_the_plugin_is_light():
    code = (
        "import sys, groundling.evaluation.pytest_plugin\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "langchain_core", "langgraph", "pydantic", "jinja2"} & set(loaded)
