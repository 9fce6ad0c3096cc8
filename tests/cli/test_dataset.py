"""`groundling dataset`."""

from __future__ import annotations

import json

import pytest

from groundling.cli import main
from groundling.home import Home
from groundling.tracing import attach
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.query import RunFilter


@pytest.fixture
def invoke(home, capsys):
    """Return a function that runs a command and gives its code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    yield run
    attach.detach()


@pytest.fixture
def questions(tmp_path):
    file = tmp_path / "questions.csv"
    file.write_bytes("질문,정답\n휴가는 며칠?,6일\n넷,이,나\n출장은?,9만원\n".encode("cp949"))
    return file


def test_csv_goes_in_and_comes_out_as_lines(invoke, questions, tmp_path):
    code, out, err = invoke("dataset", "import", "leave", questions)
    assert code == 0
    assert out.startswith("leave: 2 added, 1 left out; version ")
    assert "questions.csv:3: 3 columns instead of 2" in err
    code, out, _ = invoke("dataset", "export", "leave")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["inputs"]["question"] for line in lines] == ["휴가는 며칠?", "출장은?"]
    file = tmp_path / "out.jsonl"
    assert invoke("dataset", "export", "leave", "-o", file)[0] == 0
    code, out, _ = invoke("dataset", "import", "copy", file, "--json")
    assert json.loads(out)["added"] == 2
    versions = [
        json.loads(invoke("dataset", "show", name, "--json")[1])["version"]
        for name in ("leave", "copy")
    ]
    assert versions[0] == versions[1]


def test_columns_are_named(invoke, tmp_path):
    file = tmp_path / "q.csv"
    file.write_text("q,a,level\nwhy,so,1\n", encoding="utf-8")
    code, _, err = invoke("dataset", "import", "d", file)
    assert code == 9
    assert "not said which are inputs" in err
    arguments = ("--input", "question=q", "--output", "answer=a", "--metadata", "level")
    assert invoke("dataset", "import", "d", file, *arguments)[0] == 0
    shown = json.loads(invoke("dataset", "show", "d", "--json")[1])
    [example] = shown["examples"]
    assert (example["inputs"], example["outputs"], example["metadata"]) == (
        {"question": "why"}, {"answer": "so"}, {"level": "1"},
    )  # fmt: skip


def test_a_file_without_one_good_line_fails(invoke, tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text("nonsense\n", encoding="utf-8")
    code, _, err = invoke("dataset", "import", "d", file)
    assert code == 9
    assert "q.jsonl:1: not JSON" in err
    assert "None of the examples could be read" in err


def test_versions_are_listed_tagged_and_read(invoke):
    one = '{"inputs": {"question": "a"}, "outputs": {"answer": "1"}}'
    two = '{"inputs": {"question": "b"}}'
    assert invoke("dataset", "add", "d", "--example", one)[0] == 0
    assert invoke("dataset", "versions", "d", "--tag", "first")[0] == 0
    assert invoke("dataset", "add", "d", "--example", two)[0] == 0
    code, out, _ = invoke("dataset", "versions", "d")
    assert code == 0
    assert [line.split()[3] for line in out.splitlines()[1:]] == ["2", "1", "0"]
    assert "first" in out
    _, out, _ = invoke("dataset", "show", "d", "--as-of", "first")
    assert "d: 1 examples" in out
    assert '{"question": "a"}' in out
    code, _, err = invoke("dataset", "show", "d", "--as-of", "never")
    assert code == 9
    assert "groundling dataset versions d" in err


def test_examples_and_whole_sets_are_removed(invoke):
    invoke(
        "dataset", "add", "d", "--example", '{"question": "a"}', "--example", '{"question": "b"}'
    )
    shown = json.loads(invoke("dataset", "show", "d", "--json")[1])
    first = shown["examples"][0]["id"]
    assert invoke("dataset", "remove", "d", "--example", first)[1] == "Removed: 1 example.\n"
    assert json.loads(invoke("dataset", "list", "--json")[1])[0]["example_count"] == 1
    assert invoke("dataset", "remove", "d", "--example", "nonsense")[0] == 9
    assert invoke("dataset", "remove", "d", "--yes")[0] == 0
    assert json.loads(invoke("dataset", "list", "--json")[1]) == []
    assert invoke("dataset", "show", "d")[0] == 9


def test_runs_that_people_found_wrong_become_examples(invoke):
    from langchain_core.runnables import RunnableLambda

    with Home() as home:
        home.record()
        RunnableLambda(lambda inputs: {"answer": "7 days"}, name="rag").invoke(
            {"question": "How many days?"}
        )
        RunnableLambda(lambda inputs: {"answer": "yes"}, name="rag").invoke({"question": "Sure?"})
        attach.flush()
        [wrong] = [run for run in home.traces.find(RunFilter()) if run.answer == "7 days"]
        FeedbackBook(home.traces).add(Feedback("thumbs", wrong.id, score=-1.0, correction="6 days"))
    code, out, _ = invoke("dataset", "add", "hard", "--from-runs", "feedback<0 and graph=rag")
    assert code == 0
    assert out.startswith("hard: 1 added")
    [example] = json.loads(invoke("dataset", "show", "hard", "--json")[1])["examples"]
    assert example["inputs"] == {"question": "How many days?"}
    assert example["outputs"] == {"answer": "6 days"}
    assert example["source_run_id"] == str(wrong.id)
    code, _, err = invoke("dataset", "add", "hard", "--from-runs", "feedback")
    assert code == 9
    assert "at character 1" in err
    assert invoke("dataset", "add", "hard")[0] == 2


def test_the_shipped_set_waits_to_be_used(invoke):
    code, out, err = invoke("dataset", "list")
    assert (code, out) == (0, "")
    assert "handbook" in err
    code, out, _ = invoke("dataset", "show", "handbook", "--limit", 2)
    assert code == 0
    assert "130 examples" in out
    assert "128 more" in out
