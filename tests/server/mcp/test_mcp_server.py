"""The server's tools and documents, as clients of the Model Context Protocol find them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import httpx
import jsonschema
import pytest
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from groundling.home import Home
from groundling.knowledge.base import Knowledge
from groundling.settings import Settings
from groundling.tools.mcp import mcp_tools
from tests.scripted import ScriptedChat
from tests.server.openai.conftest import LEAVE, Endless, Server, serving, until

Mode = Literal["auto", "legacy"]
QUESTION = "How many days of leave do employees receive?"
TOOLS = {"search", "rag", "agent", "toolbox", "chat", "ask", "verify", "guard", "tasks"}


@pytest.fixture
def empty_home(home: Path) -> Path:
    """A home folder with nothing in it."""
    home.mkdir()
    return home


@pytest.fixture
def server(empty_home: Path, scripted: ScriptedChat) -> Iterator[Server]:
    with serving(scripted) as server:
        yield server


@pytest.fixture
def library(home_with_models: Path, embedder_files: Path, tmp_path: Path) -> Path:
    """A home folder with a knowledge base."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    with Home() as opened:
        opened.knowledge("handbook").add([folder])
    return home_with_models


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_clients_of_both_eras_find_and_call_tools(
    server: Server, scripted: ScriptedChat, mode: Mode
):
    scripted.enqueue("Because of light.")
    steps: list[tuple[float, str | None]] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, message))

    async with Client(f"{server.url}/mcp", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == TOOLS
        answer = await client.call_tool(
            "ask", {"question": "Why is the sky blue?"}, progress_callback=told
        )
    assert answer.content[0].text == "Because of light."  # type: ignore[union-attr]
    assert answer.structured_content["answer"] == "Because of light."
    assert not answer.is_error
    assert steps == [(1, "receive"), (2, "answer")]


async def test_the_low_level_client_reaches_it_too(server: Server):
    async with (
        streamable_http_client(f"{server.url}/mcp") as streams,
        ClientSession(*streams[:2]) as session,
    ):
        await session.initialize()
        assert {tool.name for tool in (await session.list_tools()).tools} == TOOLS


async def test_each_tool_says_what_it_takes_gives_and_does(server: Server):
    async with Client(f"{server.url}/mcp") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.description
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.output_schema is not None
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
    assert tools["ask"].input_schema["required"] == ["question"]
    changing = {
        name
        for name, tool in tools.items()
        if tool.annotations and not tool.annotations.read_only_hint
    }
    assert changing == {"agent", "toolbox", "chat"}


async def test_answers_from_documents_are_cited_as_text_and_as_data(
    library: Path, scripted: ScriptedChat
):
    scripted.enqueue_choice({"yes": 0.9, "no": 0.1}, "yes")
    scripted.enqueue("Full-time employees receive 17 days of leave.")
    with serving(scripted) as server:
        async with Client(f"{server.url}/mcp") as client:
            answer = await client.call_tool("rag", {"question": QUESTION, "knowledge": "handbook"})
            found = await client.call_tool("search", {"query": "leave", "k": 1})
            resources = (await client.list_resources()).resources
            [contents] = (await client.read_resource(resources[0].uri)).contents
            for gone in (
                "groundling://knowledge/nothing/documents/1",
                "groundling://x",
                "file:///etc/passwd",
            ):
                with pytest.raises(MCPError, match="There is no"):
                    await client.read_resource(gone)
    told = answer.structured_content
    assert told["verdict"] == "answered"
    assert told["answer"] == "Full-time employees receive 17 days of leave [1]."
    assert told["citations"][0]["source"].endswith("leave.md")
    assert "\n---\n[1] " in answer.content[0].text  # type: ignore[union-attr]
    [passage] = found.structured_content["passages"]
    stored = contents.text  # type: ignore[union-attr]
    assert passage["text"] == stored[passage["start"] : passage["end"]]
    assert passage["knowledge"] == "handbook"
    assert "17 days" in found.content[0].text  # type: ignore[union-attr]
    assert [resource.name for resource in resources] == [passage["source"]]


async def test_without_the_embedder_words_find_documents(
    server: Server, scripted: ScriptedChat, empty_home: Path
):
    with Knowledge.open(empty_home / "knowledge" / "handbook", None) as base:
        leave = empty_home / "leave.md"
        leave.write_text(LEAVE, encoding="utf-8")
        base.add([leave])
    scripted.enqueue_choice({"yes": 0.9, "no": 0.1}, "yes")
    scripted.enqueue("Full-time employees receive 17 days of leave.")
    async with Client(f"{server.url}/mcp") as client:
        found = await client.call_tool("search", {"query": "leave"})
        [document] = (await client.list_resources()).resources
        [contents] = (await client.read_resource(document.uri)).contents
        answer = await client.call_tool("rag", {"question": QUESTION, "knowledge": "handbook"})
    assert "17 days" in found.content[0].text  # type: ignore[union-attr]
    assert contents.text == LEAVE  # type: ignore[union-attr]
    assert answer.structured_content["verdict"] == "answered"


async def test_what_is_damaged_is_told_without_its_place(server: Server, empty_home: Path):
    damaged = empty_home / "knowledge" / "handbook" / "knowledge.sqlite"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no database" * 1000)
    async with Client(f"{server.url}/mcp") as client:
        found = await client.call_tool("search", {"query": "leave"})
        with pytest.raises(MCPError, match="is damaged") as refused:
            await client.list_resources()
    assert found.is_error
    assert "is damaged" in found.content[0].text  # type: ignore[union-attr]
    for said in (found.content[0].text, str(refused.value)):  # type: ignore[union-attr]
        assert str(empty_home) not in said


async def test_a_damaged_base_keeps_nobody_from_the_others(server: Server, empty_home: Path):
    with Knowledge.open(empty_home / "knowledge" / "handbook", None) as base:
        leave = empty_home / "leave.md"
        leave.write_text(LEAVE, encoding="utf-8")
        base.add([leave])
    damaged = empty_home / "knowledge" / "old" / "knowledge.sqlite"
    damaged.parent.mkdir()
    damaged.write_bytes(b"no database" * 1000)
    (empty_home / "knowledge" / "empty").mkdir()
    async with Client(f"{server.url}/mcp") as client:
        found = await client.call_tool("search", {"query": "leave"})
        nothing = await client.call_tool("search", {"query": "zeppelin"})
        named = await client.call_tool("search", {"query": "leave", "knowledge": "old"})
        listed = await client.list_resources()
    assert not found.is_error
    text = found.content[0].text  # type: ignore[union-attr]
    assert text.startswith("[1] leave.md")
    assert "Not searched: old. knowledge/old/knowledge.sqlite is damaged" in text
    [passage] = found.structured_content["passages"]
    assert passage["knowledge"] == "handbook"
    assert list(found.structured_content["unread"]) == ["old"]
    assert nothing.content[0].text.startswith("Nothing was found.\n\nNot searched: old.")  # type: ignore[union-attr]
    assert named.is_error
    assert [resource.name for resource in listed.resources] == ["leave.md"]
    assert listed.meta is not None
    assert "is damaged" in listed.meta["groundling/unread"]["old"]
    assert list((empty_home / "knowledge" / "empty").iterdir()) == []


async def test_claims_texts_and_tasks_have_tools_of_their_own(
    server: Server, scripted: ScriptedChat
):
    scripted.enqueue_choice({"yes": 0.02, "no": 0.98}, "positive")
    async with Client(f"{server.url}/mcp") as client:
        checked = (await client.call_tool("verify", {"text": "2 + 2 = 5."})).structured_content
        guarded = (await client.call_tool("guard", {"text": "All is well."})).structured_content
        felt = (
            await client.call_tool("tasks", {"task": "sentiment", "text": "I love it."})
        ).structured_content
    assert checked["answer"] == "2 + 2 = 4."
    assert [claim["verdict"] for claim in checked["claims"]] == ["REFUTED"]
    assert (guarded["action"], guarded["answer"]) == ("allow", "All is well.")
    assert felt["answer"]


async def test_what_is_wrong_is_told_to_the_model_that_called(server: Server):
    async with Client(f"{server.url}/mcp") as client:
        for name, arguments, said in (
            ("ask", {}, "question"),
            ("ask", {"question": ""}, "question"),
            ("ask", {"question": "x", "extra": 1}, "extra"),
            ("ask", {"question": 5}, "question"),
            ("rag", {"question": "x", "knowledge": "nothing"}, "There is no knowledge base"),
            ("search", {"query": "x", "k": 10_000}, "k"),
            ("tasks", {"task": "classify", "text": "x"}, "labels"),
            ("guard", {"text": "x", "rail": "side"}, "rail"),
        ):
            result = await client.call_tool(name, arguments)
            assert result.is_error, name
            assert said in result.content[0].text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="There is no tool"):
            await client.call_tool("nothing", {})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_cancelled_call_stops_the_model(empty_home: Path, mode: Mode):
    model = Endless()
    with serving(model) as server:
        async with Client(f"{server.url}/mcp", mode=mode) as client:
            calling = asyncio.create_task(client.call_tool("ask", {"question": "Why?"}))
            await until(model.begun)
            calling.cancel()
            with suppress(asyncio.CancelledError):
                await calling
            await until(model.stopped)


async def test_our_own_agent_can_use_them_through_langchain(server: Server, scripted: ScriptedChat):
    address = {"url": f"{server.url}/mcp"}
    settings = Settings(tools={"enabled": ["home"], "mcp": {"home": address}})
    tools = {tool.name: tool for tool in await asyncio.to_thread(mcp_tools, settings, "home")}
    assert set(tools) == {f"home_{name}" for name in TOOLS}
    scripted.enqueue("Because of light.")
    call = {"type": "tool_call", "id": "1", "name": "home_ask", "args": {"question": "Why?"}}
    answer = await tools["home_ask"].ainvoke(call)
    assert "Because of light." in str(answer.content)


def test_it_is_there_with_and_without_a_slash(server: Server):
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    for path in ("/mcp", "/mcp/"):
        answer = httpx.post(server.url + path, json={}, headers=headers)
        assert answer.status_code == 400, (path, answer.text)


def test_hostile_bodies_get_a_4xx(server: Server):
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    for body in (b"", b"{", b"[]", b"5", b'{"jsonrpc": "2.0"}', b"\xff\xfe", b"[" * 100_000):
        for further in ({}, {"mcp-session-id": "x" * 5000}, {"mcp-protocol-version": "2026-07-28"}):
            sent = {**headers, **further}
            answer = httpx.post(f"{server.url}/mcp/", content=body, headers=sent)
            assert 400 <= answer.status_code < 500, (body[:10], further, answer.text)


def test_without_the_extra_there_is_no_such_path(home: Path):
    program = """
import logging, sys
sys.modules["mcp"] = None
logging.basicConfig(level=logging.INFO)
from groundling.server.mcp import mount
print(mount(None))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"
    assert "groundling[mcp]" in done.stderr
