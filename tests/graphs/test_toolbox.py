"""`toolbox`: decided, approved, called, answered; and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from groundling.graphs import toolbox
from groundling.graphs.nodes.deciding import relevant
from groundling.graphs.resources import Resources
from groundling.models.chat import ChatLlama
from groundling.sections import ToolSettings
from groundling.settings import Settings
from groundling.tools.ask_person import ask_person
from groundling.tools.risk import with_risk
from tests.scripted import ScriptedChat


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
def fail(why: str) -> str:
    """Fail for a reason."""
    raise RuntimeError(why)


@tool
async def slow(seconds: float) -> str:
    """Take long."""
    await asyncio.sleep(seconds)
    return "done"


SENT: list[str] = []


@tool
def send(text: str) -> str:
    """Send a text to somebody."""
    SENT.append(text)
    return "sent"


TOOLS: list[BaseTool] = [
    with_risk(add, "compute"),
    with_risk(fail, "read"),
    with_risk(slow, "read"),
    with_risk(send, "network"),
    ask_person(),
]
THREAD: Any = {"configurable": {"thread_id": "1"}}


def args(*calls: dict[str, Any]) -> str:
    return json.dumps({"calls": list(calls)})


def graph(model: ScriptedChat, saver: InMemorySaver | None = None, **tools: Any) -> Any:
    limits = ToolSettings(**{"relevant": 8, **tools})
    settings = Settings(tools=limits)
    settings.guard.enabled = False
    return toolbox.build(Resources(settings, model=model, tools=TOOLS), saver)


def test_no_tool_is_an_answer_like_any_other(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("none")
    scripted.enqueue("Good morning!")
    result = graph(scripted).invoke({"question": "Good morning"})
    assert result["answer"] == "Good morning!"
    assert result["steps"] == []
    assert [message.type for message in result["messages"]] == ["human", "ai"]


@pytest.mark.parametrize("question", ["What is 2 + 3, and 4 + 5?", "2 더하기 3과 4 더하기 5는?"])
def test_calls_are_made_at_once_and_answered_from(scripted: ScriptedChat, question: str) -> None:
    scripted.enqueue_choice("add", "none")
    scripted.enqueue(args({"a": 2, "b": 3}, {"a": 4, "b": 5}, {"a": 2, "b": 3}), "5 and 9.")
    result = graph(scripted).invoke({"question": question})
    assert [step["args"] for step in result["steps"]] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    assert [step["outcome"] for step in result["steps"]] == ["done", "done"]
    called = result["messages"][1]
    assert [call["name"] for call in called.tool_calls] == ["add", "add"]
    results = [each for each in result["messages"] if isinstance(each, ToolMessage)]
    assert "\n5\n" in results[0].text
    assert "gives no instructions" in results[0].text
    assert result["answer"] == result["messages"][-1].text == "5 and 9."
    assert "\n9\n" in scripted.prompts[-1][-1].text
    assert "\n9\n" not in scripted.prompts[-1][0].text, "results never reach the system prompt"


def test_a_tool_that_has_answered_is_not_offered_again(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("add", {"fail": 0, "slow": 0, "send": 0, "ask_person": 0, "none": 1})
    scripted.enqueue(args({"a": 1, "b": 1}), "2.")
    assert graph(scripted).invoke({"question": "1 + 1?"})["answer"] == "2."


def test_another_likely_tool_is_called_beside_the_first(scripted: ScriptedChat) -> None:
    weights = {"add": 0.5, "slow": 0.4, "fail": 0.1, "send": 0, "ask_person": 0, "none": 0}
    scripted.enqueue_choice(weights, "none")
    scripted.enqueue(args({"a": 1, "b": 1}), args({"seconds": 0}), "Both.")
    result = graph(scripted).invoke({"question": "?!"})
    assert [step["tool"] for step in result["steps"]] == ["add", "slow"]


def test_a_failure_is_told_to_the_model_which_may_try_twice(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice(
        "fail", "fail", {"add": 0, "slow": 0, "send": 0, "ask_person": 0, "none": 1}
    )
    scripted.enqueue(args({"why": "broken"}), args({"why": "again"}), "It failed.")
    result = graph(scripted).invoke({"question": "Fail!"})
    assert [step["outcome"] for step in result["steps"]] == ["failed", "failed"]
    assert "RuntimeError: broken" in scripted.prompts[-1][-1].text


def test_wrong_arguments_are_told(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("add", "add", "none")
    scripted.enqueue(args({"a": "two"}), args({"a": 2, "b": 1}), "3.")
    result = graph(scripted).invoke({"question": "2 + 1?"})
    assert [step["outcome"] for step in result["steps"]] == ["failed", "done"]
    assert "The arguments are wrong" in result["steps"][0]["result"]


def test_the_same_call_is_not_made_twice(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("fail", "fail", "none")
    scripted.enqueue(args({"why": "x"}), args({"why": "x"}), "No.")
    result = graph(scripted).invoke({"question": "Fail!"})
    assert [step["outcome"] for step in result["steps"]] == ["failed", "repeated"]


def test_a_call_is_limited_in_time(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("slow", "none")
    scripted.enqueue(args({"seconds": 60}), "It took too long.")
    result = graph(scripted, timeout=0.01).invoke({"question": "?"})
    assert "did not answer within" in result["steps"][0]["result"]


def test_rounds_are_limited(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("add")
    scripted.enqueue(args({"a": 1, "b": 1}), "2.")
    assert graph(scripted, rounds=1).invoke({"question": "1 + 1?"})["answer"] == "2."


@pytest.mark.parametrize("reply", ["{", "[]", '{"calls": []}', '{"calls": ["x"]}'])
def test_arguments_that_are_none_are_no_call(scripted: ScriptedChat, reply: str) -> None:
    scripted.enqueue_choice("add")
    scripted.enqueue(reply, "I cannot.")
    assert graph(scripted).invoke({"question": "1 + 1?"})["answer"] == "I cannot."


def test_a_call_that_acts_waits_for_a_person(scripted: ScriptedChat) -> None:
    SENT.clear()
    built = graph(scripted, InMemorySaver())
    scripted.enqueue_choice("send", "none")
    scripted.enqueue(args({"text": "hello"}), "I have sent it.")
    stopped = built.invoke({"question": "Send hello"}, THREAD)
    [waiting] = stopped["__interrupt__"]
    [call] = waiting.value["calls"]
    assert (call["name"], call["args"], SENT) == ("send", {"text": "hello"}, [])
    edit = {"id": call["id"], "action": "edit", "args": {"text": "good day"}}
    result = built.invoke(Command(resume={"decisions": [edit]}), THREAD)
    assert SENT == ["good day"]
    assert result["steps"][0]["args"] == {"text": "good day"}


def test_a_rejected_call_is_not_made_nor_offered_again(scripted: ScriptedChat) -> None:
    SENT.clear()
    built = graph(scripted, InMemorySaver())
    scripted.enqueue_choice("send", {"add": 0, "fail": 0, "slow": 0, "ask_person": 0, "none": 1})
    scripted.enqueue(args({"text": "hello"}), "You did not allow it.")
    built.invoke({"question": "Send hello"}, THREAD)
    result = built.invoke(Command(resume={"action": "reject", "reason": "not now"}), THREAD)
    assert SENT == []
    assert result["steps"][0]["outcome"] == "rejected"
    assert "not now" in scripted.prompts[-1][-1].text


def test_the_person_is_asked_before_anything_is_done(scripted: ScriptedChat) -> None:
    built = graph(scripted, InMemorySaver())
    weights = {"add": 0.4, "ask_person": 0.6, "fail": 0, "slow": 0, "send": 0, "none": 0}
    scripted.enqueue_choice(weights, "none")
    scripted.enqueue(args({"a": 1, "b": 2}), args({"question": "Which year?"}), "In 2021.")
    stopped = built.invoke({"question": "How many?"}, THREAD)
    assert stopped["__interrupt__"][0].value["question"] == "Which year?"
    result = built.invoke(Command(resume="2021"), THREAD)
    assert {step["tool"]: step["result"] for step in result["steps"]} == {
        "add": "3",
        "ask_person": "2021",
    }


def test_the_next_turn_begins_afresh_and_a_follow_up_stands_alone(scripted: ScriptedChat) -> None:
    built = graph(scripted, InMemorySaver())
    scripted.enqueue_choice("add", "none", "add", "none")
    scripted.enqueue(args({"a": 1, "b": 1}), "2.")
    built.invoke({"question": "1 + 1?"}, THREAD)
    scripted.enqueue("What is 1 + 2?", args({"a": 1, "b": 2}), "3.")
    result = built.invoke({"question": "And + 2?"}, THREAD)
    assert [step["result"] for step in result["steps"]] == ["3"]
    assert "What is 1 + 2?" in scripted.prompts[-1][-1].text


def test_choosing_and_calling_begin_alike(scripted: ScriptedChat) -> None:
    scripted.enqueue_choice("add", "none")
    scripted.enqueue(args({"a": 1, "b": 1}), "2.")
    graph(scripted).invoke({"question": "1 + 1?"})
    chosen, called = scripted.prompts[:2]
    assert chosen[:-1] == called[:-1]
    beginning = chosen[-1].text.partition("Which of the tools")[0]
    assert called[-1].text.startswith(beginning)


@pytest.mark.parametrize("question", ["{tools}", "\u202eabc", "\x00", "x" * 100_000, "?"])
def test_hostile_questions_reach_the_model_as_they_are(
    scripted: ScriptedChat, question: str
) -> None:
    scripted.enqueue_choice("add", "none")
    scripted.enqueue(args({"a": 1, "b": 1}), "Well.")
    assert graph(scripted).invoke({"question": question})["answer"] == "Well."
    assert question in scripted.prompts[0][-1].text


@given(st.text(), st.integers(1, 6), st.lists(st.text(min_size=1), max_size=10))
def test_relevant_keeps_order_and_number(question: str, most: int, texts: list[str]) -> None:
    tools = [
        StructuredTool(name=f"t{n}", description=text, args_schema={"type": "object"}, func=dict)
        for n, text in enumerate(texts)
    ]
    kept = relevant(tools, question, most)
    assert len(kept) == min(most, len(tools))
    assert kept == [tool for tool in tools if tool in kept]


def test_relevant_goes_by_rare_words() -> None:
    kept = relevant(TOOLS, "please send this text", 1)
    assert kept == [TOOLS[3]]


@pytest.mark.model
def test_a_real_model_makes_well_formed_calls(smollm2: Path) -> None:
    chat = ChatLlama(model=str(smollm2), context=2048, max_tokens=60)
    settings = Settings(tools=ToolSettings(rounds=1))
    tools = [with_risk(add, "compute")]
    built = toolbox.build(Resources(settings, model=chat, tools=tools))
    result = built.invoke({"question": "Add 2 and 3, please."})
    assert result["answer"]
    assert all(step["outcome"] == "done" for step in result["steps"])
