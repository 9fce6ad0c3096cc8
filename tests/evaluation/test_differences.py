"""Outputs are compared by what they say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from groundling.evaluation.differences import Step, alike, comparable, differences, fork
from groundling.tracing.packing import decode
from groundling.tracing.payload import encode, message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_it_is_is_like_itself(value):
    assert alike(value, value)
    assert differences(value, value) == []
    assert fork([Step("a", value)], [Step("a", value)]) is None


@given(JSON, JSON)
def test_comparing_never_fails_and_is_symmetric(left, right):
    assert alike(left, right) == alike(right, left)
    assert bool(differences(left, right)) == bool(differences(right, left))


def test_ids_usage_and_timings_of_messages_say_nothing():
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    first = AIMessage("hi", id="a", usage_metadata=usage, response_metadata={"seconds": 1.0})
    second = AIMessage("hi", id="b")
    for write in (lambda said: said, message):
        left, right = ({"messages": [decode(encode(write(one)))]} for one in (first, second))
        assert differences(left, right) == []
    left = {"messages": [decode(encode(first))]}
    assert differences(left, {"messages": [decode(encode(HumanMessage("hi")))]})


def test_an_id_that_is_no_messages_counts():
    assert differences({"document": {"id": 1}}, {"document": {"id": 2}})
    assert comparable({"type": "leave", "id": 3, "content": ""}) == {
        "type": "leave",
        "id": 3,
        "content": "",
    }


def test_tool_calls_and_their_arguments_count():
    def calling(path):
        call = {"name": "read", "args": {"path": path}, "id": "1", "type": "tool_call"}
        return {"messages": [decode(encode(AIMessage("", tool_calls=[call])))]}

    [found] = differences(calling("a.md"), calling("b.md"))
    assert any("a.md" in line for line in found.diff if line.startswith("-"))
    tool = ToolMessage("x", tool_call_id="1")
    assert differences({"m": decode(encode(tool))}, {"m": decode(encode(tool))}) == []


def test_shares_may_differ_by_rounding_and_other_numbers_may_not():
    assert alike(0.70, 0.72)
    assert not alike(0.7, 0.8)
    assert not alike(100.0, 104.0)
    assert not alike(17, 18)
    assert alike(1.0, 1)
    assert not alike(True, 1)


def test_keys_that_came_or_went_are_named():
    found = {each.key: each for each in differences({"a": 1, "b": "x\ny"}, {"a": 1, "c": 2})}
    assert set(found) == {"b", "c"}
    assert (found["b"].after, found["c"].before) == (None, None)
    assert "-x" in found["b"].diff


def test_the_first_node_that_does_otherwise_is_the_fork():
    def steps(*pairs):
        return [Step(node, {"text": text}) for node, text in pairs]

    before = steps(("search", "a"), ("write", "b"), ("search", "c"), ("end", "d"))
    assert fork(before, before) is None
    second = fork(before, steps(("search", "a"), ("write", "b"), ("search", "X"), ("end", "Y")))
    assert (second.node, second.differences[0].before) == ("search", "c")
    shorter = fork(before, steps(("search", "a"), ("write", "b")))
    assert shorter.node == "search"
    assert "did not run this time" in shorter.reason
    longer = fork(before[:2], before)
    assert (longer.node, longer.reason) == ("search", "it did not run then")


def test_nodes_side_by_side_may_end_in_any_order():
    left, right = Step("left", {"l": 1}), Step("right", {"r": 2})
    assert fork([left, right], [right, left]) is None
