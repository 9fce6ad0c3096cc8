import asyncio
import io
import json
import os
import signal

import pytest

from groundling.cli import _run
from groundling.cli.output import Shell
from groundling.errors import EngineCrashed
from groundling.home import Home
from tests.scripted import ScriptedChat


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def talk(home, monkeypatch, capsys):
    """Return what runs `groundling chat` with a scripted model and returns its events."""

    def run(lines, model, *arguments, terminal=False, code=0):
        def opened(*_, **__):
            opened = Home(memory={"enabled": False}, guard={"enabled": False})
            opened.__dict__["model"] = model
            return opened

        monkeypatch.setattr("groundling.cli.prepare.open_home", opened)
        monkeypatch.setattr("sys.stdin", (Terminal if terminal else io.StringIO)(lines))
        assert _run(Shell(), ["chat", *arguments]) == code
        out, run.err = capsys.readouterr()
        return [json.loads(line) for line in out.splitlines()] if "--json" in arguments else out

    return run


def questions(model):
    return [turn.text for turn in model.prompts[-1] if turn.type == "human"]


def test_turns_are_answered_until_an_empty_line(talk):
    events = talk("Hi\nI am Mina.\n\nnever read\n", ScriptedChat(["Hello.", "Mina!"]), "--json")
    assert [event["answer"] for event in events] == ["Hello.", "Mina!"]
    assert events[0]["thread"] == events[1]["thread"]
    assert events[0]["checkpoint"] != events[1]["checkpoint"]
    assert f"groundling chat --thread {events[0]['thread']}" in talk.err


def test_a_conversation_goes_on_with_c_and_by_its_id(talk):
    [first] = talk("I am Mina.\n", ScriptedChat(["Hello."]), "--json")
    talk("Other.\n", ScriptedChat(["Other."]), "--json")
    model = ScriptedChat(["Mina."])
    [second] = talk("내 이름은?\n", model, "--thread", first["thread"], "--json")
    assert questions(model) == ["I am Mina.", "내 이름은?"]
    model = ScriptedChat(["Again."])
    [third] = talk("Again?\n", model, "-c", "--json")
    assert third["thread"] == second["thread"] == first["thread"]
    assert len(questions(model)) == 3


def test_c_without_a_conversation_begins_one(talk):
    assert talk("Hi\n", ScriptedChat(["Hello."]), "-c") == "Hello.\n"


def test_an_earlier_state_is_gone_on_from_as_a_branch(talk):
    first, _ = talk("a\nb\n", ScriptedChat(["1", "2"]), "--json")
    model = ScriptedChat(["3", "4"])
    talk("c\nd\n", model, "--thread", first["thread"], "--at", first["checkpoint"][-8:], "--json")
    assert questions(model) == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--thread", "nope"], 12, "There is no conversation nope"),
        (["--at", "abcd"], 2, "--at goes with"),
    ],
)
def test_what_is_not_there_is_said(talk, arguments, code, said):
    talk("Hi\n", ScriptedChat(), *arguments, code=code)
    assert said in talk.err


def test_undo_fork_and_help(talk):
    lines = "/help\n/undo\n/fork\na\nb\n/undo\nc\n/fork\nd\n/exit\nnever\n"
    model = ScriptedChat(["1", "2", "3", "4"])
    events = talk(lines, model, "--json", terminal=True)
    assert questions(model) == ["a", "c", "d"]
    assert events[3]["thread"] != events[2]["thread"]
    for said in ("/undo   take back", "nothing to take back", "nothing to copy", "Taken back: b"):
        assert said in talk.err


def test_undo_of_the_first_turn_begins_anew(talk):
    model = ScriptedChat(["1", "2"])
    first, second = talk("a\n/undo\nb\n", model, "--json", terminal=True)
    assert questions(model) == ["b"]
    assert first["thread"] != second["thread"]


def test_in_a_pipe_a_slash_is_text(talk):
    model = ScriptedChat(["A path."])
    talk("/etc/hosts\n", model)
    assert questions(model) == ["/etc/hosts"]


def test_an_error_leaves_the_thread_as_it_was(talk):
    model = ScriptedChat(["1", EngineCrashed("The model's process ended."), "3"])
    events = talk("a\nb\nc\n", model, "--json", terminal=True)
    assert [event["answer"] for event in events] == ["1", "3"]
    assert questions(model) == ["a", "c"]
    assert "process ended" in talk.err


def test_an_error_in_the_first_turn_leaves_no_thread(talk):
    model = ScriptedChat([EngineCrashed("The model's process ended."), "1"])
    [event] = talk("a\nb\n", model, "--json", terminal=True)
    assert questions(model) == ["b"]
    assert event["answer"] == "1"


def test_an_error_in_a_pipe_ends_with_its_code(talk):
    talk("a\n", ScriptedChat([EngineCrashed("The model's process ended.")]), code=4)
    model = ScriptedChat(["Fine."])
    assert talk("b\n", model, "-c") == "Fine.\n"


@pytest.fixture(autouse=True)
def _obedient():
    """Obey SIGINT also where a shell has started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Stopped(ScriptedChat):
    """A model whose person loses patience with its second answer."""

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        if len(self.prompts) == 1:
            self.prompts.append(messages)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(30)
        async for chunk in super()._astream(messages, stop, run_manager, **kwargs):
            yield chunk


def test_ctrl_c_stops_the_answer_and_not_the_conversation(talk):
    model = Stopped(["1", "3"])
    events = talk("a\nb\nc\n", model, "--json", terminal=True)
    assert [event["answer"] for event in events] == ["1", "3"]
    assert questions(model) == ["a", "c"]
    assert "Stopped." in talk.err


def test_ctrl_c_in_a_pipe_ends_with_130_and_keeps_what_was_said(talk):
    talk("a\nb\nc\n", Stopped(["1"]), code=130)
    model = ScriptedChat(["Fine."])
    talk("d\n", model, "-c")
    assert questions(model)[0] == "a"


def test_a_thread_of_a_graph_without_messages_is_refused(talk, home):
    from langgraph.graph import END, START, StateGraph
    from typing_extensions import TypedDict

    from groundling.memory.threads import Threads, thread_config

    class Text(TypedDict):
        text: str

    async def fill():
        async with Threads.open(home / "state.sqlite") as threads:
            graph = StateGraph(Text).add_node("step", lambda state: state)
            graph.add_edge(START, "step").add_edge("step", END)
            compiled = graph.compile(checkpointer=threads.saver)
            compiled = compiled.with_config(metadata={"graph": "tasks"})
            await compiled.ainvoke({"text": "x"}, thread_config("job"), durability="exit")

    asyncio.run(fill())
    talk("Hi\n", ScriptedChat(), "--thread", "job", code=12)
    assert "a run of the graph tasks, not a conversation" in talk.err


def test_notices_are_told(talk):
    class Letters(ScriptedChat):
        def get_num_tokens(self, text):
            return len(text) // 3

    talk("word " * 20_000 + "\n", Letters(["Long."]))
    assert "longer than the model's window" in talk.err
