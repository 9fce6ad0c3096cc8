import json

import pytest

from groundling.cli.fact import fact
from groundling.facts import checker
from groundling.home import Home
from tests.facts.fakes import Table
from tests.scripted import ScriptedChat

WRONG, RIGHT = "The warranty lasts 24 months.", "The warranty lasts 12 months."
SAID = {WRONG: ("REFUTED", "12 [months]", RIGHT), RIGHT: "SUPPORTED"}


@pytest.fixture
def call(capsys, monkeypatch):
    """Run the command with a source of the test's own, without any model."""
    monkeypatch.setitem(checker.SOURCES, "arithmetic", lambda *_: Table(SAID, "arithmetic"))
    monkeypatch.setitem(checker.SOURCES, "units", lambda *_: "switched off")
    monkeypatch.setattr("groundling.cli.prepare.open_home", lambda shell, **_: Home(**shell.flags))
    monkeypatch.setattr("groundling.models.configured.chat_model", lambda settings: ScriptedChat())

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            fact.main(["check", *arguments], prog_name="groundling fact")
        out = capsys.readouterr()
        return stop.value.code, out.out, out.err

    return run


def test_a_table_says_what_was_found(call):
    code, out, err = call(WRONG)
    assert code == 0
    assert "✗" in out
    assert "12 [months] →" in out
    assert out.endswith(f"{RIGHT}\n")
    assert "did not hold and were corrected: 1" in err
    assert "Not asked: wolfram (no AppID" in err
    assert "there is no knowledge base default" in err
    assert "Not asked: units (switched off)" in err


def test_json_has_everything(call):
    code, out, _ = call(WRONG, "--json", "--refuted", "mark")
    data = json.loads(out)
    assert code == 0
    assert data["verdicts"] == {"REFUTED": 1}
    assert data["answer"] == "The warranty lasts 24 months [refuted: 12 (months)]."
    assert data["claims"][0]["source"] == "arithmetic"
    assert "wolfram" in data["missing"]


def test_strict_fails_where_something_is_refuted(call):
    assert call(WRONG, "--strict")[0] == 1
    assert call(RIGHT, "--strict")[0] == 0


def test_a_text_without_claims_says_so(call):
    code, out, _ = call("Hello! How are you?")
    assert code == 0
    assert "There is nothing to check" in out


@pytest.mark.parametrize("text", ["", "  ", "\u200b"])
def test_an_empty_text_is_a_usage_error(call, text):
    code, _, err = call(text)
    assert code == 2
    assert "The text is empty" in err
