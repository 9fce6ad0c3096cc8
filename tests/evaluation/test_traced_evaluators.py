"""Evaluators that look at documents and at the trace."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import EvaluationError
from groundling.evaluation.evaluators.citations import CitationValidity, CitedSpan
from groundling.evaluation.evaluators.groundedness import Groundedness
from groundling.evaluation.evaluators.measures import Latency, Tokens
from groundling.evaluation.evaluators.trajectory import Trajectory, matched
from groundling.evaluation.recorded import ToolCall
from groundling.knowledge.base import Knowledge
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status
from tests.evaluation.conftest import example, result, tool

TEXT = "# Leave\n\nUp to 6 days of leave may be carried over. Sick leave is another matter.\n"


@pytest.fixture
def knowledge(tmp_path: Path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text(TEXT, encoding="utf-8")
    with Knowledge.open(tmp_path / "knowledge", None) as opened:
        opened.add([folder])
        yield opened


def citation(knowledge: Knowledge, quote: str, **changed) -> dict:
    [document] = knowledge.documents()
    start = TEXT.index(quote)
    made = {
        "number": 1, "document_id": document.id, "source": document.source,
        "start": start, "end": start + len(quote), "quote": quote,
    }  # fmt: skip
    return made | changed


def test_each_quote_is_the_stored_text(knowledge):
    evaluator = CitationValidity(knowledge)
    good = citation(knowledge, "Up to 6 days of leave may be carried over.")
    moved = good | {"number": 2, "start": good["start"] + 1}
    foreign = good | {"number": 3, "document_id": 99}
    cut = {key: value for key, value in good.items() if key != "end"}

    def judged(*citations):
        return evaluator.evaluate(example(), result({"answer": "6", "citations": list(citations)}))

    assert judged(good).value == 1
    assert judged(good, moved).value == 0
    assert "[2] quotes what does not stand at" in judged(good, moved).comment
    assert "[3]: There is no document" in judged(foreign).comment
    assert "has no 'end'" in judged(cut).comment
    assert judged().value is None


def test_the_gold_spans_are_cited(knowledge):
    span = {"document": "leave.md", "quote": "6 days of leave may be carried over"}
    gold = {"answer": "6 days", "accept": ["6 days"], "spans": [span], "refuse": False}
    on_it = citation(knowledge, "Up to 6 days of leave may be carried over.")
    beside = citation(knowledge, "Sick leave is another matter.")
    elsewhere = on_it | {"source": "/folder/other.md"}

    def judged(outputs, *citations):
        given = result({"answer": "6", "citations": list(citations)})
        return CitedSpan().evaluate(example("?", outputs), given)

    assert judged(gold, beside, on_it).value == 1
    assert judged(gold, beside).value == 0
    assert "not cited: leave.md" in judged(gold, beside).comment
    assert judged(gold, elsewhere).value == 0
    second = {"document": "travel.md", "quote": "none"}
    assert judged(gold | {"spans": [span, second]}, on_it).value == 0
    assert judged({"answer": "none", "spans": [], "refuse": True}).value is None


def retrieve(knowledge: Knowledge) -> Patch:
    chosen = [passage.chunk_id for passage in knowledge.search_lexical("leave", 3)]
    return Patch(
        uuid4(), name="retrieve", run_type="chain", duration=1, status=Status.SUCCESS,
        inputs=encode({}), outputs=encode({"passages": chosen}),
        extra=encode({"metadata": {"langgraph_node": "retrieve"}}),
    )  # fmt: skip


def test_sentences_stand_in_what_was_retrieved(knowledge, traces):
    evaluator = Groundedness(knowledge)

    def judged(answer, *runs):
        return evaluator.evaluate(example("How many days?"), result(answer, traces, *runs))

    assert judged("Up to 6 days of leave may be carried over.", retrieve(knowledge)).value == 1
    half = judged("6 days of leave may be carried over. The moon is made of cheese.",
                  retrieve(knowledge))  # fmt: skip
    assert half.value == 0.5
    assert "moon" in half.comment
    assert judged("7 days of leave may be carried over.", retrieve(knowledge)).value == 0
    assert judged("6 days may be carried over.").comment == "nothing was retrieved"
    assert judged({"answer": "Not in these documents.", "verdict": "refused"}).value is None


def test_documents_of_langchains_retrievers_count(traces):
    documents = [{"page_content": "Bomun seats 24 people.", "metadata": {}, "type": "Document"}]
    found = Patch(
        uuid4(), name="Retriever", run_type="retriever", duration=1, status=Status.SUCCESS,
        inputs=encode({"query": "rooms"}), outputs=encode({"documents": documents}),
    )  # fmt: skip
    given = result("Bomun seats 24 people.", traces, found)
    assert Groundedness().evaluate(example("Which room?"), given).value == 1


def test_time_and_tokens_are_the_traces(traces):
    model = Patch(
        uuid4(), name="model", run_type="llm", duration=1, status=Status.SUCCESS,
        input_tokens=30, output_tokens=12, cached_tokens=20,
    )  # fmt: skip
    given = result("6", traces, model)
    assert Latency().evaluate(example(), given).value == 2.5
    tokens = Tokens().evaluate(example(), given)
    assert (tokens.value, tokens.better) == (42, "lower")
    assert tokens.detail == {"input": 30, "output": 12, "cached": 20}
    assert Tokens().evaluate(example(), result("6", traces)).value is None


SEARCH = ("search", {"query": "leave"})
ADD = ("add", {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("mode", "ran", "wanted", "fits"),
    [
        ("strict", [SEARCH, ADD], [SEARCH, ADD], True),
        ("strict", [ADD, SEARCH], [SEARCH, ADD], False),
        ("unordered", [ADD, SEARCH], [SEARCH, ADD], True),
        ("unordered", [ADD, ADD], [ADD, SEARCH], False),
        ("subset", [ADD], [SEARCH, ADD], True),
        ("subset", [ADD, ADD], [SEARCH, ADD], False),
        ("superset", [SEARCH, ADD, ADD], [ADD, SEARCH], True),
        ("superset", [ADD], [ADD, SEARCH], False),
        ("strict", [SEARCH], ["search"], True),
        ("strict", [SEARCH], [("search", {"query": "travel"})], False),
        ("unordered", [("search", {"query": "travel"}), SEARCH], ["search", SEARCH], True),
        ("strict", [], [], True),
    ],
)
def test_what_ran_fits_what_should_have(traces, mode, ran, wanted, fits):
    listed = [
        each if isinstance(each, str) else {"name": each[0], "args": each[1]} for each in wanted
    ]
    given = result("done", traces, *(tool(name, args) for name, args in ran))
    score = Trajectory(mode).evaluate(example("?", {"trajectory": listed}), given)
    assert score.value == fits
    assert (score.comment is None) == fits


def test_tools_are_read_as_langchain_writes_them(traces):
    outer = tool("plan", {"input": "{'query': 'leave', 'n': 2}"})
    inner = tool("inner", {"input": "text"}, parent=outer.id)
    last = tool("echo", {"input": "just text"})
    given = result("done", traces, outer, inner, last)
    assert given.trace.tool_calls == [
        ToolCall("plan", {"query": "leave", "n": 2}),
        ToolCall("echo", {"input": "just text"}),
    ]


def test_an_example_without_a_trajectory_is_not_judged(traces):
    given = result("done", traces)
    assert Trajectory().evaluate(example("?", "6"), given).value is None
    with pytest.raises(EvaluationError, match="no call"):
        Trajectory().evaluate(example("?", {"trajectory": [3]}), given)


CALLS = st.lists(st.sampled_from(["a", "b", "c"]).map(lambda name: ToolCall(name, {})), max_size=6)


@given(CALLS, CALLS, st.randoms())
def test_pairs_do_not_depend_on_the_order(made, wanted, random):
    shuffled = list(made)
    random.shuffle(shuffled)
    assert matched(made, wanted) == matched(shuffled, wanted) <= min(len(made), len(wanted))
    assert matched(made, made) == len(made)


def test_a_run_that_was_not_recorded_says_so(traces):
    given = result("6", traces)
    lost = type(given.trace)(traces, uuid4())
    with pytest.raises(EvaluationError, match="not recorded"):
        _ = lost.root
