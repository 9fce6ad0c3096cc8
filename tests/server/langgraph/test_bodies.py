"""Bodies: what is let in, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from groundling.server.bodies import DEEPEST, read_json
from groundling.server.langgraph.answers import chosen, extracted, page
from groundling.server.langgraph.bodies import (
    METADATA_BYTES,
    checked,
    new_thread_id,
    plain_id,
)
from groundling.server.langgraph.requests import RunBody
from groundling.server.langgraph.store import Put
from groundling.server.langgraph.threads import History, ThreadCreate, ThreadSearch
from groundling.server.langgraph.wishes import WISHES, free
from groundling.server.problems import Problem
from groundling.server.sse import as_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

# As it is after it was read: without what JSON has no form for.
PARSED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def request(body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
async def test_a_body_is_json_that_can_be_written_again_or_a_problem(body: bytes):
    try:
        as_json(await read_json(request(body)))
    except Problem as told:
        problem = told
    else:
        return
    assert problem.status == 422
    assert problem.message.startswith("The body is no JSON")


@pytest.mark.parametrize(("deep", "let_in"), [(DEEPEST, True), (DEEPEST + 1, False), (900, False)])
@pytest.mark.parametrize("kind", ["[]", '{"a":}'])
async def test_a_body_may_be_so_deep_and_no_deeper(kind: str, deep: int, let_in: bool):
    open_, close = kind[:-1], kind[-1]
    inner = "1" if kind != "[]" else ""
    body = (open_ * deep + inner + close * deep).encode()
    if let_in:
        as_json({"within": {"an": ["answer", await read_json(request(body))]}})
    else:
        with pytest.raises(Problem, match="nested"):
            await read_json(request(body))


async def test_a_body_that_would_be_a_million_deep_is_refused():
    with pytest.raises(Problem) as told:
        await read_json(request(b"[" * 1_000_000))
    assert told.value.status == 422


@given(PARSED)
def test_whatever_is_asked_of_a_run_is_understood_or_refused_by_name(value: Any):
    problems: dict[str, Problem] = {}
    for name in RunBody.model_fields:
        try:
            checked({"assistant_id": "ask", name: value}, RunBody)
        except Problem as problem:
            problems[name] = problem
    for name, problem in problems.items():
        assert problem.status == 422
        assert (problem.param or "").split(".")[0] == name


@pytest.mark.parametrize(
    ("kind", "body", "name"),
    [
        (RunBody, {}, "assistant_id"),
        (RunBody, {"assistant_id": "a", "stream_mode": ["values", "telepathy"]}, "stream_mode.1"),
        (
            RunBody,
            {"assistant_id": "a", "config": {"recursion_limit": 0}},
            "config.recursion_limit",
        ),
        (RunBody, {"assistant_id": "a", "config": {"tags": ["x", 3]}}, "config.tags.1"),
        (RunBody, {"assistant_id": "a", "command": {"goto": [{"input": 1}]}}, "command.goto"),
        (RunBody, {"assistant_id": "a", "after_seconds": -1}, "after_seconds"),
        (ThreadSearch, {"limit": "10"}, "limit"),
        (ThreadSearch, {"limit": 10**30}, "limit"),
        (ThreadSearch, {"select": "thread_id"}, "select"),
        (ThreadCreate, {"metadata": [1]}, "metadata"),
        (ThreadCreate, {"metadata": {"x": "y" * METADATA_BYTES}}, "metadata"),
        (History, {"before": 3}, "before"),
        (Put, {"namespace": ["a", "b.c"], "key": "k", "value": {}}, "namespace.1"),
        (Put, {"namespace": [], "key": "k", "value": {}}, "namespace"),
        (Put, {"namespace": ["a"], "key": "k", "value": {}, "ttl": 1e300}, "ttl"),
    ],
)
def test_what_is_wrong_is_named(kind: Any, body: dict[str, Any], name: str):
    with pytest.raises(Problem) as told:
        checked(body, kind)
    assert told.value.status == 422
    assert told.value.message.startswith(name)


def test_what_later_clients_send_is_passed_over():
    body = checked({"assistant_id": "ask", "telepathy": True, "feedback_keys": ["a"]}, RunBody)
    assert body.stream_mode == ["values"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"resume": None}, {"resume": None}),
        ({"resume": "yes", "update": None, "goto": []}, {"resume": "yes"}),
        ({"goto": {"node": "a", "input": {"x": 1}}}, {"goto": {"node": "a", "input": {"x": 1}}}),
        ({"goto": ["a", {"node": "b"}]}, {"goto": ["a", {"node": "b", "input": None}]}),
        ({"graph": None, "update": None}, None),
    ],
)
def test_a_command_says_what_was_said(given: dict[str, Any], told: dict[str, Any] | None):
    command = checked({"assistant_id": "a", "command": given}, RunBody).command
    assert command is not None
    assert command.told() == told


@given(st.dictionaries(st.text() | st.sampled_from(sorted(WISHES)), JSON))
def test_a_client_never_sets_what_is_not_its_own(given: dict[str, Any]):
    reserved = ["thread_id", "checkpoint_id", "checkpoint_ns", "__pregel_store", "user_id",
                "langgraph_auth_user", "run_id", "__request_start_time_ms__"]  # fmt: skip
    left = free({**given, **dict.fromkeys(reserved, "forged"), "mine": 1})
    assert not set(left) & {*reserved, *WISHES}
    assert left["mine"] == 1


@pytest.mark.parametrize("text", ["", "..", "a/b", "abc", "0123456", "G0000000", "0" * 31, "é" * 8])
def test_a_thread_cannot_be_called_anything(text: str):
    with pytest.raises(Problem) as told:
        new_thread_id(text)
    assert told.value.status == 422


@given(st.uuids())
def test_a_uuid_is_one_thread_however_it_is_written(id: Any):
    forms = {str(id), str(id).upper(), id.hex}
    assert (
        {plain_id(form) for form in forms} == {new_thread_id(form) for form in forms} == {str(id)}
    )


@given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 30))
def test_pages_are_the_whole_without_gaps(total: int, limit: int, offset: int):
    rows = list(range(total))[offset : offset + limit + 1]
    shown, headers = page(rows, limit, offset)
    assert list(shown) == list(range(total))[offset : offset + limit]
    more = offset + limit < total
    assert ("X-Pagination-Next" in headers) == more
    if more:
        assert headers["X-Pagination-Next"] == str(offset + limit)


def test_fields_are_chosen():
    row = {"values": {"a": 1, "b": 2}, "next": [], "tasks": [1]}
    assert chosen(row, None) == row
    assert chosen(row, ["next", "values.a", "none"]) == {"next": [], "values": {"a": 1}}
    assert chosen(row, ["values.none"]) == {"values": {}}


def test_values_are_extracted():
    row = {"values": {"messages": [{"content": "a"}, {"content": "b"}]}, "metadata": {"x": 1}}
    paths = {
        "last": "values.messages[-1].content",
        "all": "values.messages[*].content",
        "x": "metadata.x",
        "none": "values.nothing[0].more",
        "far": "values.messages[7]",
    }
    told = {"last": "b", "all": ["a", "b"], "x": 1, "none": None, "far": None}
    assert extracted(row, paths) == told


@given(st.text(max_size=60), JSON)
def test_a_path_finds_something_or_nothing(path: str, value: Any):
    extracted({"values": value}, {"it": path, "in": f"values{path}"})
