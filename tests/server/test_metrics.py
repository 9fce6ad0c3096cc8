"""What is counted, and how Prometheus reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics_of,
)
from prometheus_client.parser import text_string_to_metric_families as metrics_of
from starlette.requests import Request
from typing_extensions import TypedDict

from groundling.models import engines
from groundling.server.counting import counting
from groundling.server.metrics import Metrics
from tests.scripted import ScriptedChat


def read(metrics: Metrics, accept: str = "text/plain") -> dict[str, float]:
    """Return all samples, as a Prometheus server would have them."""
    scope = {"type": "http", "headers": [(b"accept", accept.encode())]}
    response = metrics.response(Request(scope))
    text = bytes(response.body).decode()
    parse = open_metrics_of if "openmetrics" in response.headers["content-type"] else metrics_of
    samples = [sample for family in parse(text) for sample in family.samples]
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for sample in samples
    }


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text", "*/*", ""])
def test_all_of_it_can_be_read(accept: str) -> None:
    metrics = Metrics()
    metrics.request("openai", "POST", 200, 0.2)
    metrics.run_began("rag")
    metrics.first_token("rag", 0.03)
    metrics.verdict("rag", "refused")
    metrics.guard("input", "block")
    metrics.tokens(100, 20, 75, 2.0)
    seen = read(metrics, accept)
    assert seen["groundling_http_requests_total|openai|POST|200"] == 1
    assert seen["groundling_runs_running|rag"] == 1
    assert seen["groundling_first_token_seconds_count|rag"] == 1
    assert seen["groundling_verdicts_total|rag|refused"] == 1
    assert seen["groundling_guard_decisions_total|block|input"] == 1
    assert seen["groundling_tokens_total|prompt"] == 100
    assert seen["groundling_prompt_cache_ratio"] == 0.75
    assert seen["groundling_generation_seconds_total"] == 2.0
    assert seen["groundling_tokens_per_second_sum"] == 10.0
    metrics.run_ended("rag", "success", 1.5)
    seen = read(metrics, accept)
    assert seen["groundling_runs_running|rag"] == 0
    assert seen["groundling_runs_total|rag|success"] == 1
    assert seen["groundling_run_seconds_sum|rag"] == 1.5


def test_what_others_keep_is_read_when_somebody_asks() -> None:
    metrics = Metrics()
    assert read(metrics)["groundling_queue_waiting"] == 0
    waiting = [1, 2, 3]
    metrics.watch(lambda: len(waiting), lambda: 4, lambda: 5)
    seen = read(metrics)
    assert (seen["groundling_queue_running"], seen["groundling_streams_open"]) == (4, 5)
    waiting.pop()
    assert read(metrics)["groundling_queue_waiting"] == 2
    metrics.watch(lambda: 7, lambda: 0, lambda: 0)
    assert read(metrics)["groundling_queue_waiting"] == 7


def test_this_process_is_told_of() -> None:
    seen = read(Metrics())
    assert seen["process_resident_memory_bytes"] > 1_000_000
    assert seen["process_open_fds"] > 0


@given(st.lists(st.text(max_size=20), max_size=200), st.text(max_size=10))
def test_no_caller_makes_the_series_grow(names: list[str], method: str) -> None:
    metrics = Metrics()
    for name in names:
        metrics.request(name, method + "X", 200, 0.1)
        metrics.run_began(name)
        metrics.verdict(name, name)
    seen = read(metrics)
    assert sum(name.startswith("groundling_runs_running|") for name in seen) <= 65
    requests = [name for name in seen if name.startswith("groundling_http_requests_total|")]
    assert len(requests) <= 65
    assert sum(seen[name] for name in requests) == len(names)


def test_engines_tell_their_totals(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    totals = SimpleNamespace(passes=3, read=40, reused=8)
    one = SimpleNamespace(path=tmp_path / "small.gguf", totals=totals)
    elsewhere = SimpleNamespace(path=tmp_path / "isolated.gguf")  # its child counts for itself
    monkeypatch.setattr(engines, "shared", lambda: [one, one, elsewhere])
    seen = read(Metrics())
    assert seen["groundling_engine_passes_total|small"] == 6
    assert seen["groundling_engine_read_tokens_total|small"] == 80
    assert seen["groundling_engine_reused_tokens_total|small"] == 16
    assert "groundling_engine_passes_total|isolated" not in seen


def reply(cached: int = 6) -> AIMessage:
    usage = {
        "input_tokens": 10,
        "output_tokens": 4,
        "total_tokens": 14,
        "input_token_details": {"cache_read": cached},
    }
    return AIMessage("Yes.", usage_metadata=usage, response_metadata={"decode_seconds": 0.5})


async def test_each_call_of_a_model_is_counted_once() -> None:
    metrics = Metrics()
    model = ScriptedChat([reply(), reply(), reply(), "says nothing of tokens"])
    chain = RunnableLambda(lambda text: text) | model
    with counting(metrics):
        model.invoke("one")
        await model.ainvoke("two")
        await chain.ainvoke("three")
        model.invoke("four")
    model.enqueue(reply())
    model.invoke("nobody counts any more")
    seen = read(metrics)
    assert seen["groundling_tokens_total|prompt"] == 30
    assert seen["groundling_tokens_total|written"] == 12
    assert seen["groundling_tokens_total|cached"] == 18
    assert seen["groundling_generation_seconds_total"] == 1.5


async def test_the_guard_is_counted_at_the_end_of_a_graph() -> None:
    decision = {"rail": "input", "outcome": "flag", "action": "flag"}
    graph = RunnableLambda(lambda _: {"guard": [decision, {**decision, "rail": "output"}]})
    outer = RunnableLambda(lambda value: graph.invoke(value))
    metrics = Metrics()
    with counting(metrics):
        await outer.ainvoke("a graph within a graph is counted once")
        await RunnableLambda(lambda _: {"guard": None}).ainvoke("a graph that has no guard")
    seen = read(metrics)
    assert seen["groundling_guard_decisions_total|flag|input"] == 1
    assert seen["groundling_guard_decisions_total|flag|output"] == 1


class Turn(TypedDict, total=False):
    question: str
    guard: list[dict[str, str]]
    agreed: str


def turns(*, inside: bool) -> Any:
    """Return a graph that judges, asks a person, and judges again; or asks in a graph inside."""

    def judge(state: Turn) -> Turn:
        return {"guard": [{"rail": "input", "action": "flag"}]}

    def ask(state: Turn) -> Turn:
        return {"agreed": interrupt("may I?")}

    def judge_again(state: Turn) -> Turn:
        return {"guard": [*state["guard"], {"rail": "output", "action": "allow"}]}

    asking = StateGraph(Turn).add_node("ask", ask).add_edge(START, "ask").compile()
    return (
        StateGraph(Turn)
        .add_sequence([("judge", judge), ("asks", asking if inside else ask), judge_again])
        .add_edge(START, "judge")
        .compile(checkpointer=InMemorySaver())
    )


@pytest.mark.parametrize("inside", [False, True])
async def test_a_turn_that_waits_for_a_person_is_counted_once(inside: bool) -> None:
    graph, metrics = turns(inside=inside), Metrics()
    thread: Any = {"configurable": {"thread_id": "t"}}
    with counting(metrics):
        waits = await graph.ainvoke({"question": "x"}, thread)
        assert waits["__interrupt__"]
        assert "groundling_guard_decisions_total|flag|input" not in read(metrics)
        answered = await graph.ainvoke(Command(resume="yes"), thread)
        assert (answered["agreed"], len(answered["guard"])) == ("yes", 2)
        await graph.ainvoke({"question": "y"}, thread)
        await graph.ainvoke(Command(resume="no"), thread)
    seen = read(metrics)
    assert seen["groundling_guard_decisions_total|flag|input"] == 2
    assert seen["groundling_guard_decisions_total|allow|output"] == 2


def test_of_two_servers_in_a_process_the_later_counts() -> None:
    first, second = Metrics(), Metrics()
    with counting(first):
        with counting(second):
            ScriptedChat([reply()]).invoke("hello")
        ScriptedChat([reply()]).invoke("hello")
    assert "groundling_tokens_total|prompt" not in read(first)
    assert read(second)["groundling_tokens_total|prompt"] == 10
