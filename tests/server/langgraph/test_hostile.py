"""What nobody should send: each is refused with a reason, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.server.langgraph import ROUTES
from tests.server.live import Live

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
IDS = [
    "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%ff%fe", "'%20OR%201=1--", "%25",
    "*", "null", "-1", "0", "x" * 5000, "é", "%F0%9F%98%80", "a%0d%0ab",
    "7d8b7a3e-8f5c-4ad1-9d51-1f5b3a3f3c11",
]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as http:
        yield http


def refused(response: httpx.Response) -> dict[str, Any]:
    """Return what was told; it is a refusal that says why, and leaks nothing."""
    assert 400 <= response.status_code < 500, (response.request.url, response.text)
    told = response.json()
    assert isinstance(told["detail"], str)
    assert told["detail"]
    assert "Traceback" not in response.text
    assert "/home" not in response.text
    return told


@pytest.mark.parametrize("id", IDS)
def test_ids_that_are_none(http: httpx.Client, id: str):
    for route in ROUTES:
        path = route.path.replace("{rest:path}", id)  # type: ignore[attr-defined]
        if "{" not in path:
            continue
        for name in ("thread_id", "run_id", "checkpoint_id", "assistant_id", "namespace"):
            path = path.replace(f"{{{name}}}", id)
        for method in route.methods - {"HEAD"}:  # type: ignore[attr-defined]
            body: Any = {"assistant_id": "probe", "version": 1, "checkpoint": {}}
            options = {} if method in ("GET", "DELETE") else {"json": body}
            refused(http.request(method, path, **options))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=JSON)
def test_bodies_that_are_anything(http: httpx.Client, body: Any):
    for path in (
        "/threads", "/threads/search", "/threads/count", "/threads/prune", "/assistants",
        "/assistants/search", "/runs/wait", "/runs/batch", "/runs/cancel", "/store/items/search",
        "/store/namespaces",
    ):  # fmt: skip
        response = http.post(path, json=body)
        if not response.is_success:
            refused(response)


@pytest.mark.parametrize(
    "raw", [b"{", b"\xff\xfe", b'"\\ud800"', b"[" * 100_000, b"NaN", b'{"a":1,}']
)
def test_bodies_that_are_no_json(http: httpx.Client, raw: bytes):
    headers = {"content-type": "application/json"}
    assert refused(http.post("/runs/wait", content=raw, headers=headers))
    assert refused(http.put("/store/items", content=raw, headers=headers))


def test_bodies_that_are_too_large(http: httpx.Client):
    body = {"metadata": {"x": "y" * 10_000_000}}
    assert http.post("/threads", json=body).status_code == 413
    assert refused(http.post("/threads", json={"metadata": {"x": "y" * 300_000}}))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("webhook", "http://127.0.0.1:1/", "webhook"),
        ("context", {"temperature": "warm"}, "temperature"),
        ("context", {"temperature": -3}, "temperature"),
        ("context", {"seed": 2**40}, "seed"),
        ("context", {"knowledge": "no such base"}, "no such base"),
        ("context", {"knowledge": "../../etc"}, "etc"),
        ("config", {"configurable": {"max_tokens": 0}}, "max_tokens"),
        ("config", {"recursion_limit": -1}, "recursion_limit"),
        ("command", {"goto": "no-such-node"}, "no-such-node"),
        ("checkpoint", {"checkpoint_id": "no-such-state"}, "no-such-state"),
        ("input", "only a text", "input"),
        ("input", {"messages": [{"role": "nobody", "content": "x"}]}, "nobody"),
        ("input", {"messages": [{"role": "user"}]}, "messages"),
        ("input", {"messages": 3}, "messages"),
        ("command", {"update": {"messages": [{"role": "nobody", "content": "x"}]}}, "nobody"),
    ],
)
def test_runs_that_cannot_be(http: httpx.Client, field: str, value: Any, named: str):
    thread = http.post("/threads", json={}).json()["thread_id"]
    http.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "probe", "input": HELLO})
    body = {"assistant_id": "probe", "input": HELLO, field: value}
    response = http.post(f"/threads/{thread}/runs/wait", json=body)
    if response.is_success:  # the run began, and told why it failed
        told = response.json()["__error__"]
        assert named in told["message"] or named in told["error"]
    else:
        assert named in refused(response)["detail"]
    assert http.get(f"/threads/{thread}").json()["status"] in ("idle", "error")
    again = http.post(
        f"/threads/{thread}/runs/wait", json={"assistant_id": "probe", "input": HELLO}
    )
    assert again.json()["messages"][-1]["content"] == "one two three"


@pytest.mark.parametrize("last", ["no-such-event", "999999", "-7", "é".encode().decode("latin-1")])
def test_coming_back_after_an_event_that_never_was(http: httpx.Client, last: str):
    thread = http.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "probe", "input": HELLO, "stream_resumable": True}
    begun = http.post(f"/threads/{thread}/runs/stream", json=body)
    again = begun.headers["location"]
    refused(http.get(again, headers={"Last-Event-ID": last.encode("utf-8")}))


def test_there_are_no_schedules(http: httpx.Client):
    for method, path in [
        ("POST", "/runs/crons"), ("POST", "/runs/crons/search"), ("POST", "/runs/crons/count"),
        ("PATCH", f"/runs/crons/{uuid4()}"), ("DELETE", f"/runs/crons/{uuid4()}"),
        ("POST", f"/threads/{uuid4()}/runs/crons"),
    ]:  # fmt: skip
        options = {"json": {}} if method != "DELETE" else {}
        told = refused(http.request(method, path, **options))
        assert "Schedules are not offered" in told["detail"]


def test_a_thread_of_a_name_in_use_is_not_taken(http: httpx.Client):
    id = str(uuid4())
    http.post("/threads", json={"thread_id": id})
    assert http.post("/threads", json={"thread_id": id.upper()}).status_code == 409


def test_a_batch_with_one_wrong_run_begins_none(http: httpx.Client):
    good = {"assistant_id": "probe", "input": HELLO}
    refused(http.post("/runs/batch", json=[good, {"input": HELLO}]))
    refused(http.post("/runs/batch", json=[]))
    refused(http.post("/runs/batch", json=[good] * 101))
    assert http.post("/runs/cancel", json={"status": "all"}).status_code == 404


def test_a_state_that_nobody_could_read_is_not_written(http: httpx.Client):
    thread = http.post("/threads", json={"metadata": {"graph_id": "probe"}}).json()["thread_id"]
    for values in ({"messages": [{"role": "nobody"}]}, {"messages": {"x": 1}}, ["x"], {"none": 1}):
        refused(http.post(f"/threads/{thread}/state", json={"values": values, "as_node": "ask"}))
    assert http.get(f"/threads/{thread}/state").json()["values"] == {}


def test_nothing_that_was_refused_is_kept(http: httpx.Client):
    wrong = {"supersteps": [{"updates": [{"values": {"note": "x"}, "as_node": "nobody"}]}]}
    refused(http.post("/threads", json={"metadata": {"graph_id": "probe"}, **wrong}))
    refused(http.post("/threads", json=wrong))
    assert http.post("/threads/count", json={}).json() == 0


def test_json_is_what_is_answered_whatever_a_document_holds(http: httpx.Client):
    item = {"namespace": ["a"], "key": "k", "value": {"html": "<script>alert(1)</script>"}}
    http.put("/store/items", json=item)
    response = http.get("/store/items", params={"namespace": "a", "key": "k"})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert json.loads(response.text)["value"] == item["value"]
