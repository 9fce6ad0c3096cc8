"""Traces and feedback over HTTP: one's own, filtered, judged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status
from tests.server.live import Live


def trace(
    live: Live, question: str, owner: str | None = None, outputs: Mapping[str, Any] | None = None
) -> UUID:
    """Store a trace of a graph and a model call in it."""
    root, call = uuid4(), uuid4()
    now = time.time_ns() // 1000
    live.services.traces.write(
        [
            Patch(
                id=root, name="rag", run_type="chain", started=now, duration=2000,
                inputs=encode({"question": question}),
                outputs=encode(outputs or {"answer": "25 days", "verdict": "answered"}),
            ),
            Patch(
                id=call, trace=root, parent=root, name="Chat", run_type="llm",
                started=now + 10, duration=1000, inputs=encode({"messages": []}),
            ),
        ]
    )  # fmt: skip
    if owner is not None:
        live.app.people.owners.claim("trace", str(root), owner)
    return root


def asked(client: httpx.Client, **params: Any) -> list[str]:
    answer = client.get("/api/traces", params=params)
    assert answer.status_code == 200, answer.text
    return [each["preview"] for each in answer.json()["traces"]]


def test_traces_are_listed_filtered_and_shown(live: Live, client: httpx.Client) -> None:
    first, second = trace(live, "How many days?"), trace(live, "Who pays?")
    assert asked(client) == ["Who pays?", "How many days?"]
    assert asked(client, limit=1, offset=1) == ["How many days?"]
    assert client.get("/api/traces", params={"limit": 1}).json()["more"] is True
    assert asked(client, text="pays") == ["Who pays?"]
    assert asked(client, graph="rag", status="success", verdict="answered") != []
    assert asked(client, graph="chat") == []
    assert asked(client, since="2999-01-01T00:00:00Z") == []
    shown = client.get(f"/api/traces/{second}").json()
    assert [run["name"] for run in shown["runs"]] == ["rag", "Chat"]
    inner = shown["runs"][1]["id"]
    assert client.get(f"/api/traces/{inner}").json()["trace"] == str(second)
    page = client.get(f"/api/traces/{first}/html")
    assert page.headers["content-disposition"].startswith("attachment")
    assert client.get(f"/api/traces/{uuid4()}").status_code == 404


@pytest.mark.parametrize(
    "params",
    [
        {"feedback": "<>"}, {"status": "nonsense"}, {"limit": "0"}, {"limit": "1e9"},
        {"offset": "-1"}, {"slower": "nan"}, {"since": "yesterday"}, {"text": "x" * 3000},
    ],
)  # fmt: skip
def test_a_bad_filter_is_refused_by_name(client: httpx.Client, params: dict[str, str]) -> None:
    answer = client.get("/api/traces", params=params)
    assert answer.status_code == 422
    assert next(iter(params)) in answer.json()["detail"].lower()


def test_an_answer_is_judged_corrected_and_the_judgement_withdrawn(
    live: Live, client: httpx.Client
) -> None:
    root = trace(live, "How many days?")
    path = f"/api/traces/{root}/feedback"
    made = client.post(path, json={"score": -1, "correction": "30 days", "comment": "wrong"})
    assert made.status_code == 201
    said = made.json()
    assert (said["key"], said["score"], said["correction"]) == ("thumbs", -1, "30 days")
    assert asked(client, feedback="thumbs<0") == ["How many days?"]
    assert client.get(f"/api/traces/{root}").json()["feedback"] == [said]
    changed = client.patch(f"/api/feedback/{said['id']}", json={"score": 1}).json()
    assert (changed["score"], changed["correction"]) == (1, "30 days")
    assert client.delete(f"/api/feedback/{said['id']}").status_code == 204
    assert client.get(path).json() == {"feedback": []}
    assert client.delete(f"/api/feedback/{said['id']}").status_code == 404


def test_feedback_is_of_a_run_in_the_trace(live: Live, client: httpx.Client) -> None:
    one, other = trace(live, "One?"), trace(live, "Other?")
    inner = client.get(f"/api/traces/{one}").json()["runs"][1]["id"]
    path = f"/api/traces/{one}/feedback"
    assert client.post(path, json={"run": inner, "score": 0.5}).json()["key"] == "score"
    assert client.post(path, json={"run": str(other), "score": 1}).status_code == 404
    assert client.post(path, json={"run": str(uuid4()), "score": 1}).status_code == 404
    for body in ({}, {"score": "1"}, {"score": 1e300}, {"run": "x", "score": 1}, {"key": "a b"}):
        assert client.post(path, json=body).status_code == 422


def test_secrets_in_feedback_are_blacked_out(live: Live, client: httpx.Client) -> None:
    root = trace(live, "How?")
    key = "sk-" + "proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"
    body = {"score": -1, "comment": f"use {key}", "correction": {"answer": f"key: {key}"}}
    said = client.post(f"/api/traces/{root}/feedback", json=body)
    assert said.status_code == 201
    assert key not in said.text
    assert key not in client.get(f"/api/traces/{root}").text


def test_others_traces_are_not_there(live: Live, people: dict[str, httpx.Client]) -> None:
    hers, nobodys = trace(live, "Ann's?", "ann"), trace(live, "Nobody's?")
    ann, ben = people["ann"], people["ben"]
    said = ann.post(f"/api/traces/{hers}/feedback", json={"score": 1}).json()
    assert asked(ann) == ["Ann's?"]
    assert asked(ben) == asked(people["root"]) == []
    for each in (hers, nobodys):
        for path in ("", "/html", "/feedback"):
            assert ben.get(f"/api/traces/{each}{path}").status_code == 404
        assert ben.post(f"/api/traces/{each}/feedback", json={"score": 1}).status_code == 404
    assert ben.patch(f"/api/feedback/{said['id']}", json={"score": -1}).status_code == 404
    assert ben.delete(f"/api/feedback/{said['id']}").status_code == 404
    assert len(ann.get(f"/api/traces/{hers}/feedback").json()["feedback"]) == 1


def test_the_local_users_traces_are_all_that_nobody_claimed(live: Live) -> None:
    known = live.app.people
    for n in range(450):  # more than are looked at together
        trace(live, f"{n}?", "ann" if n % 2 else None)
    with live.client() as client:
        assert asked(client, limit=500) == [f"{n}?" for n in reversed(range(0, 450, 2))]
        assert asked(client, limit=3, offset=222) == ["4?", "2?", "0?"]
    assert not known.required


def test_markup_in_a_trace_is_text(live: Live, client: httpx.Client) -> None:
    root = trace(live, "<script>alert(1)</script>", outputs={"answer": "<img onerror=x src=y>"})
    shown = client.get(f"/api/traces/{root}")
    assert shown.headers["content-type"] == "application/json"
    assert shown.headers["x-content-type-options"] == "nosniff"
    page = client.get(f"/api/traces/{root}/html").text
    assert "<script>alert(1)" not in page
    assert "<img onerror" not in page
    assert shown.json()["status"] == Status.SUCCESS
