"""What LangChain and LangGraph do is recorded whole, and recording never fails a run."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from datetime import UTC, datetime
from typing import TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from groundling import egress
from groundling.settings import load
from groundling.tracing import attach
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status
from groundling.tracing.store import TraceStore
from tests.scripted import ScriptedChat

USAGE = {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}


class State(TypedDict, total=False):
    question: str
    answer: str


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(page_content=f"about {query}", metadata={"chunk_id": 7})]


def graph_of(*steps, checkpointer=None):
    graph = StateGraph(State)
    names = [step.__name__ for step in steps]
    for step in steps:
        graph.add_node(step.__name__, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=checkpointer, name="sample")


def test_every_kind_of_run_is_recorded_with_what_it_says(recorded):
    model = ScriptedChat([AIMessage("17 days", usage_metadata=USAGE)])

    def answer(state):
        found = Shelf().invoke(state["question"])
        assert double.invoke({"number": 21}) == 42
        reply = model.invoke(
            [HumanMessage(found[0].page_content)],
            {"metadata": {"prompt": "answer.en", "prompt_sha256": "ab"}, "tags": ["mine"]},
        )
        return {"answer": reply.text}

    graph_of(answer).invoke({"question": "leave"}, {"metadata": {"thread_id": "t1"}})
    root, *runs = recorded.store.trace(recorded.store.find()[0].id)
    assert [(run.name, run.run_type) for run in runs] == [
        ("answer", "chain"),
        ("Shelf", "retriever"),
        ("double", "tool"),
        ("ScriptedChat", "llm"),
    ]
    assert root.name == "sample"
    assert root.thread == "t1"
    assert {run.graph for run in (root, *runs)} == {"sample"}
    assert {run.status for run in (root, *runs)} == {Status.SUCCESS}
    assert all(run.duration is not None and run.duration >= 0 for run in runs)
    assert all(run.dotted_order.startswith(root.dotted_order) for run in runs)
    at = datetime.fromtimestamp(root.started / 1e6, UTC)
    assert root.dotted_order == f"{at:%Y%m%dT%H%M%S%f}Z{root.id}"
    llm, made, shelf = runs[3], runs[2], runs[1]
    assert (llm.input_tokens, llm.output_tokens) == (30, 5) == (root.input_tokens, 5)
    assert (llm.prompt, llm.prompt_sha256, llm.node) == ("answer.en", "ab", "answer")
    assert "mine" in llm.tags
    assert root.cpu is not None
    assert root.memory > 1_000_000
    payload = recorded.store.payload(made)
    assert payload.inputs == {"number": 21}
    assert payload.outputs == {"output": 42}
    documents = recorded.store.payload(shelf).outputs["documents"]
    assert documents[0]["kwargs"]["metadata"] == {"chunk_id": 7}
    for run in (root, *runs):
        events = recorded.store.payload(run).events
        assert [event["name"] for event in events] == ["start", "end"]


async def test_streams_are_timed_to_their_first_token(recorded):
    model = ScriptedChat(["one two three"])
    async for _ in model.astream("count"):
        await asyncio.sleep(0)
    [run] = recorded.store.find()
    assert run.run_type == "llm"
    assert run.first_token is not None
    assert run.first_token <= run.duration
    names = [event["name"] for event in recorded.store.payload(run).events]
    assert names == ["start", "new_token", "end"]


async def test_parallel_runs_do_not_mix(recorded):
    async def echo(state):
        await asyncio.sleep(0.001)
        return {"answer": state["question"]}

    graph = graph_of(echo)
    await asyncio.gather(*(graph.ainvoke({"question": f"number {n}"}) for n in range(50)))
    roots = recorded.store.find(limit=100)
    assert {run.answer for run in roots} == {f"number {n}" for n in range(50)}
    for root in roots:
        [_, node] = recorded.store.trace(root.id)
        assert node.answer == root.preview


def test_errors_keep_their_text_and_reach_the_caller(recorded):
    def fail(_):
        raise ValueError("the oven is cold")

    with pytest.raises(ValueError, match="the oven is cold"):
        graph_of(fail).invoke({"question": "bread?"})
    root, node = recorded.store.trace(recorded.store.find()[0].id)
    assert root.status == node.status == Status.ERROR
    assert node.error.startswith("ValueError('the oven is cold')")
    assert "test_tracer.py" in node.error
    assert recorded.store.find(RunFilter(text="oven"))[0].id == root.id


def test_waiting_for_a_person_is_no_error(recorded):
    def ask(state):
        return {"answer": interrupt({"may I": "send it?"})}

    graph = graph_of(ask, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "approval"}}
    graph.invoke({"question": "send"}, config)
    [root, node] = recorded.store.trace(recorded.store.find()[0].id)
    assert (root.status, node.status) == (Status.INTERRUPTED, Status.INTERRUPTED)
    assert (root.error, node.error) == (None, None)
    graph.invoke(Command(resume="yes"), config)
    assert [run.status for run in recorded.store.find()] == [Status.SUCCESS, Status.INTERRUPTED]
    assert {run.thread for run in recorded.store.find()} == {"approval"}


async def test_a_run_that_is_given_up_is_cancelled(recorded):
    async def sleep(_):
        await asyncio.sleep(60)

    task = asyncio.create_task(graph_of(sleep).ainvoke({"question": "wake me"}))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {run.status for run in recorded.store.find(RunFilter(roots=None))} == {Status.CANCELLED}


def test_running_runs_are_seen_from_outside(recorded):
    begun, go_on = threading.Event(), threading.Event()

    def wait(_):
        begun.set()
        go_on.wait(10)
        return {"answer": "done"}

    thread = threading.Thread(target=graph_of(wait).invoke, args=({"question": "long?"},))
    thread.start()
    begun.wait(10)
    root, node = recorded.store.trace(recorded.store.find()[0].id)
    assert (root.status, node.status) == (Status.RUNNING, Status.RUNNING)
    assert root.preview == "long?"
    go_on.set()
    thread.join()
    assert recorded.store.find()[0].status == Status.SUCCESS


def test_what_a_program_changes_later_is_recorded_as_it_was(recorded):
    def mean(state):
        state["question"] = "changed"
        return {"answer": "x"}

    RunnableLambda(mean).invoke({"question": "original"})
    [run] = recorded.store.find()
    assert recorded.store.payload(run).inputs == {"question": "original"}


class Unwritable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_what_cannot_be_written_fails_nothing(recorded):
    cycle: dict[str, object] = {"odd": Unwritable()}
    cycle["again"] = cycle
    assert RunnableLambda(lambda _: cycle).invoke({"question": cycle}) is cycle
    [run] = recorded.store.find()
    assert run.status == Status.SUCCESS
    assert recorded.store.payload(run).outputs["again"]["again"] == "<cycle>"


def test_nothing_piles_up_in_memory(recorded):
    graph = graph_of(lambda_step)
    for _ in range(5):
        graph.invoke({"question": "x"})
    tracer = attach._tracer
    assert not tracer._runs
    assert not tracer.order_map
    assert not tracer._clocks
    assert not tracer._traces
    gc.collect()


def lambda_step(state):
    return {"answer": state["question"]}


def test_recordings_file_runs_under_projects(recorded):
    from uuid import uuid4

    example = uuid4()
    with attach.recording(project="experiment-1", example=example):
        graph_of(lambda_step).invoke({"question": "x"})
    graph_of(lambda_step).invoke({"question": "y"})
    [run] = recorded.store.find(RunFilter(project="experiment-1"))
    assert run.example == example
    assert recorded.store.find(RunFilter(project="default"))[0].example is None


def test_it_is_off_with_one_switch(home, monkeypatch):
    monkeypatch.setenv("GROUNDLING_TRACING__ENABLED", "false")
    settings = load()
    attach.attach(settings)
    graph_of(lambda_step).invoke({"question": "x"})
    attach.detach()
    assert not settings.traces_path.exists()


def test_calls_to_other_machines_are_noted_at_the_run_that_makes_them(recorded):
    def call(state):
        egress.announce("api.example", "model", 120)
        egress.announce("127.0.0.1", "model", 5)
        return {"answer": "x"}

    graph_of(call).invoke({"question": "x"})
    root, node = recorded.store.trace(recorded.store.find()[0].id)
    assert (root.egress, node.egress) == (1, 1)
    [note] = [e for e in recorded.store.payload(node).events if e["name"] == "egress"]
    assert note["kwargs"] == {"host": "api.example", "purpose": "model", "sent": 120}


def test_secrets_are_not_written(recorded):
    key = "sk-proj-" + "a1B2c3D4" * 8
    graph_of(lambda_step).invoke({"question": f"use {key} or mail kim@example.com"})
    [root] = recorded.store.find()
    assert root.redacted
    folder = recorded.settings.home
    data = b"".join(path.read_bytes() for path in folder.glob("traces.sqlite*"))
    assert key.encode() not in data
    assert b"kim@example.com" not in data


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_records_too(recorded):
    graph = graph_of(lambda_step)
    graph.invoke({"question": "parent"})
    attach.flush()
    child = os.fork()
    if child == 0:
        try:
            graph.invoke({"question": "child"})
            os._exit(0 if attach.flush() else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert {run.preview for run in recorded.store.find()} == {"parent", "child"}


def test_a_home_records_and_shows_its_runs(home, scripted):
    from groundling import Home

    scripted.enqueue("blue light scatters")
    with Home() as opened:
        opened.graph("ask", model=scripted).invoke({"question": "Why is the sky blue?"})
        [root] = opened.traces.find()
        assert isinstance(opened.traces, TraceStore)
        assert (root.graph, root.answer) == ("ask", "blue light scatters")
        steps = [run.name for run in opened.traces.trace(root.id) if run.node == run.name]
        assert steps == ["receive", "answer"]
        [call] = [run for run in opened.traces.trace(root.id) if run.run_type == "llm"]
        assert call.prompt == "ask.en"
        assert len(call.prompt_sha256) == 64
    attach.detach()
