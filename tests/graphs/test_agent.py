"""`agent`: documents, tools and neither, guarded, checked, in conversation and after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from groundling.graphs import agent
from groundling.graphs.resources import Resources
from groundling.guardrails.guard import Guard
from groundling.knowledge.base import Knowledge
from groundling.memory.memories import Memories
from groundling.settings import Settings
from groundling.tools.risk import with_risk
from groundling.tools.search import search
from tests.scripted import ScriptedChat

LEAVE = "# Leave\n\nFull-time employees receive 17 days of paid leave a year.\n"
TRAVEL = "# 출장\n\n국내 출장의 숙박비는 1박에 95,000원까지 지급합니다.\n"
THREAD: Any = {"configurable": {"thread_id": "1"}}
SENT: list[str] = []


@tool
def times(a: int, b: int) -> str:
    """Multiply two numbers."""
    return f"{a * b:,}"


@tool
def send(text: str) -> str:
    """Send a text to somebody."""
    SENT.append(text)
    return "sent"


@pytest.fixture
def knowledge(tmp_path: Path) -> Iterator[Knowledge]:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    (folder / "travel.md").write_text(TRAVEL, encoding="utf-8")
    with Knowledge.open(tmp_path / "knowledge", None) as opened:
        opened.add([folder])
        yield opened


def resources(model: ScriptedChat, knowledge: Knowledge, **parts: Any) -> Resources:
    settings = Settings()
    settings.memory.enabled = "memories" in parts
    settings.guard.enabled = "guard" in parts
    settings.facts.refuted = parts.pop("refuted", "off")
    tools = [search(knowledge), with_risk(times, "compute"), with_risk(send, "network")]
    return Resources(settings, model=model, knowledge=knowledge, tools=tools, **parts)


def args(*calls: dict[str, Any]) -> str:
    return json.dumps({"calls": list(calls)})


def test_documents_are_answered_from_as_rag_does(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("search", "none", "yes", "yes")
    scripted.enqueue("Full-time employees receive 17 days of leave.")
    result = built.invoke({"question": "How many days of paid leave do employees receive?"})
    assert result["verdict"] == "answered"
    assert result["answer"].endswith("17 days of leave [1].")
    assert result["citations"][0]["source"].endswith("leave.md")
    assert [step["tool"] for step in result["steps"]] == ["search"]
    over = [turn[-1].text for turn in scripted.prompts if turn[-1].text.startswith("[1] Leave")]
    beginnings = [text.partition("How many days")[0] for text in over]
    assert len(over) == 3  # judged, answered, weighed
    assert len(set(beginnings)) == 1, "all prompts over the passages begin alike"


def test_a_tool_works_on_what_was_found(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("search", "times", "none", "1")
    scripted.enqueue(args({"a": 3, "b": 95000}), "3박의 숙박비는 285,000원입니다.")
    result = built.invoke({"question": "국내 출장 숙박비는 3박에 얼마입니까?"})
    assert result["verdict"] == "answered"
    assert "285,000" in result["answer"]
    assert [step["tool"] for step in result["steps"]] == ["search", "times"]
    assert "285,000" in scripted.prompts[3][-1].text


def test_what_the_documents_do_not_have_is_refused(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("search", "none", "no")
    result = built.invoke({"question": "Do employees receive paid shares?"})
    assert (result["verdict"], result["citations"]) == ("refused", [])
    assert result["messages"][-1].text == result["answer"] == "Not in these documents."


def test_a_draft_that_is_not_supported_does_not_stay(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("search", "none", {"yes": 0.3, "no": 0.7}, "no")
    scripted.enqueue("They receive shares.")
    result = built.invoke({"question": "Do full-time employees receive paid shares?"})
    assert result["verdict"] == "refused"
    assert all("shares." not in message.text for message in result["messages"][1:])


def test_nothing_found_is_refused(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("search", "none")
    assert built.invoke({"question": "xyzzy?"})["verdict"] == "refused"


def test_neither_is_an_unproved_answer(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("none")
    scripted.enqueue("안녕하세요!")
    result = built.invoke({"question": "안녕하세요?"})
    assert (result["answer"], result["verdict"], result["steps"]) == ("안녕하세요!", "unproved", [])


def test_a_tools_result_is_an_answer(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge))
    scripted.enqueue_choice("times", "none")
    scripted.enqueue(args({"a": 6, "b": 7}), "It is 42.")
    assert built.invoke({"question": "6 times 7?"})["verdict"] == "answered"


def test_a_wrong_sum_is_corrected(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge, refuted="correct"))
    scripted.enqueue_choice("none", *["yes"] * 5)
    scripted.enqueue("12 × 31 = 371.", *["12 × 31 = 371."] * 5)
    result = built.invoke({"question": "Say something of 12 and 31."})
    assert "372" in result["answer"]
    assert any(claim["verdict"] == "REFUTED" for claim in result["claims"])
    assert result["messages"][-1].text == result["answer"]


def test_a_blocked_question_ends_there(scripted, knowledge) -> None:
    class Blocking(Guard):
        async def check(self, text, rail, **_):
            return {
                "rail": rail, "outcome": "flag", "action": "block", "text": text,
                "notice": "This is not answered.", "reasons": [],
            }  # fmt: skip

    built = agent.build(resources(scripted, knowledge, guard=Blocking()))
    result = built.invoke({"question": "Something bad"})
    assert (result["verdict"], result["answer"]) == ("blocked", "This is not answered.")
    assert scripted.prompts == []


def test_an_approval_survives_a_restart(scripted, knowledge, tmp_path) -> None:
    SENT.clear()
    parts = resources(scripted, knowledge)
    with SqliteSaver.from_conn_string(str(tmp_path / "state.sqlite")) as saver:
        scripted.enqueue_choice("send")
        scripted.enqueue(args({"text": "hello"}))
        stopped = agent.build(parts, saver).invoke({"question": "Send hello"}, THREAD)
        assert stopped["__interrupt__"][0].value["calls"][0]["args"] == {"text": "hello"}
    with SqliteSaver.from_conn_string(str(tmp_path / "state.sqlite")) as saver:
        scripted.enqueue_choice("none")
        scripted.enqueue("It was sent.")
        result = agent.build(parts, saver).invoke(Command(resume="approve"), THREAD)
    assert (SENT, result["answer"]) == (["hello"], "It was sent.")


def test_a_conversation_stands_on_its_turns(scripted, knowledge) -> None:
    built = agent.build(resources(scripted, knowledge), InMemorySaver())
    scripted.enqueue_choice("search", "none", "yes", "yes")
    scripted.enqueue("Full-time employees receive 17 days of leave.")
    built.invoke({"question": "How many days of leave do employees receive?"}, THREAD)
    scripted.enqueue("Is the leave of employees paid?", "Hello again.")
    scripted.enqueue_choice("none")
    result = built.invoke({"question": "And is it paid?"}, THREAD)
    assert (result["verdict"], result["citations"], result["steps"]) == ("unproved", [], [])
    asked = [turn.text for turn in scripted.prompts[-1] if turn.type == "human"]
    assert len(asked) == 2


def test_what_is_known_of_the_person_reaches_the_answer(scripted, knowledge, tmp_path) -> None:
    memories = Memories.open(tmp_path / "memories.sqlite")
    memories.remember("default", "The person's name is Mina.")
    built = agent.build(resources(scripted, knowledge, memories=memories))
    scripted.enqueue_choice("none", *["no"] * 3)
    scripted.enqueue("Mina.", *['{"facts": []}'] * 3)
    built.invoke({"question": "What is the person's name?"})
    answered = scripted.prompts[1]
    assert "Mina" in answered[-1].text
    assert "Mina" not in answered[0].text
