"""`groundling eval`: with a function as target, and end to end with the small model."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from groundling.tracing import attach
from tests.cli.test_dataset import invoke

__all__ = ["invoke"]

APP = """
WRONG = 8

def answer(inputs):
    n = int(inputs["question"].split()[0])
    return {"answer": str(n + 1 if n < WRONG else 0)}

def worse(inputs):
    n = int(inputs["question"].split()[0])
    return {"answer": str(n + 1 if n < 5 else 0)}

def broken(inputs):
    raise RuntimeError("nothing works")

def brief(outputs):
    return len(outputs["answer"]) < 3
"""


@pytest.fixture
def app(tmp_path, monkeypatch, invoke):
    """Return the file of a small application; the data set `sums` is there."""
    file = tmp_path / "app.py"
    file.write_text(APP, encoding="utf-8")
    examples = tmp_path / "sums.jsonl"
    examples.write_text(
        "".join(
            json.dumps({"inputs": {"question": f"{n} + 1?"}, "outputs": {"answer": str(n + 1)},
                        "metadata": {"parity": "even" if n % 2 == 0 else "odd"}}) + "\n"
            for n in range(10)
        ),
        encoding="utf-8",
    )  # fmt: skip
    assert invoke("dataset", "import", "sums", examples)[0] == 0
    return file


def evaluate(invoke, app, name, *more):
    return invoke("eval", "run", "sums", "--target", f"{app}:{name}", *more)


def test_an_experiment_is_run_shown_and_listed(invoke, app):
    options = ("-e", "correct,f1", "-e", f"{app}:brief", "-e", "ends=regex:[0-9]$", "--repeat", 2)
    code, out, err = evaluate(invoke, app, "answer", *options)
    assert code == 0
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[2:]}
    assert rows == {
        "completed": "1.000", "correct": "0.800", "f1": "0.800", "brief": "1.000", "ends": "1.000",
    }  # fmt: skip
    assert "sums-answer-1: 20 runs" in err
    code, out, _ = invoke("eval", "show", "last", "--by", "parity", "--json")
    shown = json.loads(out)
    assert shown["experiment"] == "sums-answer-1"
    assert shown["by"]["even"]["correct"] == {"mean": 0.8, "examples": 5}
    assert shown["scores"]["correct"]["examples"] == 10
    code, out, _ = invoke("eval", "show", "sums-answer-1", "--by", "parity")
    assert "Runs with a 0: 4 of 20" in out
    assert "does not say “9”" in out
    assert "0.800 of 5" in out
    code, out, _ = invoke("eval", "list", "sums")
    assert code == 0
    assert "sums-answer-1" in out
    assert "correct 0.800" in out


def test_two_experiments_are_compared_and_held_apart(invoke, app, tmp_path):
    evaluate(invoke, app, "answer", "-e", "correct", "--name", "main")
    evaluate(invoke, app, "worse", "-e", "correct", "--name", "candidate")
    page = tmp_path / "report.html"
    code, out, err = invoke("eval", "compare", "main", "candidate", "--html", page)
    assert code == 0
    assert "main → candidate, 10 examples" in out
    assert "-0.300" in out
    assert "0 / 7 / 3" in out
    assert "Examples that lost, of 10: 3" in out
    assert "callable (answer → worse)" in err
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = json.loads(invoke("eval", "compare", "main", "candidate", "--json")[1])
    assert found["scores"]["correct"]["difference"] == pytest.approx(-0.3)
    assert found["pairs"][0]["differences"]["correct"] == -1
    code, out, err = invoke("eval", "gate", "main", "candidate", "--max-drop", "2%")
    assert code == 9
    assert "FAILED  correct: drop 0.300, at most 0.020" in out
    assert "candidate does not pass: correct fell by 0.300" in err
    assert "groundling eval compare main candidate" in err
    assert invoke("eval", "gate", "main", "candidate", "--max-drop", "correct=30%")[0] == 0
    assert invoke("eval", "gate", "candidate", "main", "--max-drop", 0)[0] == 0
    assert invoke("eval", "gate", "candidate", "--min", "correct=0.5")[0] == 0
    assert invoke("eval", "gate", "candidate", "--min", "correct=0.6")[0] == 9


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "nobody", "--target", "os:getcwd"), 9, "There is no data set nobody"),
        (("run", "sums", "--target", "os:nothing"), 9, "os has no nothing"),
        (("run", "sums", "--target", "os:getcwd", "--graph", "rag"), 2, "not both"),
        (("run", "sums", "--target", "os:getcwd", "-e", "nonsense"), 9, "no evaluator nonsense"),
        (("run", "sums", "--target", "os:getcwd", "--repeat", "0"), 2, "--repeat"),
        (("show", "nobody"), 9, "There is no experiment nobody"),
        (("compare", "a", "b"), 9, "There is no experiment a"),
        (("gate", "a", "--max-drop", "2%"), 2, "two experiments"),
        (("gate", "a", "b", "--max-drop", "much"), 2, "much is no limit"),
        (("gate", "a", "b", "c"), 2, "one experiment or two"),
        (("gate", "a", "--min", "correct=x"), 2, "no limit"),
        (("calibrate", "a", "--judge", "correct"), 9, "no judge"),
    ],
)
def test_mistakes_are_told_with_the_next_step(invoke, app, monkeypatch, arguments, code, said):
    monkeypatch.setenv("GROUNDLING_MODEL__BASE_URL", "http://127.0.0.1:9/v1")
    got, _, err = invoke("eval", *arguments)
    assert got == code
    assert said in err


def test_what_never_works_stops_early(invoke, app):
    code, _, err = evaluate(invoke, app, "broken")
    assert code == 9
    assert "The first 5 runs failed" in err
    assert "nothing works" in err
    _, out, _ = invoke("eval", "list")
    assert "5, 5 failed, unfinished" in out


def test_the_evaluators_are_listed(invoke):
    code, out, _ = invoke("eval", "evaluators", "--json")
    assert code == 0
    assert {"correct", "judge", "trajectory"} <= set(json.loads(out))
    assert "judge:YES-OR-NO QUESTION" in invoke("eval", "evaluators")[1]


@pytest.mark.model
def test_the_shipped_questions_are_put_to_the_handbook(home_with_models, embedder_files, tmp_path):
    (home_with_models / "config.toml").write_text(
        '[model]\nname = "smollm2-135m"\ncontext = 2048\nmax_tokens = 24\nmeasure = false\n'
        "[download]\noffline = true\n",
        encoding="utf-8",
    )
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave-policy.md").write_text(
        "# Leave policy\n\nUp to 6 days of unused annual leave may be carried over to the next "
        "year.\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-c", "from groundling.cli import main; main()", "eval"]

    def run(*arguments):
        done = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    evaluators = "correct,cited,refused,citations,grounded,judge,latency,tokens"
    asked = ("--graph", "rag", "--docs", folder, "--limit", 3, "-e", evaluators, "--json")
    found = run("run", "handbook", *asked)
    assert (found["runs"], found["failed"]) == (3, 0)
    scores = found["scores"]
    # What the small model answers may differ between machines; what follows from it may not.
    assert not any(each["unjudged"] for each in scores.values())
    assert set(scores) == {"completed", *evaluators.split(",")}
    assert scores["citations"]["mean"] in (None, 1.0)
    assert scores["tokens"]["mean"] > 50
    assert 0 <= scores["judge"]["mean"] <= 1
    assert found["metadata"]["target"]["model"] == "smollm2-135m"
    again = run("compare", found["experiment"], "last", "--json")
    assert all(each["difference"] == 0 for each in again["scores"].values())
    attach.detach()
