"""The command line without a model: help, errors, settings, graphs."""

import importlib
import json

import click
import pytest

from groundling.cli import COMMANDS, _run, groundling, main
from groundling.cli.output import Shell
from groundling.cli.run import parse_inputs
from groundling.errors import DownloadError, GroundlingError, KnowledgeError, ModelError


def invoke(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def every_command(command=groundling, path=()):
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            child = command.get_command(click.Context(command), name)
            yield from every_command(child, (*path, name))


PATHS = [path for path, _ in every_command()]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_explains_itself(capsys, path):
    code, out, _ = invoke(capsys, *path, "--help")
    assert code == 0
    assert "--json" in out
    assert "--debug" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listing_says_what_the_command_says(name):
    module, listed = COMMANDS[name]
    command = getattr(importlib.import_module(module), name)
    assert command.help
    assert listed.endswith(".")


@pytest.mark.parametrize("path", [path for path, c in every_command() if c.params], ids=" ".join)
def test_every_option_is_described(path):
    command = dict(every_command())[path]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_usage_errors_exit_with_2(capsys):
    code, out, err = invoke(capsys, "ask")
    assert (code, out) == (2, "")
    assert "QUESTION" in err
    assert invoke(capsys, "nonsense")[0] == 2


def test_an_error_says_what_failed_and_what_to_do(capsys):
    code, out, err = invoke(capsys, "graph", "show", "nope")
    assert (code, out) == (7, "")
    assert "There is no graph nope" in err
    assert "Next:" in err
    assert "Traceback" not in err


def test_errors_are_json_where_results_are(capsys):
    code, out, err = invoke(capsys, "graph", "show", "nope", "--json")
    assert (code, out) == (7, "")
    assert json.loads(err)["error"]["type"] == "UnknownGraph"


def test_debug_shows_where(capsys):
    _, _, err = invoke(capsys, "graph", "show", "nope", "--debug")
    assert "Traceback" in err


def test_exit_codes_are_those_of_the_error_tree():
    assert GroundlingError.exit_code == 1
    assert ModelError.exit_code == 4
    assert DownloadError.exit_code == 5
    assert KnowledgeError.exit_code == 6


def test_interruption_exits_with_130(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(groundling, "main", interrupt)
    assert _run(Shell(), []) == 130
    assert "kept" in capsys.readouterr().err


def test_a_wrong_setting_exits_with_3(capsys, monkeypatch):
    monkeypatch.setenv("GROUNDLING_MODEL__CONTEXT", "many")
    code, _, err = invoke(capsys, "config", "show")
    assert code == 3
    assert "model.context" in err


def test_settings_are_written_and_shown_with_their_origin(capsys, home):
    assert invoke(capsys, "config", "set", "model.context", "8192")[0] == 0
    code, out, _ = invoke(capsys, "config", "show", "--json")
    assert code == 0
    [row] = [row for row in json.loads(out) if row["name"] == "model.context"]
    assert row == {"name": "model.context", "value": 8192, "origin": str(home / "config.toml")}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_options_work_wherever_they_stand(capsys, position):
    arguments = ["graph", "list"]
    arguments.insert(position, "--json")
    code, out, _ = invoke(capsys, *arguments)
    assert code == 0
    assert {"ask", "chain", "rag"} <= {entry["name"] for entry in json.loads(out)}


@pytest.mark.parametrize("name", ["ask", "chain", "rag", "chain:triage-reply"])
def test_graphs_are_drawn(capsys, name):
    _, out, _ = invoke(capsys, "graph", "show", name)
    assert out.startswith("START\n")
    assert "END" in out
    _, mermaid, _ = invoke(capsys, "graph", "show", name, "--mermaid")
    assert "graph TD;" in mermaid
    _, data, _ = invoke(capsys, "graph", "show", name, "--json")
    drawn = json.loads(data)
    assert all(node in out for node in drawn["nodes"] if not node.startswith("__"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(capsys, shell):
    code, out, _ = invoke(capsys, "completion", shell)
    assert code == 0
    assert "_GROUNDLING_COMPLETE" in out


def test_completion_answers(monkeypatch, capsys):
    monkeypatch.setenv("_GROUNDLING_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "groundling kno")
    monkeypatch.setenv("COMP_CWORD", "1")
    _, out, _ = invoke(capsys)
    assert out == "plain,knowledge\n"


def test_inputs_of_a_chain():
    assert parse_inputs("q", ("a=1", "b=x=y"), None) == {
        "question": "q",
        "inputs": {"a": "1", "b": "x=y"},
    }
    assert parse_inputs(None, (), '{"question": "네?"}') == {"question": "네?"}
    labels = ("task=classify", 'labels=["a", "b"]', "several=true", "note=[x")
    assert parse_inputs("어디 있나요?", labels, None, "tasks") == {
        "text": "어디 있나요?",
        "task": "classify",
        "labels": ["a", "b"],
        "several": True,
        "note": "[x",
    }
    for wrong in ((None, (), None), (None, ("a",), None), (None, (), "[]"), (None, (), "{")):
        with pytest.raises(click.UsageError):
            parse_inputs(*wrong)


def test_options_of_ask_that_exclude_documents(capsys, tmp_path):
    code, _, err = invoke(capsys, "ask", "x", "--docs", str(tmp_path), "--reasoning")
    assert code == 2
    assert "without documents" in err


@pytest.mark.parametrize("text", ["", "examples = 1", "[[examples]]\nquestion = 'q'", "[["])
def test_a_wrong_examples_file_is_explained(capsys, tmp_path, text):
    file = tmp_path / "examples.toml"
    file.write_text(text, encoding="utf-8")
    code, _, err = invoke(capsys, "ask", "x", "--examples", str(file))
    assert code == 2
    assert "examples.toml" in err


def test_offline_with_nothing_cached_says_what_to_do(capsys, monkeypatch):
    monkeypatch.setenv("GROUNDLING_DOWNLOAD__OFFLINE", "true")
    code, out, err = invoke(capsys, "ask", "hello")
    assert (code, out) == (5, "")
    assert "Next:" in err
