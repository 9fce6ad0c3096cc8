"""`groundling run agent`: steps as events, approvals over several commands, and on a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool

from groundling.cli import _run
from groundling.cli.approving import lines, written
from groundling.cli.output import Shell
from groundling.home import Home
from groundling.tools.ask_person import ask_person
from groundling.tools.risk import with_risk
from tests.scripted import ScriptedChat

SENT: list[str] = []


@tool
def send(text: str) -> str:
    """Send a text to somebody."""
    SENT.append(text)
    return "sent"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs `groundling run` with a scripted model: exit code, stdout and stderr."""
    SENT.clear()
    tools = [with_risk(send, "network"), ask_person()]
    monkeypatch.setattr("groundling.tools.registry.toolkit", lambda *_, **__: tools)

    def call(model: ScriptedChat, *arguments: str, typed: str | None = None) -> Any:
        def opened(*_: Any, **__: Any) -> Home:
            flags: dict[str, Any] = {"memory": {"enabled": False}, "guard": {"enabled": False}}
            made = Home(**flags, facts={"refuted": "off"})
            made.__dict__["model"] = model
            return made

        monkeypatch.setattr("groundling.cli.prepare.open_home", opened)
        monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
        code = _run(Shell(), ["run", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def calling(text: str) -> str:
    return json.dumps({"calls": [{"text": text}]})


@pytest.mark.parametrize("graph", ["agent", "toolbox"])
def test_an_approval_over_two_commands(run: Any, graph: str) -> None:
    model = ScriptedChat([calling("hello")], choices=["send"])
    code, out, err = run(model, graph, "Send hello", "--json")
    shown = json.loads(out)
    assert code == 14
    [call] = shown["waiting"][0]["calls"]
    assert call["args"] == {"text": "hello"}
    assert f"--thread {shown['thread']} --approve all" in err
    model = ScriptedChat(["It was sent."], choices=["none"])
    code, out, _ = run(model, graph, "--thread", shown["thread"], "--approve", call["id"], "--json")
    assert (code, SENT) == (0, ["hello"])
    result = json.loads(out)
    assert result["answer"] == "It was sent."
    assert result["steps"][0]["outcome"] == "done"


@pytest.mark.parametrize(
    ("options", "sent", "outcome"),
    [
        (("--reject", "all", "--reason", "no"), [], "rejected"),
        (("--edit", 'send={"text": "bye"}'), ["bye"], "done"),
    ],
)
def test_rejecting_and_editing(run: Any, options: Any, sent: Any, outcome: str) -> None:
    model = ScriptedChat([calling("hello")], choices=["send"])
    thread = json.loads(run(model, "agent", "Send hello", "--json")[1])["thread"]
    model = ScriptedChat(["Well."], choices=["none"])
    code, out, _ = run(model, "agent", "--thread", thread, *options, "--json")
    assert (code, SENT) == (0, sent)
    assert json.loads(out)["steps"][0]["outcome"] == outcome


def test_a_question_to_the_person(run: Any) -> None:
    asked = json.dumps({"calls": [{"question": "Which year?"}]})
    model = ScriptedChat([asked], choices=["ask_person"])
    code, out, err = run(model, "agent", "How many?", "--json")
    assert (code, json.loads(out)["waiting"][0]["question"]) == (14, "Which year?")
    assert "it asks: Which year?" in json.loads(err)["error"]["message"]
    thread = json.loads(out)["thread"]
    model = ScriptedChat(["In 2021."], choices=["none"])
    code, out, _ = run(model, "agent", "--thread", thread, "--answer", "2021")
    assert (code, out) == (0, "In 2021.\n")


@pytest.mark.parametrize(
    ("typed", "sent"), [("a\n", ["hello"]), ("r\nno\n", []), ('e\n"bye"\n', ["bye"])]
)
def test_a_person_on_a_terminal_is_asked(run: Any, typed: str, sent: list[str]) -> None:
    model = ScriptedChat([calling("hello"), "Well."], choices=["send", "none"])
    code, out, err = run(model, "agent", "Send hello", typed=typed)
    assert (code, SENT) == (0, sent)
    assert 'text = "hello"' in err
    assert "Well." in out


def test_events_come_one_a_line(run: Any) -> None:
    model = ScriptedChat(["Good morning, Mina."], choices=["none"])
    code, out, _ = run(model, "toolbox", "Good morning", "--events")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [each["name"] for each in events if each["event"] == "step"][-1] == "answer"
    tokens = [each["text"] for each in events if each["event"] == "token"]
    assert "".join(tokens) == events[-1]["answer"] == "Good morning, Mina."
    assert events[-1]["event"] == "result"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--approve", "all"), 2, "need --thread"),
        (("--thread", "none", "--approve", "all"), 7, "Nothing waits"),
        (("--thread", "none", "--edit", "send"), 2, "--edit takes"),
    ],
)
def test_what_cannot_be_decided_is_said(run: Any, options: Any, code: int, said: str) -> None:
    got, _, err = run(ScriptedChat(), "agent", *options)
    assert (got, said in err) == (code, True)


def test_every_waiting_call_is_decided(run: Any) -> None:
    several = json.dumps({"calls": [{"text": "a"}, {"text": "b"}]})
    model = ScriptedChat([several], choices=["send"])
    shown = json.loads(run(model, "agent", "Send a and b", "--json")[1])
    first = shown["waiting"][0]["calls"][0]["id"]
    code, _, err = run(ScriptedChat(), "agent", "--thread", shown["thread"], "--approve", first)
    assert code == 2
    assert "Decide on" in err
    wrong = ("--approve", "all", "--reject", "call_x")
    code, _, err = run(ScriptedChat(), "agent", "--thread", shown["thread"], *wrong)
    assert (code, "No call call_x waits" in err, SENT) == (2, True, [])


def test_arguments_are_shown_without_tricks() -> None:
    assert written({"to": "a\u202eb", "n": 1}) == 'to="a\\u202eb", n=1'
    assert lines([]) == []
