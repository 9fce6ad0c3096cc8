import asyncio
import json

import pytest

from groundling.cli.output import Shell
from groundling.cli.threads import threads
from groundling.errors import MemoriesError, UnknownThread
from groundling.graphs import ask
from groundling.graphs.resources import Resources
from groundling.memory.threads import DURABILITY, Threads, thread_config
from groundling.settings import Settings
from tests.scripted import ScriptedChat


@pytest.fixture
def invoke(capsys):
    """Return what runs `groundling threads …` and returns what it prints."""

    def run(*arguments):
        threads.main([*arguments], standalone_mode=False, obj=Shell())
        out, run.err = capsys.readouterr()
        return json.loads(out) if "--json" in arguments else out

    return run


@pytest.fixture
def said(home):
    """Have two conversations in the home folder."""

    async def fill():
        async with Threads.open(home / "state.sqlite") as kept:
            model = ScriptedChat(["It is a drink.", "네.", "So is coffee."])
            graph = ask.build(Resources(Settings(), model=model), kept.saver)
            for thread, text in (
                ("tea", "What is tea?"),
                ("차", "차는 음료입니까?"),
                ("tea", "And coffee?\x1b[2J"),
            ):
                await graph.ainvoke(
                    {"question": text}, thread_config(thread), durability=DURABILITY
                )

    asyncio.run(fill())


def test_list(invoke, said):
    tea, korean = invoke("list", "--json")
    assert (tea["id"], tea["turns"], tea["title"]) == ("tea", 2, "What is tea?")
    assert korean["id"] == "차"
    lines = invoke("list", "-n", "1").splitlines()
    assert len(lines) == 1
    assert "2 turns" in lines[0]


def test_list_of_none(invoke, home):
    assert invoke("list", "--json") == []
    assert invoke("list") == ""
    assert "groundling chat" in invoke.err


def test_show(invoke, said):
    shown = invoke("show", "last", "--json")
    assert [turn["role"] for turn in shown["messages"]] == ["human", "ai"] * 2
    text = invoke("show", "tea")
    assert "You: What is tea?\nModel: It is a drink.\n" in text
    assert "\x1b" not in text


def test_history_and_fork(invoke, said):
    newest, oldest = invoke("history", "tea", "--json")
    assert newest["parent"] == oldest["id"]
    assert oldest["id"][-8:] in invoke("history", "tea")
    new = invoke("fork", "tea", "--at", oldest["id"][-8:], "--json")["thread"]
    assert invoke("show", new, "--json")["answer"] == "It is a drink."


def test_delete_takes_all_or_none(invoke, said):
    with pytest.raises(UnknownThread, match="nope"):
        invoke("delete", "tea", "nope")
    assert len(invoke("list", "--json")) == 2
    assert invoke("delete", "tea", "차", "tea", "--json") == {"deleted": ["tea", "차"]}
    assert invoke("list", "--json") == []


def test_prune(invoke, said, monkeypatch):
    monkeypatch.setenv("GROUNDLING_CONVERSATION__CHECKPOINTS", "1")
    told = invoke("prune", "--json")
    assert told["removed"] == 1
    assert told["bytes"] > 0
    assert "0 old states removed" in invoke("prune")


@pytest.mark.parametrize("command", ["show", "history", "fork", "delete"])
def test_a_thread_that_is_not_there(invoke, home, command):
    with pytest.raises(UnknownThread, match="conversation"):
        invoke(command, "nope")
    with pytest.raises(UnknownThread, match="no conversation yet"):
        invoke(command, "last")


def test_a_damaged_file(invoke, home):
    home.mkdir()
    (home / "state.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(MemoriesError) as raised:
        invoke("list")
    assert "mv " in raised.value.hint
