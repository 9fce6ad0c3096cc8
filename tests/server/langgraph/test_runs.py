"""What the contract's script cannot see: headers, coming back, going away, other people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client, get_sync_client

from groundling.server.person import Role
from tests.server.live import Live

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
SLOW = {**HELLO, "wish": "slow"}
BODY: dict[str, Any] = {"assistant_id": "probe", "input": HELLO}


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as http:
        yield http


@pytest.fixture
def thread(http: httpx.Client) -> str:
    return http.post("/threads", json={}).json()["thread_id"]


def frames(text: str) -> list[dict[str, str]]:
    return [
        dict(line.partition(": ")[::2] for line in frame.split("\n") if line)
        for frame in text.split("\n\n")
        if frame and not frame.startswith(":")
    ]


def test_a_run_says_where_it_is(http: httpx.Client, thread: str):
    at = f"/threads/{thread}/runs"
    plain = http.post(f"{at}/stream", json=BODY)
    assert plain.headers["content-type"].startswith("text/event-stream")
    assert plain.headers["content-location"].startswith(f"{at}/")
    assert "location" not in plain.headers
    assert all("id" not in frame for frame in frames(plain.text))
    kept = http.post(f"{at}/stream", json={**BODY, "stream_resumable": True})
    assert kept.headers["location"] == kept.headers["content-location"] + "/stream"
    assert all("id" in frame for frame in frames(kept.text))
    waited = http.post(f"{at}/wait", json=BODY)
    assert waited.headers["content-location"].startswith(f"{at}/")
    begun = http.post(at, json=BODY)
    assert begun.headers["content-location"] == f"{at}/{begun.json()['run_id']}"
    alone = http.post("/runs/stream", json=BODY)
    assert alone.headers["content-location"].startswith("/runs/")


def test_one_comes_back_after_any_event(http: httpx.Client, thread: str):
    body = {**BODY, "stream_resumable": True, "stream_mode": ["updates", "values"]}
    begun = http.post(f"/threads/{thread}/runs/stream", json=body)
    told, again = frames(begun.text), begun.headers["location"]
    for n, frame in enumerate(told):
        rest = http.get(again, headers={"Last-Event-ID": frame["id"]})
        assert frames(rest.text) == told[n + 1 :]
    whole = http.get(again, headers={"Last-Event-ID": "-1"})
    assert frames(whole.text) == told
    values = http.get(again, params={"stream_mode": "values"}, headers={"Last-Event-ID": "-1"})
    assert {frame["event"] for frame in frames(values.text)} == {"metadata", "values"}


def test_a_run_without_a_thread_is_nowhere_else(http: httpx.Client):
    run = http.post("/runs", json={**BODY, "input": SLOW}).json()
    assert http.get(f"/threads/{run['thread_id']}").status_code == 404
    assert http.get(f"/runs/{run['run_id']}/join").json()["messages"][-1]["type"] == "ai"
    assert http.post("/threads/count", json={}).json() == 0
    http.post("/runs/wait", json={**BODY, "on_completion": "keep"})
    assert http.post("/threads/count", json={}).json() == 1


def test_a_run_of_another_thread_is_not_found(http: httpx.Client, thread: str):
    other = http.post("/threads", json={}).json()["thread_id"]
    run = http.post(f"/threads/{thread}/runs", json=BODY).json()["run_id"]
    for path in ("", "/join", "/stream"):
        assert http.get(f"/threads/{other}/runs/{run}{path}").status_code == 404
    assert http.post(f"/threads/{other}/runs/{run}/cancel").status_code == 404
    assert http.delete(f"/threads/{other}/runs/{run}").status_code == 404


def test_several_runs_are_stopped_at_once(http: httpx.Client, thread: str):
    runs = [
        http.post(f"/threads/{thread}/runs", json={**BODY, "input": SLOW}).json() for _ in range(3)
    ]
    one = {"thread_id": thread, "run_ids": [runs[-1]["run_id"], str(uuid4())]}
    assert http.post("/runs/cancel", json=one).status_code == 204
    assert http.post("/runs/cancel", json={"status": "all"}).status_code == 204
    for run in runs:
        http.get(f"/threads/{thread}/runs/{run['run_id']}/join")
        status = http.get(f"/threads/{thread}/runs/{run['run_id']}").json()["status"]
        assert status == "interrupted"
    assert http.post("/runs/cancel", json={"status": "all"}).status_code == 404


@pytest.mark.parametrize(("wish", "status"), [("cancel", "interrupted"), ("continue", "success")])
@pytest.mark.parametrize("how", ["stream", "wait"])
def test_a_client_that_goes_away(
    http: httpx.Client, live: Live, thread: str, how: str, wish: str, status: str
):
    body = {**BODY, "input": SLOW, "on_disconnect": wish}
    with (
        live.client() as leaving,
        leaving.stream("POST", f"/threads/{thread}/runs/{how}", json=body) as response,
    ):
        run = response.headers["content-location"]
    deadline = time.monotonic() + 20
    while (found := http.get(run).json()["status"]) in ("pending", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found == status


async def test_a_thread_is_followed_through_its_runs(url: str):
    async with get_client(url=url, api_key=None) as client:
        id = (await client.threads.create())["thread_id"]
        await client.runs.wait(id, "probe", input=HELLO)
        told: list[str] = []

        async def follow() -> None:
            async for part in await client.threads.join_stream(id):
                told.append(next(iter(part.data)) if part.event == "metadata" else part.event)
                if told.count("status") == 2:
                    return

        following = asyncio.create_task(follow())
        await asyncio.sleep(0.5)
        for _ in range(2):
            await client.runs.wait(id, "probe", input=SLOW)
        await asyncio.wait_for(following, 20)
    one = ["run_id", *["values"] * 4, "status"]
    assert told == one * 2


def test_what_is_wished_reaches_the_model_by_either_way(http: httpx.Client, thread: str):
    for told in ({"context": {"seed": 7}}, {"config": {"configurable": {"seed": 7}}}):
        assert http.post(f"/threads/{thread}/runs/wait", json={**BODY, **told}).is_success
    forged = {"thread_id": "another", "checkpoint_id": "x", "langgraph_auth_user_id": "admin"}
    body = {**BODY, "config": {"configurable": forged}}
    assert http.post(f"/threads/{thread}/runs/wait", json=body).is_success
    state = http.get(f"/threads/{thread}/state").json()
    assert state["checkpoint"]["thread_id"] == thread
    assert "admin" not in str(state["metadata"])


@contextmanager
def client_of(live: Live, name: str) -> Iterator[Any]:
    _, key = live.app.people.keys.add(name)
    with get_sync_client(url=live.address, api_key=key) as client:
        yield client


def test_nobody_finds_what_is_anothers(live: Live):
    live.app.people.users.add("ann", Role.ADMIN)
    live.app.people.users.add("bob", Role.MEMBER)
    with client_of(live, "ann") as ann, client_of(live, "bob") as bob:
        id = ann.threads.create(metadata={"whose": "ann"})["thread_id"]
        ann.runs.wait(id, "probe", input=HELLO)
        run = ann.runs.list(id)[0]["run_id"]
        own = ann.assistants.create("probe", name="ann's")["assistant_id"]
        ann.store.put_item(["a"], "k", {"secret": 1})
        for ask in (
            lambda: bob.threads.get(id), lambda: bob.threads.get_state(id),
            lambda: bob.threads.get_history(id), lambda: bob.threads.copy(id),
            lambda: bob.threads.update(id, metadata={}), lambda: bob.threads.delete(id),
            lambda: bob.threads.update_state(id, {"note": "x"}), lambda: bob.runs.list(id),
            lambda: bob.runs.get(id, run), lambda: bob.runs.join(id, run),
            lambda: list(bob.runs.join_stream(id, run)), lambda: bob.runs.cancel(id, run),
            lambda: bob.runs.delete(id, run), lambda: bob.runs.wait(id, "probe", input=HELLO),
            lambda: bob.runs.wait(None, own, input=HELLO), lambda: bob.assistants.get(own),
            lambda: bob.assistants.update(own, name="x"), lambda: bob.assistants.delete(own),
            lambda: list(bob.threads.join_stream(id)),
        ):  # fmt: skip
            with pytest.raises(Exception) as told:
                ask()
            error: Any = told.value
            assert getattr(error, "response", error).status_code == 404
        assert bob.threads.search(metadata={"whose": "ann"}) == bob.threads.search(ids=[id]) == []
        assert bob.threads.count() == 0
        assert own not in [each["assistant_id"] for each in bob.assistants.search(limit=100)]
        assert bob.store.search_items([]) == {"items": []}
        assert bob.store.list_namespaces() == {"namespaces": []}
        assert bob.store.get_item(["a"], "k") is None
        assert bob.threads.prune([id]) == {"pruned_count": 0}
        assert ann.threads.get(id)["metadata"]["whose"] == "ann"
        assert ann.store.get_item(["a"], "k")["value"] == {"secret": 1}


def test_runs_that_wait_are_stopped_too(http: httpx.Client, thread: str):
    late = {**BODY, "after_seconds": 600}
    runs = [
        http.post(at, json=late).headers["content-location"]
        for at in (f"/threads/{thread}/runs", "/runs")
    ]
    assert http.post("/runs/cancel", json={"status": "running"}).status_code == 404
    assert http.post("/runs/cancel", json={"status": "pending"}).status_code == 204
    for run in runs:
        http.get(f"{run}/join")
        assert http.get(run).json()["status"] == "interrupted"


def test_states_that_do_not_fit_cost_no_thread_that_was_there(http: httpx.Client, thread: str):
    http.post(f"/threads/{thread}/runs/wait", json=BODY)
    before = http.get(f"/threads/{thread}/state").json()
    wrong = [{"updates": [{"values": {"no such": 1}, "as_node": "nowhere"}]}]
    body = {"thread_id": thread, "supersteps": wrong, "metadata": {"graph_id": "probe"}}
    again = http.post("/threads", json={**body, "if_exists": "do_nothing"})
    assert (again.status_code, again.json()["thread_id"]) == (200, thread)
    assert http.get(f"/threads/{thread}/state").json() == before
    assert http.post("/threads", json=body).status_code == 409
    body["thread_id"] = str(uuid4())
    assert http.post("/threads", json=body).status_code == 400
    assert http.get(f"/threads/{body['thread_id']}").status_code == 404


def test_an_assistant_is_not_deleted_by_a_request_that_is_refused(http: httpx.Client):
    made = http.post("/assistants", json={"graph_id": "probe"}).json()["assistant_id"]
    wrong = {"delete_threads": "perhaps"}
    assert http.delete(f"/assistants/{made}", params=wrong).status_code == 422
    assert http.get(f"/assistants/{made}").status_code == 200


async def test_who_follows_a_thread_is_let_go_when_the_server_ends(
    http: httpx.Client, live: Live, thread: str
):
    async with (
        httpx.AsyncClient(base_url=live.address, timeout=20) as following,
        following.stream("GET", f"/threads/{thread}/stream") as response,
    ):
        live.services.runs.admission.close()
        assert await response.aread() == b""  # it ends; nothing ran
