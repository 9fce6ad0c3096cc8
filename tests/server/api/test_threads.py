"""Conversations over HTTP: found by what was said, taken away with their citations."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

CITED = {
    "number": 1, "chunk_id": 1, "document_id": 1, "source": "leave.md", "title": "Leave",
    "page": None, "start": 9, "end": 36, "quote": "Employees have 25 days", "proof": "text",
    "score": 1.0,
}  # fmt: skip


def made(client: httpx.Client, *said: tuple[str, str], **more: Any) -> str:
    """Make a thread in which something was said, as the graph `agent` leaves it."""
    metadata = {"graph_id": "agent", **more}
    thread = str(client.post("/threads", json={"metadata": metadata}).json()["thread_id"])
    messages: list[dict[str, str]] = []
    for question, answer in said:
        messages = [
            {"type": "human", "content": question, "id": str(uuid4())},
            {"type": "ai", "content": answer, "id": str(uuid4())},
        ]
        values = {"messages": messages, "answer": answer, "citations": [CITED]}
        values["verdict"] = "answered"
        state = client.post(
            f"/threads/{thread}/state", json={"values": values, "as_node": "remember"}
        )
        assert state.status_code == 200, state.text
    return thread


def test_threads_have_titles_and_are_found_by_what_was_said(client: httpx.Client) -> None:
    leave = made(client, ("How many days of leave?", "25 days [1]."), ("And pay?", "Monthly."))
    named = made(client, ("Hello", "Hi."), title="Greetings")
    listed = client.get("/api/threads").json()
    assert listed["more"] is False
    rows = {each["id"]: each for each in listed["threads"]}
    assert (rows[leave]["title"], rows[leave]["turns"]) == ("How many days of leave?", 2)
    assert (rows[named]["title"], rows[named]["graph"]) == ("Greetings", "agent")

    def found(text: str) -> list[str]:
        answer = client.get("/api/threads", params={"text": text}).json()
        return [each["id"] for each in answer["threads"]]

    assert found("MONTHLY") == [leave]
    assert found("leave days") == [leave]
    assert found("greet") == [named]
    assert found("nothing of it") == []
    part = client.get("/api/threads", params={"limit": 1}).json()
    assert (len(part["threads"]), part["more"]) == (1, True)


def test_a_thread_is_taken_away_with_its_citations(client: httpx.Client) -> None:
    thread = made(client, ("How many days?", "25 days [1]."), ("And pay?", "Monthly [1]."))
    page = client.get(f"/api/threads/{thread}/export")
    assert page.headers["content-type"].startswith("text/markdown")
    assert page.headers["content-disposition"] == f'attachment; filename="{thread}.md"'
    assert page.text.count("[1] leave.md, characters 9–36") == 2
    whole = client.get(f"/api/threads/{thread}/export", params={"format": "json"}).json()
    assert [each["role"] for each in whole["messages"]] == ["human", "ai", "human", "ai"]
    assert whole["messages"][1]["citations"] == [CITED]
    assert client.get(f"/api/threads/{uuid4()}/export").status_code == 404


def test_others_threads_are_not_there(people: dict[str, httpx.Client]) -> None:
    ann, ben = people["ann"], people["ben"]
    thread = made(ann, ("My secret?", "Kept."))
    assert ben.get("/api/threads", params={"text": "secret"}).json()["threads"] == []
    assert ben.get("/api/threads").json()["threads"] == []
    for form in ("markdown", "json"):
        answer = ben.get(f"/api/threads/{thread}/export", params={"format": form})
        assert answer.status_code == 404
