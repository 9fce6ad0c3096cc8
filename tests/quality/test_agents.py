"""`create_agent` with the default model: it calls a tool, reads the result, answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from groundling.models.chat import ChatLlama

pytestmark = [pytest.mark.quality, pytest.mark.model]


@tool
def leave_days(year: int) -> str:
    """Look up how many days of leave an employee had in a year."""
    return f"In {year} the employee had 23 days of leave."


class Leave(BaseModel):
    """The days of leave in a year."""

    year: int
    days: int


@pytest.fixture(scope="module")
def chat(qwen: Path) -> ChatLlama:
    return ChatLlama(model=str(qwen), context=2048, max_tokens=120)


ASKED = {"messages": [HumanMessage("How many days of leave did the employee have in 2021?")]}


@wrap_model_call
def answer_after_a_result(
    request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]
) -> ModelResponse:
    """Show no tools once one has answered: this model calls what it sees again and again."""
    done = isinstance(request.messages[-1], ToolMessage)
    return handler(request.override(tool_choice="none") if done else request)


def test_the_loop_closes(chat: ChatLlama) -> None:
    agent = create_agent(chat, tools=[leave_days], middleware=[answer_after_a_result])
    state = agent.invoke(ASKED, {"recursion_limit": 8})
    messages = state["messages"]
    assert any(isinstance(message, ToolMessage) for message in messages)
    assert isinstance(messages[-1], AIMessage)
    assert "23" in messages[-1].text


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_an_answer_in_a_form(chat: ChatLlama, strategy: Any) -> None:
    agent = create_agent(chat, tools=[leave_days], response_format=strategy(Leave))
    state = agent.invoke(ASKED, {"recursion_limit": 8})
    assert isinstance(state["structured_response"], Leave)
    assert state["structured_response"].year == 2021


def test_parallel_calls(chat: ChatLlama) -> None:
    asked = "How many days of leave did the employee have in 2021, and how many in 2022?"
    reply = chat.bind_tools([leave_days], tool_choice="any").invoke(asked)
    assert [call["args"] for call in reply.tool_calls] == [{"year": 2021}, {"year": 2022}]
    one = chat.bind_tools([leave_days], tool_choice="any", parallel_tool_calls=False)
    assert len(one.invoke(asked).tool_calls) == 1
