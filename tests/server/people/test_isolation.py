"""What is one person's is not there for anyone else: by no route of any interface.

The cases come from the routes of the running application. A route is called with the ids of
what is ann's, by everyone else, and once more with ids of nothing: both answers have to be the
same. A route that has no case here fails the test, and so does a path parameter that has no
meaning here.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from groundling.server.people.rights import role_for
from groundling.server.person import Role
from tests.server.live import Live, serving
from tests.server.people.belongings import MARK, Belongings, Json, Talkative, make, ok

ANN = "annabel"
OTHERS = {"bob": Role.MEMBER, "cleo": Role.READER, "dora": Role.ADMIN}
ASK = {"messages": [{"role": "user", "content": "What was said?"}]}
_IN_PATHS = {
    "assistant_id": "assistant",
    "thread_id": "thread",
    "thread": "thread",
    "run_id": "run",
    "checkpoint_id": "checkpoint",
    "base": "base",
    "document": "document",
    "job": "job",
    "number": "memory",
    "trace": "trace",
    "feedback": "feedback",
    "dataset": "dataset",
    "experiment": "experiment",
    "user": "user",
    "key": "key",
}
# Paths that show nothing of anybody, or are an admin's over everybody.
PUBLIC = {
    "/": "the page",
    "/ok": "that it runs",
    "/info": "versions",
    "/openapi.json": "the description",
    "/api/session": "who asks; has tests of its own",
}
# Other names for a parameter, and constants.
SPECIAL: dict[tuple[str, str], Any] = {
    ("/v1/responses/{id}", "id"): "response",
    ("/v1/responses/{id}/input_items", "id"): "response",
}
CONSTANT = {"namespace": "x", "rest": "x", "path": "x", "file": "x"}


def body(method: str, path: str, their: Belongings) -> Json | None:
    """Return what a route is sent; a route that is missing here has no case."""
    run = {"assistant_id": "ask", "input": ASK}
    wanted: dict[tuple[str, str], Any] = {
        ("POST", "/assistants"): {"graph_id": "ask", "name": "own"},
        ("POST", "/assistants/search"): {"limit": 1000, "metadata": {}},
        ("POST", "/assistants/count"): {"metadata": {"note": MARK}},
        ("PATCH", "/assistants/{assistant_id}"): {"name": "taken"},
        ("POST", "/assistants/{assistant_id}/versions"): {},
        ("POST", "/assistants/{assistant_id}/latest"): {"version": 1},
        ("POST", "/threads"): {"metadata": {"title": "own"}},
        ("POST", "/threads/search"): {"limit": 1000, "ids": [their.thread]},
        ("POST", "/threads/count"): {"metadata": {"title": MARK}},
        ("POST", "/threads/prune"): {"thread_ids": [their.thread]},
        ("PATCH", "/threads/{thread_id}"): {"metadata": {"title": "taken"}},
        ("POST", "/threads/{thread_id}/copy"): {},
        ("POST", "/threads/{thread_id}/state"): {"values": {"messages": []}},
        ("POST", "/threads/{thread_id}/state/checkpoint"): {
            "checkpoint": {"checkpoint_id": their.checkpoint, "checkpoint_ns": ""}
        },
        ("POST", "/threads/{thread_id}/history"): {"limit": 100},
        ("POST", "/runs"): {**run, "assistant_id": their.assistant},
        ("POST", "/runs/stream"): {**run, "assistant_id": their.assistant},
        ("POST", "/runs/wait"): {**run, "assistant_id": their.assistant},
        ("POST", "/runs/batch"): [{**run, "assistant_id": their.assistant}],
        ("POST", "/runs/cancel"): {"thread_id": their.thread, "run_ids": [their.run]},
        ("POST", "/runs/{run_id}/cancel"): {},
        ("POST", "/threads/{thread_id}/runs"): run,
        ("POST", "/threads/{thread_id}/runs/stream"): run,
        ("POST", "/threads/{thread_id}/runs/wait"): run,
        ("POST", "/threads/{thread_id}/runs/{run_id}/cancel"): {},
        ("PUT", "/store/items"): {"namespace": ["mine"], "key": "k", "value": {}},
        ("DELETE", "/store/items"): {"namespace": [their.user, "notes"], "key": "one"},
        ("POST", "/store/items/search"): {"namespace_prefix": [], "limit": 1000},
        ("POST", "/store/namespaces"): {"limit": 1000},
        ("POST", "/v1/chat/completions"): {
            "model": f"rag:{their.user}/{their.base}",
            "messages": ASK["messages"],
        },
        ("POST", "/v1/responses"): {
            "model": "ask",
            "input": "What did I say?",
            "previous_response_id": their.response,
        },
        ("POST", "/v1/embeddings"): {"model": "minilm-l6", "input": "hello"},
        ("POST", "/api/knowledge"): {"name": "own"},
        ("PATCH", "/api/knowledge/{base:base}"): {"shared": True},
        ("POST", "/api/knowledge/{base:base}/search"): {"query": MARK},
        ("POST", "/api/knowledge/{base:base}/documents"): None,
        ("POST", "/api/memories"): {"text": "likes tea", "supersedes": their.memory},
        ("PATCH", "/api/memories/{number:number}"): {"text": "taken over"},
        ("POST", "/api/traces/{trace:uuid}/feedback"): {"score": -1},
        ("PATCH", "/api/feedback/{feedback:uuid}"): {"score": -1},
        ("POST", "/api/users"): {"id": "zoe"},
        ("PATCH", "/api/users/{user}"): {"role": "reader"},
        ("POST", "/api/users/{user}/keys"): {},
    }
    if path.startswith(("/runs/crons", "/threads/{thread_id}/runs/crons")):
        return {}
    if method in ("GET", "DELETE") and (method, path) not in wanted:
        return None
    assert (method, path) in wanted, f"{method} {path} has no case in tests/server/people"
    given: Json | None = wanted[method, path]
    return given


def query(path: str, their: Belongings) -> Json:
    """Return the parameters of an address, where a route wants some."""
    return {
        "/store/items": {"namespace": f"{their.user}.notes", "key": "one"},
        "/api/memories": {"superseded": "true"},
        "/api/memories/search": {"query": MARK},
        "/api/threads": {"text": MARK},
        "/api/traces": {"text": MARK},
        "/api/experiments/compare": {"a": their.experiment, "b": their.experiment},
        "/api/experiments/compare/plot.svg": {"a": their.experiment, "b": their.experiment},
        "/api/knowledge/{base:base}/documents/by-source": {"source": "note.md"},
    }.get(path, {})


SHOWN = {
    "/api/datasets", "/api/datasets/{dataset}", "/api/experiments",
    "/api/experiments/{experiment}", "/api/memories", "/api/memories/{number:number}",
    "/api/knowledge/{base:base}/documents/{document:number}/text", "/api/threads",
    "/api/threads/{thread}/export", "/api/traces", "/api/traces/{trace:uuid}",
    "/api/traces/{trace:uuid}/feedback", "/assistants/{assistant_id}", "/runs/{run_id}/join",
    "/runs/{run_id}/stream", "/store/items", "/threads/{thread_id}", "/threads/{thread_id}/runs",
    "/threads/{thread_id}/history", "/threads/{thread_id}/state",
    "/threads/{thread_id}/state/{checkpoint_id}", "/v1/responses/{id}",
}  # fmt: skip


@dataclass
class World:
    """A running server, and everybody's clients of it."""

    live: Live
    ann: Belongings
    clients: dict[str, httpx.Client]

    @property
    def routes(self) -> Iterator[tuple[str, str]]:
        """All methods and paths of the application, but for what is mounted."""
        app = self.live.app._inner
        assert isinstance(app, Starlette)
        for route in app.routes:
            if isinstance(route, Mount):
                assert route.path in ("/langsmith", "/mcp"), f"{route.path} has no case"
                continue
            assert isinstance(route, Route), route
            for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, route.path


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, models_folder: Path, embedder_files: Path
) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "models").symlink_to(models_folder)
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[World]:
    server = {"requests_per_minute": 0}
    with serving(folder, Talkative(), server=server, guard={"enabled": False}) as live:
        clients = {}
        people = live.app.people
        for name, role in ({"dora": Role.ADMIN, ANN: Role.MEMBER} | OTHERS).items():
            people.users.add(name, role)
            _, key = people.keys.add(name)
            clients[name] = live.client(headers={"x-api-key": key})
        ann = make(live, clients[ANN], ANN)
        yield World(live, ann, clients)
        for client in clients.values():
            client.close()


def nothing(ann: Belongings) -> Belongings:
    """Return ids of the same form that nobody has."""
    new = {name: str(uuid.uuid4()) for name in
           ("thread", "run", "checkpoint", "assistant", "job", "trace", "feedback", "dataset",
            "experiment")}  # fmt: skip
    return replace(
        ann, **new, base="nosuch", document=999_999, memory=999_999, user="nobody",
        response="resp_" + uuid.uuid4().hex, key="0" * 12,
    )  # fmt: skip


def filled(path: str, their: Belongings) -> str:
    """Write ids into a path."""
    for part in [part for part in path.split("/") if part.startswith("{")]:
        name = part.strip("{}").partition(":")[0]
        if name in CONSTANT:
            value = CONSTANT[name]
        elif path == "/v1/models/{id:path}":
            value = f"rag:{their.user}/{their.base}"
        elif part == "{base:base}":
            value = f"{their.user}:{their.base}"
        else:
            field = SPECIAL.get((path, name)) or _IN_PATHS.get(name)
            assert field, f"{part} of {path} has no meaning in tests/server/people"
            value = str(getattr(their, field))
        path = path.replace(part, str(value), 1)
    return path


def call(client: httpx.Client, method: str, path: str, their: Belongings) -> httpx.Response:
    options: Json = {"params": query(path, their)}
    sent = body(method, path, their)
    if path.endswith("/documents") and method == "POST":
        options["files"] = {"files": ("x.md", b"# x")}
    elif sent is not None:
        options["json"] = sent
    return client.request(method, filled(path, their), **options)


def plain(text: str, their: Belongings) -> str:
    """Return an answer without the ids it was asked with."""
    for value in sorted(map(str, vars(their).values()), key=len, reverse=True):
        if len(value) > 3:
            text = text.replace(value, "…")
    return re.sub(r"\b\d+\b", "…", text)  # numbers of memories and documents


def belongings(world: World) -> Json:
    """Return all that ann can see."""
    seen = {}
    for method, path in world.routes:
        if method == "GET" and path not in PUBLIC and not path.startswith(("/page", "/api/users")):
            if path in ("/api/status", "/api/audit", "/api/jobs/{job:uuid}/events"):
                continue
            if "crons" in path or path == "/threads/{thread_id}/stream":
                continue
            answer = call(world.clients[ANN], method, path, world.ann)
            seen[path] = (answer.status_code, answer.text)
    return seen


def test_what_is_anns_is_there_for_nobody_else(world: World) -> None:
    before = belongings(world)
    shown = {path for path, (_, text) in before.items() if MARK in text}
    assert shown >= SHOWN  # to their owner all of it is there
    none = nothing(world.ann)
    told: list[str] = []
    cases = 0
    for method, path in world.routes:
        if path in PUBLIC or path.startswith(("/page", "/favicon")):
            continue
        for name, role in OTHERS.items():
            if path.startswith(("/api/users", "/api/audit")) and role is Role.ADMIN:
                continue
            cases += 1
            client = world.clients[name]
            answer = call(client, method, path, world.ann)
            twin = call(client, method, path, none)
            where = f"{method} {path} as {name}: {answer.status_code} {answer.text[:200]}"
            needed = role_for(method, filled(path, world.ann))
            named = "{" in path or body(method, path, world.ann) != body(method, path, none)
            if "{" in path and "crons" not in path:
                allowed = {403} if needed is not None and not role.covers(needed) else {404, 405}
                if answer.status_code not in allowed:
                    told.append(where)
            same = plain(answer.text, world.ann) == plain(twin.text, none)
            if named and (answer.status_code != twin.status_code or not same):
                told.append(f"{where} but for nothing {twin.status_code} {twin.text[:200]}")
            if answer.status_code >= 500:
                told.append(where)
            asked = {MARK} if MARK in json.dumps([body(method, path, world.ann),
                                                  query(path, world.ann)]) else set()  # fmt: skip
            if answer.status_code < 400:
                leaked = {word for word in world.ann.ids() - asked if word in answer.text}
                if leaked:
                    told.append(f"{where} shows {leaked}")
    assert not told, "\n".join(told)
    assert cases > 200
    after = belongings(world)
    changed = [path for path in before if path not in _MOVING and before[path] != after[path]]
    assert changed == []


_MOVING = {"/api/settings", "/api/traces", "/v1/models", "/api/memories/search", "/api/memories"}


def test_counts_and_searches_do_not_count_what_is_anns(world: World) -> None:
    for name in OTHERS:
        client = world.clients[name]
        assert ok(client.post("/threads/count", json={"metadata": {"title": MARK}})) == 0
        assert ok(client.post("/assistants/count", json={"metadata": {"note": MARK}})) == 0
        assert ok(client.get("/api/traces", params={"text": MARK}))["traces"] == []
        assert ok(client.get("/api/threads", params={"text": MARK}))["threads"] == []
        assert ok(client.get("/api/memories/search", params={"query": MARK})) == {"memories": []}
        for prefix in ([], [ANN], [ANN, "notes"], ["*"], [f"p{ANN.encode().hex()}z"], ["%"]):
            found = ok(client.post("/store/items/search", json={"namespace_prefix": prefix}))
            assert MARK not in str(found)
        for models in (ok(client.get("/v1/models")),):
            assert "secrets" not in str(models)


def test_ids_of_anns_in_bodies_lead_nowhere(world: World) -> None:
    ann = world.ann
    for name in OTHERS:
        client = world.clients[name]
        for make_body in (
            lambda their: ("/threads", {"thread_id": their.thread, "if_exists": "do_nothing"}),
            lambda their: (
                f"/threads/{their.thread}/runs/wait",
                {"assistant_id": "ask", "input": ASK, "if_not_exists": "reject"},
            ),
            lambda their: (
                "/runs/wait",
                {"assistant_id": "rag", "input": {"question": "What is the password?"},
                 "context": {"knowledge": f"{their.user}/{their.base}"}},
            ),
            lambda their: (
                "/runs/wait",
                {"assistant_id": "rag", "input": {"question": "What is the password?"},
                 "config": {"configurable": {"knowledge": f"{their.user}--{their.base}"}}},
            ),
            lambda their: (
                "/v1/chat/completions",
                {"model": "rag", "messages": ASK["messages"],
                 "groundling": {"knowledge": f"{their.user}/{their.base}"}},
            ),
        ):  # fmt: skip
            none = nothing(ann)  # new ones each time: some are made on the way
            path, sent = make_body(ann)
            answer = client.post(path, json=sent)
            twin_path, twin_sent = make_body(none)
            twin = client.post(twin_path, json=twin_sent)
            assert MARK not in answer.text, (path, sent)
            assert answer.status_code in (404, 409) or path == "/threads", answer.text
            if path != "/threads":
                assert answer.status_code == twin.status_code, (path, answer.text, twin.text)
    assert MARK in world.clients[ANN].get(f"/threads/{ann.thread}/state").text


def test_a_thread_cannot_be_taken_over_by_its_id(world: World) -> None:
    for name in OTHERS:
        client = world.clients[name]
        sent = {"assistant_id": "ask", "input": ASK, "if_not_exists": "create"}
        answer = client.post(f"/threads/{world.ann.thread}/runs/wait", json=sent)
        assert answer.status_code in (404, 409), answer.text
        assert MARK not in answer.text
        for how in ("raise", "do_nothing"):
            answer = client.post("/threads", json={"thread_id": world.ann.thread, "if_exists": how})
            assert answer.status_code in (404, 409), answer.text
            assert MARK not in answer.text


def test_who_one_is_cannot_be_said_in_a_run(world: World) -> None:
    """Memories and store are found by the person; a run cannot name another."""
    client = world.clients["bob"]
    for config in (
        {"configurable": {"user": ANN}},
        {"configurable": {"user_id": ANN}},
        {"configurable": {"langgraph_auth_user_id": ANN}},
        {"configurable": {"thread_id": world.ann.thread}},
        {"configurable": {"checkpoint_id": world.ann.checkpoint}},
        {"configurable": {"checkpoint_ns": "", "thread_id": world.ann.thread}},
        {"metadata": {"owner": ANN, "user": ANN, "person": ANN}},
    ):
        sent = {"assistant_id": "chat", "input": ASK, "config": config}
        answer = client.post("/runs/wait", json=sent)
        assert MARK not in answer.text, config
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("name", OTHERS)
async def test_mcp_finds_nothing_of_anns(world: World, name: str) -> None:
    from mcp.client.session import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    key = world.clients[name].headers["x-api-key"]
    async with (
        httpx.AsyncClient(headers={"x-api-key": key}, timeout=60, trust_env=False) as http,
        streamable_http_client(f"{world.live.address}/mcp", http_client=http) as streams,
        ClientSession(*streams[:2]) as session,
    ):
        await session.initialize()
        for arguments in (
            {"query": MARK},
            {"query": "password", "knowledge": f"{ANN}/secrets"},
            {"query": "password", "knowledge": "secrets"},
            {"query": "password", "knowledge": f"{ANN}--secrets"},
        ):
            said = str(await session.call_tool("search", arguments))
            assert "The password is" not in said
        resources = str(await session.list_resources())
        assert MARK not in resources
        assert "secrets" not in resources


def test_an_mcp_session_is_its_owners(world: World) -> None:
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                   "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    accept = {"accept": "application/json, text/event-stream"}
    answer = world.clients[ANN].post("/mcp/", json=hello, headers=accept)
    assert answer.status_code == 200, answer.text
    session = {**accept, "mcp-session-id": answer.headers["mcp-session-id"]}
    tools = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    assert world.clients[ANN].post("/mcp/", json=tools, headers=session).status_code == 200
    for name in OTHERS:
        for method in ("POST", "DELETE"):
            answer = world.clients[name].request(
                method, "/mcp/", headers=session, **({"json": tools} if method == "POST" else {})
            )
            assert answer.status_code == 404, (name, method, answer.text)
    assert world.clients[ANN].post("/mcp/", json=tools, headers=session).status_code == 200


def test_the_langsmith_interface_is_an_admins(world: World) -> None:
    for path in ("/langsmith/info", "/langsmith/api/v1/sessions", "/langsmith/anything"):
        for name in (ANN, "bob", "cleo"):
            assert world.clients[name].get(path).status_code == 403
        assert world.clients["dora"].get(path).status_code != 403


def test_a_shared_base_is_read_by_all_and_changed_by_its_owner(world: World) -> None:
    ann, bob = world.clients[ANN], world.clients["bob"]
    ok(ann.patch(f"/api/knowledge/{world.ann.base}", json={"shared": True}))
    try:
        shown = ok(bob.get("/api/knowledge"))["knowledge"]
        assert (f"{ANN}:secrets", False) in [(one["id"], one["writable"]) for one in shown]
        found = ok(bob.post(f"/api/knowledge/{ANN}:secrets/search", json={"query": "password"}))
        assert MARK in str(found)
        for method, path in (
            ("DELETE", f"/api/knowledge/{ANN}:secrets"),
            ("PATCH", f"/api/knowledge/{ANN}:secrets"),
            ("DELETE", f"/api/knowledge/{ANN}:secrets/documents/{world.ann.document}"),
        ):
            sent = {"json": {"shared": False}} if method == "PATCH" else {}
            assert bob.request(method, path, **sent).status_code == 404, path
    finally:
        ok(ann.patch(f"/api/knowledge/{world.ann.base}", json={"shared": False}))
    assert bob.post(f"/api/knowledge/{ANN}:secrets/search", json={"query": "x"}).status_code == 404


def test_a_removed_user_leaves_nothing_after_a_purge(world: World) -> None:
    """Last: ann goes, and bob's things stay."""
    bob, dora = world.clients["bob"], world.clients["dora"]
    ok(bob.post("/api/memories", json={"text": "likes tea a lot"}))
    answer = ok(dora.delete(f"/api/users/{ANN}"))
    assert world.clients[ANN].get("/threads/x").status_code == 401
    assert answer["purged"] is False
    for kind in ("threads", "assistants", "memories", "knowledge", "traces"):
        assert answer["remains"][kind] >= 1, answer
    answer = ok(dora.delete(f"/api/users/{ANN}?purge=true"))
    assert set(answer["remains"].values()) == {0}, answer
    people = world.live.app.people
    people.users.add(ANN, Role.MEMBER)  # the name is free, and nothing comes with it
    _, key = people.keys.add(ANN)
    with world.live.client(headers={"x-api-key": key}) as ann:
        world.clients[ANN].headers["x-api-key"] = key
        seen = belongings(world)
        left = {path: text[:300] for path, (_, text) in seen.items() if MARK in text}
        assert not left, "\n".join(f"{path}: {text}" for path, text in left.items())
        assert ok(ann.post("/threads/count", json={})) == 0
    home = world.live.app.home.settings.home
    assert not (home / "knowledge" / f"{ANN}--secrets").exists()
    assert "tea a lot" in bob.get("/api/memories").text
