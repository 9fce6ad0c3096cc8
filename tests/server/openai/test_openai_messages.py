"""From OpenAI's messages to LangChain's; what cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from groundling.server.openai.asked import Function, chosen_tools
from groundling.server.openai.messages import conversation
from groundling.server.openai.response_items import items_of, messages_of
from groundling.server.problems import Problem

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LIKELY = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]) | JSON},
    optional={
        "content": st.text() | st.lists(st.fixed_dictionaries({"type": st.just("text")})) | JSON,
        "tool_calls": st.lists(st.just(CALL) | JSON) | JSON,
        "tool_call_id": st.text() | JSON,
        "name": JSON,
    },
)


def test_every_role_is_read():
    read = conversation(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "grass"},
            {"role": "assistant", "refusal": "No.", "content": None},
            {"role": "user", "content": "go on", "name": "ann"},
        ]
    )
    assert [type(one) for one in read] == [
        SystemMessage, SystemMessage, HumanMessage, AIMessage, ToolMessage, AIMessage, HumanMessage,
    ]  # fmt: skip
    assert [one.text for one in read] == [
        "Be brief.",
        "Be kind.",
        "ab",
        "",
        "grass",
        "No.",
        "go on",
    ]
    assert read[3].tool_calls[0]["args"] == {"x": 1}
    assert read[6].name == "ann"


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ("hello", "messages[0]"),
        ({"role": "wizard", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": 5}]}, "messages[0].content[0]"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0]"),
        (
            {
                "role": "assistant",
                "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "["}}],
            },
            "messages[0].tool_calls[0]",
        ),
        ({"role": "assistant", "function_call": {}}, "messages[0].function_call"),
        ({"role": "user", "content": "x", "name": 5}, "messages[0].name"),
    ],
)
def test_what_cannot_be_read_is_named(message: Any, where: str):
    with pytest.raises(Problem) as error:
        conversation([message])
    assert (error.value.status, error.value.param) == (400, where)


def refused(read: Callable[[], object]) -> Problem | None:
    """Return how something was refused; None: it was read."""
    try:
        read()
    except Problem as problem:
        return problem
    return None


@given(st.lists(LIKELY | JSON, max_size=4))
def test_any_json_is_read_or_refused_by_name(messages: list[Any]):
    problem = refused(lambda: conversation(messages))
    assert problem is None or (problem.status, bool(problem.param)) == (400, True)


@given(st.text() | st.lists(LIKELY | JSON, max_size=4))
def test_any_input_of_a_response_is_read_or_refused(given_input: Any):
    problem = refused(lambda: messages_of(items_of(given_input), "Be brief."))
    assert problem is None or problem.status == 400


def test_calls_of_one_turn_are_one_message_and_thoughts_are_left_out():
    call = {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"}
    read = messages_of(
        [
            {"type": "message", "role": "user", "content": "grass?"},
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": "Let me see."},
            call,
            {**call, "call_id": "b"},
            {"type": "function_call_output", "call_id": "a", "output": "green"},
        ],
        "Be brief.",
    )
    assert [type(one) for one in read] == [SystemMessage, HumanMessage, AIMessage, ToolMessage]
    assert read[2].text == "Let me see."
    assert [one["id"] for one in read[2].tool_calls] == ["a", "b"]


LOOK, TAKE = Function(name="look"), Function(name="take")


@pytest.mark.parametrize(
    ("choice", "names", "chosen"),
    [
        (None, ["look", "take"], None),
        ("auto", ["look", "take"], "auto"),
        ("none", ["look", "take"], "none"),
        ("required", ["look", "take"], "required"),
        ({"type": "function", "function": {"name": "take"}}, ["take"], "take"),
        ({"type": "function", "name": "take"}, ["take"], "take"),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "look"}}],
                },
            },
            ["look"],
            "required",
        ),
    ],
)
def test_a_choice_of_tools_is_read_as_either_interface_writes_it(choice, names, chosen):
    tools, kind = chosen_tools([LOOK, TAKE], choice)
    assert [tool["function"]["name"] for tool in tools] == names
    assert kind == chosen


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ([LOOK], "any"),
        ([LOOK], {"type": "function", "function": {"name": "take"}}),
        ([LOOK], {"type": "custom", "name": "look"}),
        ([LOOK], {"type": "function"}),
        ([LOOK], {"type": "allowed_tools", "allowed_tools": 5}),
        ([], "required"),
        ([LOOK, LOOK], "auto"),
        ([Function(name=f"f{n}") for n in range(129)], None),
    ],
)
def test_a_choice_that_there_is_not_is_refused(tools, choice):
    with pytest.raises(Problem) as error:
        chosen_tools(tools, choice)
    assert error.value.status == 400
