"""From chunks to messages: thoughts apart, calls streamed, nothing lost however it is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from groundling.models.answers import AnswerReader, Thoughts
from groundling.models.calls import Chunk, Usage
from groundling.models.dialects import Tool, dialect_of

USAGE = Usage(10, 4, 5, 0.1, 0.5, 0.2, 6, 3)
ADD = Tool("add", "", '{"type": "object", "properties": {"a": {"type": "integer"}}}')
QWEN = "<tool_call>{{ tools }}"
MARKS = ("<think>", "</think>")


def reader(*, inside: bool = False, markup: re.Pattern[str] | None = None) -> AnswerReader:
    parser = dialect_of(QWEN).parser([ADD])
    return AnswerReader("m.gguf", Thoughts(MARKS, inside), parser, markup)


def chunks(text: str, cuts: list[int]) -> list[Chunk]:
    ends = [*sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return [*map(Chunk, pieces[:-1]), Chunk(pieces[-1], "stop", USAGE)]


def split(text: str, cuts: list[int], *, inside: bool = False) -> tuple[str, str]:
    thoughts = Thoughts(MARKS, inside)
    found = [thoughts.push(chunk.text) for chunk in chunks(text, cuts)] + [thoughts.finish()]
    return "".join(thought for thought, _ in found), "".join(answer for _, answer in found)


@pytest.mark.parametrize(
    ("text", "inside", "wanted"),
    [
        ("Green.", False, ("", "Green.")),
        ("<think>Grass?</think>\n\nGreen.", False, ("Grass?", "Green.")),
        ("\n<think>\nGrass <\n</think>", False, ("\nGrass <\n", "")),
        ("<think>cut </thi", False, ("cut </thi", "")),
        ("Grass?</think> Green. <think>", True, ("Grass?", "Green. <think>")),
        (" <thin", False, ("", " <thin")),
        ("  text", False, ("", "  text")),
        ("", False, ("", "")),
    ],
)
@given(st.data())
def test_thoughts_are_separated_however_they_are_cut(
    text: str, inside: bool, wanted: tuple[str, str], data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    assert split(text, cuts, inside=inside) == wanted


ANSWER = (
    '<think>Hm.</think>Sure.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
)


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
def test_a_message_is_the_same_whole_and_in_pieces(cuts: list[int]) -> None:
    whole = reader().message(chunks(ANSWER, cuts))
    assert whole.content == "Sure."
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("add", {"a": 1})]
    assert [block["type"] for block in whole.content_blocks] == ["reasoning", "text", "tool_call"]
    live = reader()
    first, *rest = filter(None, map(live.read, chunks(ANSWER, cuts)))
    streamed = sum(rest, start=first)
    assert isinstance(streamed, AIMessageChunk)
    assert (streamed.content, streamed.additional_kwargs) == (
        whole.content,
        {"reasoning_content": "Hm."},
    )
    assert streamed.tool_calls[0]["args"] == {"a": 1}
    assert streamed.usage_metadata == whole.usage_metadata
    assert streamed.response_metadata == whole.response_metadata
    # The call's place is behind those of thoughts and text, as LangChain numbers them.
    assert {piece["index"] for piece in streamed.tool_call_chunks} == {2}


def test_what_a_call_cost() -> None:
    message = reader().message(chunks("Hi", []))
    metadata = message.response_metadata
    assert (metadata["queued_seconds"], metadata["drafted_tokens"]) == (0.2, 6)
    assert (metadata["tokens_per_second"], metadata["finish_reason"]) == (10.0, "stop")
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_token_details"] == {"cache_read": 4}


def test_control_tokens_are_no_text() -> None:
    found = reader(markup=re.compile(re.escape("<|eom|>"))).message(chunks("Hi<|eom|> there", []))
    assert found.content == "Hi there"


def test_a_message_names_the_adapters_that_it_was_written_with() -> None:
    for adapters in ([], ["bot", "tone × 0.5"]):
        reader = AnswerReader("m.gguf", Thoughts(MARKS), adapters=adapters)
        message = reader.message(chunks("Hello there", [3, 7]))
        assert message.response_metadata.get("adapters", []) == adapters
