"""Tool calls in every family's dialect: found however the text is cut, and held by grammar."""

# What a model writes stays in one line here.
# ruff: noqa: E501

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from groundling.errors import ModelError
from groundling.models.dialects import (
    MOST_CALLS,
    CallArguments,
    CallEnd,
    CallStart,
    Dialect,
    Event,
    Text,
    Tool,
    calls_grammar,
    dialect_of,
    join,
)
from groundling.models.dialects.events import _spoil

ADD = Tool.of(
    {
        "function": {
            "name": "add",
            "description": "Add numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        }
    }
)
GREET = Tool.of(
    {
        "function": {
            "name": "greet",
            "parameters": {"type": "object", "properties": {"who": {"type": "string"}}},
        }
    }
)
TOOLS = (ADD, GREET)
QWEN = "{% if tools %}<tool_call>{% endif %}"
LLAMA = '<|start_header_id|>{"name": x, "parameters": y}{{ tools }}'
NEMO = "[TOOL_CALLS]["
SMALL = "[TOOL_CALLS]name[ARGS]"
GEMMA_3 = "<start_of_turn>"
GEMMA_4 = "<|tool_call>call:<tool_call|>"
FUNCTION_GEMMA = "<start_of_turn><start_function_call>call:"

BOTH = [("add", {"a": 1, "b": 2}), ("greet", {"who": 'K"i\nm'})]
# (template, answer, text outside, calls)
CASES: list[tuple[str, str, str, list[tuple[str, object]]]] = [
    (QWEN, "Grass is green.\n", "Grass is green.\n", []),
    (
        QWEN,
        'Sure.\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>\n'
        '<tool_call>\n{"name": "greet", "arguments": {"who": "K\\"i\\nm"}}\n</tool_call>',
        "Sure.",
        list(BOTH),
    ),
    (QWEN, '```json\n{"name": "add", "arguments": {"a": 1}}\n```\nDone.', "\nDone.", [("add", {"a": 1})]),
    (QWEN, '{{"name": "add", "arguments": {"a": 1}}', "", [("add", {"a": 1})]),
    (QWEN, '<tool_call>{{"name": "add", "arguments": {"a": 1}}}</tool_call>', "", [("add", {"a": 1})]),
    (QWEN, '{"arguments": {"a": 1}, "name": "add"}</tool_call>', "", [("add", {"a": 1})]),
    (QWEN, '<tools>\n{"name": "add", "arguments": {}}\n</tools>', "", [("add", {})]),
    (
        QWEN,
        '{"type": "function", "function": {"name": "add", "arguments": "{\\"a\\": 1}"}}',
        "",
        [("add", {"a": 1})],
    ),
    (QWEN, '[{"name": "add", "arguments": {"a": 1}}, {"name": "add"}]', "", [("add", {"a": 1}), ("add", {})]),
    (QWEN, '```json\n{"name": "Kim", "age": 3}\n```', '```json\n{"name": "Kim", "age": 3}\n```', []),
    (QWEN, 'Use {"name": "add"} like so.', 'Use {"name": "add"} like so.', []),
    (QWEN, "```python\nadd(1)\n```", "```python\nadd(1)\n```", []),
    (QWEN, "a < b\n<b>bold</b> [x] <tool_cal", "a < b\n<b>bold</b> [x] <tool_cal", []),
    (QWEN, '<tool_call>{"name": "other", "arguments": {}}</tool_call>', "", [("other", {})]),
    (LLAMA, '{"name": "add", "parameters": {"a": 1}}; {"name": "greet", "parameters": {}}', "",
     [("add", {"a": 1}), ("greet", {})]),
    (LLAMA, '<|python_tag|>{"name": "add", "parameters": {"a": 1}}', "", [("add", {"a": 1})]),
    (LLAMA, '[add(a=1, b=2), greet(who="K)im")]', "", [("add", {"a": 1, "b": 2}), ("greet", {"who": "K)im"})]),
    (LLAMA, "[1] is a citation", "[1] is a citation", []),
    (NEMO, 'Ok[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}, "id": "123456789"}, {"name": "greet", "arguments": {}}]',
     "Ok", [("add", {"a": 1}), ("greet", {})]),
    (SMALL, '[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]greet[CALL_ID]abcdefghi[ARGS]{"who": "x"}', "",
     [("add", {"a": 1}), ("greet", {"who": "x"})]),
    (GEMMA_3, "Well:\n```tool_code\nprint(add(1, b=2))\n```", "Well:", [("add", {"a": 1, "b": 2})]),
    (GEMMA_3, '[greet(who="Kim")]', "", [("greet", {"who": "Kim"})]),
    (GEMMA_3, '```json\n[{"name": "greet", "parameters": {"who": "Kim"}}]\n```', "", [("greet", {"who": "Kim"})]),
    (GEMMA_4, '<|tool_call>call:add{a:1,b:-2.5}<tool_call|><|tool_call>call:greet{who:<|"|>a "b" <|\n<|"|>}<tool_call|>', "",
     [("add", {"a": 1, "b": -2.5}), ("greet", {"who": 'a "b" <|\n'})]),
    (GEMMA_4, '<|tool_call>call:add{"a": [1,{"x": null}], "b": "q\\"q"}<tool_call|>', "",
     [("add", {"a": [1, {"x": None}], "b": 'q"q'})]),
    (FUNCTION_GEMMA, "<start_function_call>call:greet{who:<escape>Kim, {x}<escape>}<end_function_call>", "",
     [("greet", {"who": "Kim, {x}"})]),
]  # fmt: skip
WRONG = [
    (QWEN, '<tool_call>{"name": "add", "arguments": {"a": 1'),
    (QWEN, '<tool_call>{"name": "add", "arguments": {"a": "x\\'),
    (QWEN, '<tool_call>{"name": "add", "arguments": {"a": 1 "b": 2}}</tool_call>'),
    (QWEN, '<tool_call>{"name": "add", "arguments": [1]}</tool_call>'),
    (QWEN, '<tool_call>{"name": "add", "argum'),
    (QWEN, "<tool_call>add(1)</tool_call>"),
    (QWEN, '<tool_call>{"arguments": {"a": 1}}</tool_call>'),
    (QWEN, '{"name": "add"'),
    (LLAMA, "[add(a=b)]"),
    (NEMO, '[TOOL_CALLS][{"name": "add", "arguments": {"a"'),
    (SMALL, "[TOOL_CALLS]add"),
    (SMALL, "[TOOL_CALLS]add[ARGS]{"),
    (GEMMA_3, "```tool_code\nadd(**x)\n```"),
    (GEMMA_4, "<|tool_call>call:add{a:"),
    (GEMMA_4, "<|tool_call>call:add{a:}<tool_call|>"),
]


def read(source: str, pieces: Sequence[str], most: int = MOST_CALLS) -> list[Event]:
    parser = dialect_of(source).parser(TOOLS, most)
    events: list[Event] = []
    for piece in pieces:
        events += parser.push(piece)
    return join([*events, *parser.finish()])


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def calls(events: Sequence[Event]) -> list[tuple[str | None, str]]:
    return [
        (
            event.name,
            "".join(e.text for e in events if isinstance(e, CallArguments) and e.index == event.index),
        )
        for event in events
        if isinstance(event, CallStart)
    ]  # fmt: skip


@pytest.mark.parametrize(("source", "answer", "outside", "wanted"), CASES)
def test_calls_are_found(
    source: str, answer: str, outside: str, wanted: list[tuple[str, object]]
) -> None:
    events = read(source, [answer])
    assert [(name, json.loads(arguments)) for name, arguments in calls(events)] == wanted
    assert text(events) == outside
    assert [event.error for event in events if isinstance(event, CallEnd)] == [None] * len(wanted)


@pytest.mark.parametrize(("source", "answer"), WRONG)
def test_what_is_no_whole_call_is_invalid_here_and_in_langchain(source: str, answer: str) -> None:
    events = read(source, [answer])
    (end,) = (event for event in events if isinstance(event, CallEnd))
    assert end.error
    ((name, arguments),) = calls(events)
    # LangChain's lenient reading of a stream must not make a call of it either.
    chunk = AIMessageChunk(
        "", tool_call_chunks=[tool_call_chunk(name=name, args=arguments, id="1", index=0)]
    )
    assert not chunk.tool_calls
    assert len(chunk.invalid_tool_calls) == 1
    assert text(events) == ""


@given(st.sampled_from([*[case[:2] for case in CASES], *WRONG]), st.data())
def test_how_the_text_is_cut_makes_no_difference(
    case: tuple[str, str], data: st.DataObject
) -> None:
    source, answer = case
    cuts = sorted(data.draw(st.sets(st.integers(0, len(answer)))))
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert read(source, pieces) == read(source, [answer])


PIECES = [
    "<tool_call>", "</tool_call>", '{"name": "add"', ', "arguments": ', '{"a": 1}', "}", "{", "[",
    "]", "\n", " ", "```", "json", "text", '"', "\\", "[TOOL_CALLS]", "[ARGS]", "add", "call:",
    "<|tool_call>", "<tool_call|>", "<|python_tag|>", "(", ")", "a=1", ",", ":", '<|"|>', ";", "<",
]  # fmt: skip


@given(
    st.sampled_from([QWEN, LLAMA, NEMO, SMALL, GEMMA_3, GEMMA_4, ""]),
    st.lists(st.sampled_from(PIECES), max_size=25),
)
def test_any_mixture_is_read_alike_and_every_call_ends(source: str, pieces: list[str]) -> None:
    whole = read(source, ["".join(pieces)])
    assert read(source, pieces) == whole
    assert read(source, list("".join(pieces))) == whole
    started = [event.index for event in whole if isinstance(event, CallStart)]
    ended = [event.index for event in whole if isinstance(event, CallEnd)]
    assert started == ended == list(range(len(started)))
    if not started:
        assert text(whole) == "".join(pieces) or any(p in ("<tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "<|tool_call>") for p in pieces)  # fmt: skip


@given(st.text(st.sampled_from('{}[]",:\\ax1 \n')))
def test_a_spoiled_ending_cannot_be_mended(arguments: str) -> None:
    made = arguments + _spoil(arguments)
    chunk = AIMessageChunk(
        "", tool_call_chunks=[tool_call_chunk(name="a", args=made, id="", index=0)]
    )
    assert not chunk.tool_calls


def test_a_call_is_streamed_as_it_is_written() -> None:
    parser = dialect_of(QWEN).parser(TOOLS)
    assert parser.push('Yes. <tool_call>\n{"name": "ad') == [Text("Yes.")]
    assert parser.push('d", "arguments": {"a"') == [CallStart(0, "add"), CallArguments(0, '{"a"')]
    assert parser.push(": 12") == [CallArguments(0, ": 12")]
    assert parser.push("}}\n</tool") == [CallArguments(0, "}"), CallEnd(0)]
    assert parser.push("_call>") == []
    assert parser.finish() == []


def test_one_call_at_most() -> None:
    events = read(QWEN, [CASES[1][1]], most=1)
    assert [name for name, _ in calls(events)] == ["add"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (QWEN, "hermes"), (LLAMA, "llama3"), (NEMO, "mistral"), (SMALL, "mistral"),
        (GEMMA_3, "gemma"), (GEMMA_4, "gemma-calls"), (FUNCTION_GEMMA, "gemma-calls"),
        ("", "generic"), (None, "generic"),
    ],
)  # fmt: skip
def test_the_template_tells_the_dialect(source: str | None, name: str) -> None:
    assert dialect_of(source).name == name


def written(dialect: Dialect, wanted: Sequence[tuple[str, object]]) -> str:
    """Write calls as the dialect's frame has them."""
    frame = dialect.frame
    each = [f"{frame.head(name)}{json.dumps(args)}{frame.tail}" for name, args in wanted]
    return f"{frame.opening}{frame.before}{frame.between.join(each)}{frame.after}"


@pytest.mark.parametrize("source", [QWEN, LLAMA, NEMO, SMALL, GEMMA_3, GEMMA_4, FUNCTION_GEMMA, ""])
def test_what_a_grammar_forces_is_what_the_parser_reads(source: str) -> None:
    dialect = dialect_of(source)
    assert dialect.grammar(TOOLS).text.startswith("tool0-")
    events = read(source, [written(dialect, BOTH)])
    found = [(name, json.loads(arguments)) for name, arguments in calls(events)]
    assert found == BOTH[: dialect.most]


def tool(name: str, schema: dict[str, object]) -> Tool:
    return Tool.of({"function": {"name": name, "parameters": schema}})


def test_grammars_of_hard_schemas() -> None:
    frame = dialect_of("").frame
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}},
    }
    recursive = tool(
        "walk", {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": node}}
    )
    union = tool(
        "either", {"type": "object", "properties": {"x": {"type": ["string", "integer", "null"]}}}
    )
    large = tool(
        "pick", {"type": "object", "properties": {"x": {"enum": [f"o{n}" for n in range(900)]}}}
    )
    assert "walk" in calls_grammar(frame, (recursive, union, large, ADD)).text
    huge = tool("pick", {"type": "object", "properties": {"x": {"enum": list(range(100_000))}}})
    nowhere = tool("lost", {"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}})
    for wrong in (huge, nowhere):
        with pytest.raises(ModelError, match=f"The tool '{wrong.name}'"):
            calls_grammar(frame, (ADD, wrong))
    pattern = tool("code", {"type": "object", "properties": {"x": {"pattern": "(?=a)b"}}})
    calls_grammar(frame, (pattern,))
    with pytest.raises(ModelError, match="The tool 'code'"):
        calls_grammar(frame, (pattern,), strict=True)
