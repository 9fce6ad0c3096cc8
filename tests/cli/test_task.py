import json

import pytest

from groundling.cli import main
from groundling.cli.examples import read_examples


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify", "text"], "--labels"),
        (["sentiment", "  "], "The text is empty"),
        (["sentiment", "@nowhere.txt"], "cannot be read"),
        (["answer", "text"], "--question"),
        (["summarize", "--sentences", "0", "text"], "0 is not in the range"),
    ],
)
def test_bad_calls_are_usage_errors(capsys, arguments, said):
    code, _, err = call(capsys, "task", *arguments)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.jsonl", '{"text": "안녕", "output": "a"}\n\n{"text": "bye", "output": "b"}\n'),
        ("e.csv", "\ufefftext,output\n안녕,a\nbye,b\n"),
        ("e.toml", '[[example]]\ntext="안녕"\noutput="a"\n[[example]]\ntext="bye"\noutput="b"\n'),
    ],
)
def test_examples_come_from_any_of_three_formats(tmp_path, name, content):
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    found = read_examples(file)
    assert [(one["text"], one["output"]) for one in found] == [("안녕", "a"), ("bye", "b")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("e.jsonl", "{", "cannot be read as examples"),
        ("e.jsonl", '{"text": "x"}', "example 1: output is missing"),
        ("e.jsonl", "[1]", "example 1: everything"),
        ("e.csv", "", "has no examples"),
        ("e.txt", "x", "must end in"),
        ("e.toml", "=", "cannot be read"),
    ],
)
def test_bad_examples_are_named(tmp_path, capsys, name, content, said):
    file = tmp_path / name
    file.write_text(content)
    arguments = ["classify", "--labels", "a,b", "--examples", str(file), "text"]
    code, _, err = call(capsys, "task", *arguments)
    assert code == 2
    assert said in err


def test_examples_of_answers_need_their_question(tmp_path, capsys):
    file = tmp_path / "e.jsonl"
    file.write_text('{"text": "x", "output": "y"}')
    code, _, err = call(capsys, "task", "answer", "-q", "q", "--examples", str(file), "text")
    assert code == 2
    assert "question is missing" in err


@pytest.mark.model
def test_lines_are_texts_of_their_own(home_with_models, tmp_path, capsys, monkeypatch):
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO("A good day.\n\nA bad day.\n"))
    code, out, _ = call(capsys, "--model", "smollm2-135m", "task", "sentiment", "--lines", "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == ["A good day.", "A bad day."]
    assert all(set(row["probabilities"]) == {"positive", "negative", "neutral"} for row in rows)
