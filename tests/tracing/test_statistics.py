"""Statistics say what was recorded, whatever the traces look like, from one index."""

from __future__ import annotations

import statistics as reference
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph

from groundling.tracing import statistics as module
from groundling.tracing.run import Status
from groundling.tracing.statistics import statistics
from groundling.tracing.store import TraceStore
from tests.scripted import ScriptedChat
from tests.tracing.traces import NOW, SECOND, Trace, rag


def rows_of(store, **wanted):
    return {(row.graph, row.node): row for row in statistics(store, **wanted)}


def test_graphs_and_nodes_are_counted_once(store):
    for n in range(3):
        store.write(rag(NOW + n * SECOND).end(1.0 + n))
    rows = rows_of(store)
    assert set(rows) == {("rag", None), ("rag", "retrieve"), ("rag", "judge"), ("rag", "answer")}
    assert {row.count for row in rows.values()} == {3}
    assert rows["rag", None].p50 == 2.0
    assert rows["rag", "answer"].p50 == pytest.approx(0.6)


def test_tokens_are_those_of_the_models_inside(store):
    store.write(rag().end())
    rows = rows_of(store)
    answer, judge, graph = rows["rag", "answer"], rows["rag", "judge"], rows["rag", None]
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (40, 8, 30)
    assert (judge.input_tokens, judge.output_tokens) == (60, 1)  # a choice, not only models
    assert (graph.input_tokens, graph.output_tokens, graph.cached_tokens) == (100, 9, 50)
    assert graph.cached_share == 0.5
    assert answer.first_token == pytest.approx(0.1)
    assert graph.first_token == pytest.approx(0.41)  # of the whole trace
    # Eight tokens in the 0.4 s that were left after the first.
    assert answer.speed == graph.speed == pytest.approx(20.0)
    assert judge.speed is None


def test_how_runs_stopped_is_told_apart(store):
    ends = {
        "ValueError('x')": 2,
        "GraphInterrupt(())": 1,
        "CancelledError()": 1,
        None: 4,
    }
    for error, count in ends.items():
        for _ in range(count):
            store.write(Trace("agent").end(error=error))
    store.write(Trace("agent").end(status=Status.LOST))
    store.write(Trace("agent").patches)
    row = rows_of(store)["agent", None]
    assert (row.count, row.running, row.errors) == (10, 1, 2)
    assert (row.interrupted, row.cancelled, row.lost) == (1, 1, 1)
    assert row.error_share == pytest.approx(2 / 9)  # of those that are over


@given(st.lists(st.integers(0, 10**10), min_size=2, max_size=60))
def test_percentiles_are_those_of_the_field(durations):
    written = str(durations)
    times = module._seconds(written)
    p50, p95 = module._percentiles(times, 50, 95)
    cuts = reference.quantiles([each / 1e6 for each in durations], n=100, method="inclusive")
    assert p50 == pytest.approx(cuts[49])
    assert p95 == pytest.approx(cuts[94])


def test_nothing_is_measured_of_what_has_not_ended(store):
    store.write(Trace("rag").patches)
    [row] = statistics(store)
    assert (row.p50, row.p95, row.first_token, row.speed) == (None, None, None, None)
    assert (row.error_share, row.cached_share) == (0.0, 0.0)


def test_a_window_a_graph_and_a_project_narrow_it(store):
    for n, (name, project) in enumerate([("rag", "a"), ("rag", "b"), ("ask", "a")]):
        store.write(Trace(name, NOW + n * SECOND, project=project).end())
    assert set(rows_of(store, since=NOW + SECOND)) == {("rag", None), ("ask", None)}
    assert rows_of(store, since=NOW + SECOND)["rag", None].count == 1
    assert set(rows_of(store, until=NOW + SECOND)) == {("rag", None)}
    assert set(rows_of(store, graph="ask")) == {("ask", None)}
    assert rows_of(store, project="a")["rag", None].count == 1
    assert rows_of(store, project="no such") == {}


def test_the_most_used_graph_comes_first_and_the_dearest_node(store):
    store.write(Trace("ask").end())
    for n in range(2):
        store.write(rag(NOW + n).end())
    assert [(row.graph, row.node) for row in statistics(store)] == [
        ("rag", None),
        ("rag", "answer"),
        ("rag", "judge"),
        ("rag", "retrieve"),
        ("ask", None),
    ]


def test_a_model_called_by_itself_is_its_own_graph(store):
    trace = Trace("ChatLlama", run_type="llm", first_token=SECOND)
    store.write(trace.end(2.0, input_tokens=10, output_tokens=5))
    [row] = statistics(store)
    assert (row.graph, row.node, row.count) == ("ChatLlama", None, 1)
    assert row.speed == pytest.approx(5.0)


def test_everything_is_read_from_the_one_index(store):
    for query, group in ((module._TRACES, "graph"), (module._INSIDE, "graph, node")):
        plan = store.read(f"EXPLAIN QUERY PLAN {query} GROUP BY {group}")
        assert [row[3] for row in plan] == ["SEARCH runs USING INDEX runs_statistics (graph>?)"]


class State(TypedDict, total=False):
    question: str
    answer: str


def test_what_langgraph_and_a_model_leave_behind_is_counted(recorded):
    usage = {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}
    model = ScriptedChat([AIMessage("17", usage_metadata=usage) for _ in range(2)])

    def answer(state: State) -> State:
        return {"answer": model.invoke(state["question"]).text}

    def shout(state: State) -> State:
        return {"answer": state["answer"] + "!"}

    graph = StateGraph(State)
    graph.add_node("answer", RunnableLambda(answer, name="answer"))
    graph.add_node("shout", shout)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "shout")
    graph.add_edge("shout", END)
    compiled = graph.compile(name="sample")
    for _ in range(2):
        compiled.invoke({"question": "How many?"})
    store: TraceStore = recorded.store
    rows = rows_of(store)
    assert set(rows) == {("sample", None), ("sample", "answer"), ("sample", "shout")}
    assert {row.count for row in rows.values()} == {2}
    assert rows["sample", "answer"].input_tokens == 60
    assert rows["sample", None].output_tokens == 10
