import asyncio

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

import groundling.middleware
from groundling.facts.checker import FactChecker
from groundling.facts.evidence import KnowledgeSource
from groundling.middleware import FactCheck
from groundling.middleware.facts import results
from tests.facts.fakes import Table
from tests.scripted import ScriptedChat

WRONG, RIGHT = "The warranty lasts 24 months.", "The warranty lasts 12 months."
SAID = {WRONG: ("REFUTED", "12 months", RIGHT), RIGHT: "SUPPORTED"}


@tool
def look_up(product: str) -> str:
    """Look up a product."""
    return f"{product}: The warranty lasts 12 months. Batteries are not covered."


def agent(model, check):
    return create_agent(model, [look_up], middleware=[check])


def call(tool_name, **arguments):
    return AIMessage("", tool_calls=[{"name": tool_name, "args": arguments, "id": "c1"}])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_last_answer_is_corrected_under_its_id(asynchronous):
    model = ScriptedChat([AIMessage(WRONG, id="m1")])
    built = agent(model, FactCheck(FactChecker([Table(SAID)], mending="correct")))
    given = {"messages": [HumanMessage("How long?")]}
    result = asyncio.run(built.ainvoke(given)) if asynchronous else built.invoke(given)
    answers = [one for one in result["messages"] if isinstance(one, AIMessage)]
    assert [one.text for one in answers] == [RIGHT]
    assert answers[0].additional_kwargs["claims"] == result["claims"]
    assert answers[0].response_metadata["facts"] == {"REFUTED": 1}
    assert result["claims"][0]["verdict"] == "REFUTED"


def test_the_answer_is_held_against_what_the_tools_returned():
    model = ScriptedChat([call("look_up", product="Phone"), WRONG])
    judge = ScriptedChat()
    judge.enqueue_choice("true", "true")  # of the claim, overruled by its number; corrected
    check = FactCheck(FactChecker([KnowledgeSource(None, judge)], mending="correct"))
    result = agent(model, check).invoke({"messages": [HumanMessage("How long?")]})
    assert result["messages"][-1].text == RIGHT
    [claim] = result["claims"]
    assert claim["evidence"] == "Phone: The warranty lasts 12 months."
    assert claim["place"].startswith("look_up, characters")


def test_marking_is_a_choice():
    check = FactCheck(sources=[Table(SAID)], refuted="mark")
    result = agent(ScriptedChat([WRONG]), check).invoke({"messages": [HumanMessage("?")]})
    assert result["messages"][-1].text == "The warranty lasts 24 months [refuted: 12 months]."


def test_it_runs_inside_a_running_loop():
    async def notebook():
        built = agent(ScriptedChat([WRONG]), FactCheck(sources=[Table(SAID)]))
        return built.invoke({"messages": [HumanMessage("?")]})

    assert asyncio.run(notebook())["messages"][-1].text == RIGHT


def test_only_results_of_this_turn_count():
    messages = [
        ToolMessage("old", tool_call_id="a", name="t"),
        HumanMessage("?"),
        ToolMessage("new", tool_call_id="b", name="t"),
        ToolMessage("failed", tool_call_id="c", name="t", status="error"),
    ]
    assert [one.text for one in results(messages)] == ["new"]


def test_names_are_imported_when_they_are_asked_for():
    assert groundling.middleware.FactCheck is FactCheck
    with pytest.raises(AttributeError, match="Nothing"):
        _ = groundling.middleware.Nothing
