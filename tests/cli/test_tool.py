"""`groundling tool`: which tools there are, what the model is told of them, and trying them."""

from __future__ import annotations

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.cli import main
from groundling.cli.tool import parse


def invoke(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["tool", *arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.fixture(autouse=True)
def settings(home, tmp_path):
    (tmp_path / "sales.csv").write_text("지점,won\n서울,1200\n수원,800\n", encoding="utf-8")
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(
        '[tools]\nenabled = ["search", "clock", "table", "web", "ask_person"]\n'
        f"tables = ['{tmp_path / 'sales.csv'}']\n",
        encoding="utf-8",
    )


def test_the_list_tells_classes_and_what_is_lacking(capsys):
    code, out, _ = invoke(capsys, "list")
    assert code == 0
    assert "clock" in out
    assert "not here: no host is allowed" in out
    data = json.loads(invoke(capsys, "list", "--json")[1])
    assert [(row["name"], row["risk"]) for row in data["tools"]] == [
        ("clock", "compute"),
        ("table", "read"),
        ("ask_person", "read"),
    ]
    assert set(data["missing"]) == {"search", "web"}


def test_a_tool_is_shown_with_its_arguments(capsys):
    code, out, _ = invoke(capsys, "show", "clock")
    assert code == 0
    assert "until (string, optional)" in out
    shown = json.loads(invoke(capsys, "show", "clock", "--json")[1])
    assert shown["arguments"]["properties"]["add_days"]["type"] == "integer"


def test_calls_are_typed_by_the_tool(capsys):
    code, out, _ = invoke(capsys, "call", "clock", "day=2024-02-28", "add_days=2")
    assert (code, "2024-03-01" in out) == (0, True)
    # A text that looks like a number stays a text.
    code, out, _ = invoke(capsys, "call", "clock", "day=20240228")
    assert (code, "is no date" in out) == (1, True)
    code, out, _ = invoke(capsys, "call", "table", "sql=SELECT sum(won) AS n FROM sales", "--json")
    assert json.loads(out) == {"tool": "table", "error": False, "result": "n\n2000"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["call", "clock", "add_days=many"], 1, "add_days"),
        (["call", "ask_person", "question=Which?"], 1, "Nobody can be asked"),
        (["call", "table", "sql=DROP TABLE sales"], 1, "Only SELECT"),
        (["call", "clock", "today"], 2, "KEY=VALUE"),
        (["call", "web", "url=https://example.org"], 13, "no host is allowed"),
        (["call", "hammer"], 13, "no tool hammer"),
        (["show", "search"], 13, "no documents yet"),
    ],
)
def test_what_does_not_work_is_said(capsys, arguments, code, said):
    ended, out, err = invoke(capsys, *arguments)
    assert (ended, said in out + err) == (code, True)
    assert "Traceback" not in err


@given(st.dictionaries(st.text("abc", min_size=1), st.text(max_size=20)))
def test_texts_come_through_as_they_are(given):
    pairs = tuple(f"{key}={value}" for key, value in given.items())
    assert parse(pairs, given.keys()) == given


def test_other_values_are_json_where_they_are_some():
    assert parse(("a=1", "b=[2]", "c=x=y", "d=", "e=" + "[" * 100_000)) == {
        "a": 1, "b": [2], "c": "x=y", "d": "", "e": "[" * 100_000,
    }  # fmt: skip
    with pytest.raises(click.UsageError):
        parse(("a",))
