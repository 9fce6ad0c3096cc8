"""Memories over HTTP: each person's own."""

from __future__ import annotations

import httpx
import pytest

from tests.scripted import ScriptedChat
from tests.server.live import Live, serving


def test_a_fact_is_kept_found_put_right_and_forgotten(client: httpx.Client) -> None:
    made = client.post("/api/memories", json={"text": "lives in Busan", "kind": "home"})
    assert made.status_code == 201
    number = made.json()["id"]
    found = client.get("/api/memories/search", params={"query": "Where do I live?"}).json()
    assert [each["text"] for each in found["memories"]] == ["lives in Busan"]
    assert client.get(f"/api/memories/{number}").json()["uses"] == 0  # looking is no use

    changed = client.patch(f"/api/memories/{number}", json={"text": "lives in Seoul"})
    assert (changed.json()["text"], changed.json()["kind"]) == ("lives in Seoul", "home")
    new = client.post(
        "/api/memories", json={"text": "lives in Daegu", "kind": "home", "supersedes": number}
    ).json()
    shown = client.get(f"/api/memories/{new['id']}").json()
    assert [each["text"] for each in shown["history"]] == ["lives in Seoul"]
    assert len(client.get("/api/memories").json()["memories"]) == 1
    every = client.get("/api/memories", params={"superseded": "true"}).json()["memories"]
    assert len(every) == 2
    assert client.delete(f"/api/memories/{new['id']}").json() == {"forgotten": 2}
    assert client.get(f"/api/memories/{new['id']}").status_code == 404


def test_all_is_forgotten_only_when_it_is_said(client: httpx.Client) -> None:
    for text in ("has a dog", "likes tea"):
        client.post("/api/memories", json={"text": text})
    for params in ({}, {"all": "false"}, {"all": "yes"}):
        assert client.delete("/api/memories", params=params).status_code == 422
    assert client.delete("/api/memories", params={"all": "true"}).json() == {"forgotten": 2}
    assert client.get("/api/memories").json() == {"memories": []}


def test_a_bad_fact_is_refused_by_name(client: httpx.Client) -> None:
    for body, word in (
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": 5}, "text"),
        ({"text": "a", "kind": "nonsense"}, "kind"),
        ({"text": "a", "colour": "red"}, "colour"),
        ({"text": "a", "supersedes": -1}, "supersedes"),
        ({"text": "x" * 501}, "501"),
    ):
        answer = client.post("/api/memories", json=body)
        assert answer.status_code == 422, answer.text
        assert word in answer.json()["detail"]
    assert client.post("/api/memories", json={"text": "a", "supersedes": 9}).status_code == 404


def test_what_others_know_is_not_there(people: dict[str, httpx.Client]) -> None:
    ann, ben = people["ann"], people["ben"]
    number = ann.post("/api/memories", json={"text": "has a secret garden"}).json()["id"]
    assert ben.get("/api/memories").json() == {"memories": []}
    asked = {"query": "secret garden"}
    assert ben.get("/api/memories/search", params=asked).json() == {"memories": []}
    assert ben.get(f"/api/memories/{number}").status_code == 404
    assert ben.patch(f"/api/memories/{number}", json={"text": "mine"}).status_code == 404
    assert ben.delete(f"/api/memories/{number}").status_code == 404
    stolen = {"text": "mine", "supersedes": number}
    assert ben.post("/api/memories", json=stolen).status_code == 404
    assert ben.delete("/api/memories", params={"all": "true"}).json() == {"forgotten": 0}
    assert ann.get(f"/api/memories/{number}").json()["text"] == "has a secret garden"
    assert people["carl"].post("/api/memories", json={"text": "reads"}).status_code == 201


def test_where_nothing_is_remembered_it_is_said() -> None:
    with serving(model=ScriptedChat(), memory={"enabled": False}) as live, live.client() as client:
        answer = client.get("/api/memories")
        assert answer.status_code == 409
        assert "memory.enabled" in answer.json()["hint"]


@pytest.mark.parametrize("number", ["0", "9" * 15, "9" * 16, "9" * 5000, "-1", "1.5", "abc"])
def test_a_number_that_none_has_is_not_there(live: Live, number: str) -> None:
    with live.client() as client:
        assert client.get(f"/api/memories/{number}").status_code == 404
