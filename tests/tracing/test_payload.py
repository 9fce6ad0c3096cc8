"""Any object becomes JSON, of bounded size, without an error."""

from __future__ import annotations

import dataclasses
import enum
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, SecretStr

from groundling.tracing.packing import decode, pack, shorten, unpack
from groundling.tracing.payload import encode, message, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: object


class Account(BaseModel):
    name: str
    key: SecretStr


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no name")


@given(JSON)
def test_json_stays_as_it_is(value):
    assert decode(unpack(pack(encode(value)))) == json.loads(
        json.dumps(value).encode("utf-8", "replace")
    )


@given(st.recursive(st.text() | st.binary() | st.floats() | st.integers(), st.lists))
def test_anything_at_all_becomes_json(value):
    json.loads(encode({"value": value}))
    json.dumps(plain(value), allow_nan=False)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED, Point(1, Point(2, 3)), Account(name="a", key=SecretStr("hunter2")), Broken(),
        uuid.uuid4(), datetime.now(UTC), Path("/tmp"), {1: 2, None: 3, (1, 2): 4}, {1, 2}, b"\xff",
        np.arange(3), np.zeros((5000, 5000)), np.float32(1.5), 2**100, float("nan"), "\ud800", int,
        ValueError("no"), lambda: None, Document(page_content="text", metadata={"a": 1}),
        (Broken(), {"deep": [Broken()]}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_odd_objects_do_not_stop_a_run(value):
    written = encode({"value": value})
    assert len(written) < 10_000
    assert b"hunter2" not in written
    json.loads(written)


def test_cycles_and_depth_end():
    cycle: dict[str, object] = {"name": "loop"}
    cycle["self"] = cycle
    assert decode(encode(cycle)) == {"name": "loop", "self": "<cycle>"}
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert b"<too deep>" in encode(deep)
    shared = ["twice"]
    assert plain({"a": shared, "b": shared}) == {"a": ["twice"], "b": ["twice"]}


@pytest.mark.parametrize(
    "said",
    [
        HumanMessage("질문", id="1"),
        SystemMessage([{"type": "text", "text": "be brief"}]),
        ToolMessage("42", tool_call_id="1", status="error"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "1", "type": "tool_call"}]),
    ],
)
def test_messages_are_written_as_langchain_does(said):
    written, theirs = decode(encode(message(said))), dumpd(said)
    assert written["id"] == theirs["id"]
    # LangChain writes empty lists of tool calls, too, for messages that have some of a kind.
    assert written["kwargs"] == {k: v for k, v in theirs["kwargs"].items() if v != []}


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(200, 5000))
def test_what_is_too_long_is_shortened_and_says_so(texts, limit):
    value = {"texts": [text * 500 for text in texts], "end": 1}
    written = encode(value, limit=limit)
    assert len(written) <= max(limit, 400)
    if len(encode(value)) > limit:
        assert b"characters>" in written or b"shortened" in written


def test_fifty_megabytes_are_shortened():
    written = encode({"page": "가나다 " * 5_000_000, "question": "how long?"})
    assert len(written) <= 4_000_000
    assert decode(written)["question"] == "how long?"


def test_shortening_keeps_what_is_short():
    value = {"answer": "17", "context": "x" * 10_000}
    cut = decode(shorten(encode(value), 2_000))
    assert cut["answer"] == "17"
    assert cut["context"].endswith("<10000 characters>")
