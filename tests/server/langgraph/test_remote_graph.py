"""`RemoteGraph`: a graph of ours as a graph, or a node, of somebody's program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client

from tests.server.langgraph.probe import State

HELLO: Any = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def remote(url: str) -> AsyncIterator[RemoteGraph]:
    async with get_client(url=url, api_key=None) as client:
        with get_sync_client(url=url, api_key=None) as sync_client:
            yield RemoteGraph("probe", client=client, sync_client=sync_client)


def thread() -> RunnableConfig:
    return {"configurable": {"thread_id": str(uuid4())}}


async def test_it_is_invoked(remote: RemoteGraph):
    said = await remote.ainvoke(HELLO)
    assert [message["content"] for message in said["messages"]] == ["hello", "one two three"]


def test_it_is_invoked_from_a_program_without_a_loop(remote: RemoteGraph):
    said = remote.invoke(HELLO, thread())
    assert said["messages"][-1]["content"] == "one two three"


async def test_it_streams(remote: RemoteGraph):
    updates = [part async for part in remote.astream(HELLO, thread())]
    assert [list(update) for update in updates] == [["speak"], ["ask"], ["deep"]]
    parts = [part async for part in remote.astream(HELLO, thread(), stream_mode="messages")]
    assert "".join(chunk["content"] for chunk, _ in parts) == "one two three"
    both = [
        part.event
        async for part in remote.astream(HELLO, thread(), stream_mode=["custom", "values"])
    ]
    assert both[:2] == ["values", "custom"]
    assert set(both) == {"values", "custom"}


async def test_what_happens_inside_its_subgraphs_is_streamed(remote: RemoteGraph):
    seen = [(ns, update) async for ns, update in remote.astream(HELLO, thread(), subgraphs=True)]
    inner = [update for ns, update in seen if ns and ns[0].startswith("deep:")]
    assert inner == [{"dive": {"depth": 1}}]


async def test_its_state_is_read_and_written(remote: RemoteGraph):
    config = thread()
    await remote.ainvoke(HELLO, config)
    state = await remote.aget_state(config)
    assert state.values["note"] == "not asked"
    assert state.next == ()
    await remote.aupdate_state(config, {"note": "edited"}, as_node="ask")
    edited = await remote.aget_state(config)
    assert (edited.values["note"], edited.next) == ("edited", ("deep",))
    history = [each async for each in remote.aget_state_history(config, limit=3)]
    assert history[0].config == edited.config
    assert len(history) == 3
    assert (await remote.aget_state(history[1].config)).values["note"] == "not asked"


async def test_it_is_drawn(remote: RemoteGraph):
    drawn = await remote.aget_graph()
    assert set(drawn.nodes) == {"__start__", "speak", "ask", "deep", "__end__"}
    inside = await asyncio.to_thread(remote.get_graph, xray=True)
    assert "deep:dive" in inside.nodes


async def test_it_asks_and_is_answered(remote: RemoteGraph):
    config = thread()
    parts = [part async for part in remote.astream({**HELLO, "wish": "ask"}, config)]
    [asked] = parts[-1]["__interrupt__"]
    assert asked["value"] == {"question": "may I?"}
    said = await remote.ainvoke(Command(resume="yes"), config)
    assert said["note"] == "yes"


async def test_its_failure_is_one_of_the_program(remote: RemoteGraph):
    with pytest.raises(RemoteException, match="it fails as wished"):
        await remote.ainvoke({**HELLO, "wish": "fail"}, thread())


async def test_it_is_a_node_of_another_graph(remote: RemoteGraph):
    graph = StateGraph(State)
    graph.add_node("remote", remote)
    graph.add_edge(START, "remote")
    parent = graph.compile(checkpointer=InMemorySaver())
    config = thread()
    said = await parent.ainvoke({"messages": [HumanMessage("hello")], "wish": "none"}, config)
    assert said["note"] == "not asked"
    assert "one two three" in [message.text for message in said["messages"]]
    tokens = [
        chunk.text if isinstance(chunk, AIMessageChunk) else chunk["content"]
        async for _, (chunk, _) in parent.astream(
            {"messages": [HumanMessage("hello")]}, thread(), stream_mode="messages", subgraphs=True
        )
    ]
    assert "".join(tokens).startswith("one two three")


async def test_a_node_that_asks_interrupts_the_graph_around_it(remote: RemoteGraph):
    graph = StateGraph(State)
    graph.add_node("remote", remote)
    graph.add_edge(START, "remote")
    parent = graph.compile(checkpointer=InMemorySaver())
    config = thread()
    said = await parent.ainvoke({"messages": [HumanMessage("hello")], "wish": "ask"}, config)
    [asked] = said["__interrupt__"]
    assert asked.value == {"question": "may I?"}
