"""Several people, OpenAI's interface and MCP's: what is one's is not there for another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from groundling.home import Home
from groundling.server.person import Person, Role
from tests.scripted import ScriptedChat
from tests.server.openai.conftest import Server, serving

MODEL = "qwen2.5-coder-1.5b"
QUESTION = "How many days of leave do employees receive?"
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]


@dataclass
class Team:
    """A server with two people; the knowledge base `recipes` is alice's."""

    server: Server
    alice: str
    bob: str


@pytest.fixture
def team(
    home_with_models: Path, embedder_files: Path, documents: Path, scripted: ScriptedChat
) -> Iterator[Team]:
    with Home() as opened:
        opened.knowledge("alice--recipes").add([documents])
    with serving(scripted) as server:
        people = server.application.people
        people.users.add("root", Role.ADMIN)
        keys = []
        for name in ("alice", "bob"):
            people.users.add(name, Role.MEMBER)
            keys.append(people.keys.add(name, "laptop")[1])
        people.owners.claim("knowledge", "alice--recipes", "alice")
        yield Team(server, *keys)


@asynccontextmanager
async def tools(team: Team, key: str) -> Any:
    """Connect to the tools with a key."""
    async with create_mcp_http_client(headers={"authorization": f"Bearer {key}"}) as http:
        transport = streamable_http_client(f"{team.server.url}/mcp/", http_client=http)
        async with Client(transport) as client:
            yield client


def test_without_a_key_nobody_is_served(team: Team):
    for key in ("unused", "gl_" + "x" * 40):
        with team.server.client(key) as client, pytest.raises(openai.AuthenticationError) as error:
            client.models.list()
        assert error.value.code == "invalid_api_key"
    assert httpx.post(f"{team.server.url}/mcp/", json={}).status_code == 401


def test_knowledge_is_a_model_to_those_who_may_read_it(team: Team, scripted: ScriptedChat):
    def ask(client: openai.OpenAI, model: str) -> str | None:
        scripted.choices[:] = [{"yes": 0.9, "no": 0.1}, {"yes": 1.0, "no": 0.0}]
        scripted.replies[:] = ["Full-time employees receive 17 days of leave."]
        return (
            client.chat.completions.create(model=model, messages=ASKED).choices[0].message.content
        )

    with team.server.client(team.alice) as alice, team.server.client(team.bob) as bob:
        assert "rag:recipes" in {model.id for model in alice.models.list()}
        assert "17 days" in (ask(alice, "rag:recipes") or "")
        assert not any("recipes" in model.id for model in bob.models.list())
        for name in ("recipes", "alice/recipes", "alice--recipes", "../knowledge/alice--recipes"):
            with pytest.raises(openai.NotFoundError) as error:
                ask(bob, f"rag:{name}")
            assert error.value.code == "model_not_found"
            with pytest.raises(openai.NotFoundError):
                bob.chat.completions.create(
                    model="agent", messages=ASKED, extra_body={"groundling": {"knowledge": name}}
                )
        with pytest.raises(openai.NotFoundError):  # nor is another's taken where none is named
            ask(bob, "rag")
        person = Person("alice", Role.MEMBER)
        team.server.application.people.share_knowledge(person, "recipes", True)
        assert "rag:alice/recipes" in {model.id for model in bob.models.list()}
        assert bob.models.retrieve("rag:alice/recipes").id == "rag:alice/recipes"
        assert "17 days" in (ask(bob, "rag:alice/recipes") or "")


def test_responses_are_their_owner_s(team: Team, scripted: ScriptedChat):
    scripted.enqueue("Hello.")
    with team.server.client(team.alice) as alice, team.server.client(team.bob) as bob:
        made = alice.responses.create(model=MODEL, input="Hello?")
        for reach in (
            lambda: bob.responses.retrieve(made.id),
            lambda: bob.responses.delete(made.id),
            lambda: bob.responses.input_items.list(made.id),
            lambda: bob.responses.create(model=MODEL, input="x", previous_response_id=made.id),
        ):
            with pytest.raises(openai.NotFoundError):
                reach()
        assert alice.responses.retrieve(made.id).output_text == "Hello."


def test_the_trace_of_an_answer_is_its_asker_s(team: Team, scripted: ScriptedChat):
    scripted.enqueue("Hello.")
    with team.server.client(team.alice) as alice:
        reply = alice.chat.completions.create(model=MODEL, messages=ASKED)
    run = (reply.choices[0].message.model_extra or {})["groundling"]["run_id"]
    assert team.server.application.people.owners.owner("trace", run) == "alice"


async def test_tools_find_what_their_caller_may_read(team: Team):
    async with tools(team, team.alice) as client:
        found = await client.call_tool("search", {"query": "leave"})
        [document] = (await client.list_resources()).resources
    assert "17 days" in found.structured_content["passages"][0]["text"]
    async with tools(team, team.bob) as client:
        assert (await client.call_tool("search", {"query": "leave"})).structured_content == {
            "passages": []
        }
        for tool, arguments in (
            ("search", {"query": "leave", "knowledge": "recipes"}),
            ("search", {"query": "leave", "knowledge": "alice/recipes"}),
            ("rag", {"question": QUESTION, "knowledge": "alice--recipes"}),
            ("verify", {"text": "17 days.", "knowledge": "recipes"}),
        ):
            refused = await client.call_tool(tool, arguments)
            assert refused.is_error
            assert "There is no knowledge base" in refused.content[0].text
        assert (await client.list_resources()).resources == []
        with pytest.raises(MCPError, match="There is no"):
            await client.read_resource(document.uri)


async def test_a_session_is_bound_to_the_one_who_opened_it(team: Team):
    headers = {"accept": "application/json, text/event-stream"}
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "x", "version": "1"},
        },
    }
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with httpx.AsyncClient(base_url=team.server.url, headers=headers) as http:
        alice, bob = ({"x-api-key": key} for key in (team.alice, team.bob))
        opened = await http.post("/mcp/", json=opening, headers=alice)
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        mine = await http.post("/mcp/", json=listing, headers={**alice, **session})
        assert mine.status_code == 200
        foreign = await http.post("/mcp/", json=listing, headers={**bob, **session})
        assert foreign.status_code == 404
