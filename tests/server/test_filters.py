"""LangSmith's filter language: reading it, and what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.server.langsmith.conditions import condition
from groundling.server.langsmith.filters import (
    Argument,
    Call,
    FilterError,
    Name,
    parse,
    unparse,
)
from groundling.server.langsmith.queries import add_filters
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Patch, Status
from groundling.tracing.store import TraceStore


@dataclass
class Known:
    """A run as the store has it, for the reference that filters are compared with."""

    number: int
    name: str
    run_type: str
    latency: float | None
    tokens: int | None
    status: Status
    root: bool
    tags: list[str]
    metadata: dict[str, Any]
    feedback: list[tuple[str, float]] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        return UUID(int=self.number)


RUNS = [
    Known(1, "rag", "chain", 2.0, 30, Status.SUCCESS, True, ["x", "prod"], {"user": "a", "n": 1}),
    Known(2, "model", "llm", 1.5, 30, Status.SUCCESS, False, ["x"], {"user": "a"}),
    Known(3, "rag", "chain", 0.5, None, Status.ERROR, True, [], {"user": "b", "flag": True}),
    Known(4, "tool 100%", "tool", 0.1, None, Status.ERROR, False, ["y"], {}),
    Known(5, "ask", "chain", None, None, Status.RUNNING, True, ["prod"], {"n": 2.5}),
    Known(6, "ask", "chain", 9.0, 7, Status.INTERRUPTED, True, ["y"], {"user": "a", "n": "1"}),
]
RUNS[0].feedback = [("correct", 1.0), ("thumbs", -1.0)]
RUNS[2].feedback = [("correct", 0.0)]
RUNS[5].feedback = [("thumbs", 1.0), ("correct", 0.5)]
PARENT = {2: 1, 4: 3}
BEGAN = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    with TraceStore(Path(tmp_path_factory.mktemp("filters")) / "traces.sqlite") as store:
        store.write(
            [
                Patch(
                    run.id,
                    trace=UUID(int=PARENT.get(run.number, run.number)),
                    parent=UUID(int=PARENT[run.number]) if run.number in PARENT else None,
                    name=run.name,
                    run_type=run.run_type,
                    started=BEGAN + run.number,
                    duration=None if run.latency is None else int(run.latency * 1e6),
                    output_tokens=run.tokens,
                    status=run.status,
                    error=f"ValueError('{run.name}')" if run.status is Status.ERROR else None,
                    inputs=encode({"question": f"How many days of {run.name}?"}),
                    outputs=encode({"answer": "Twenty-five days 휴가"}) if run.latency else None,
                    extra=encode({"metadata": run.metadata}),
                    tags=run.tags,
                )
                for run in RUNS
            ]
        )
        FeedbackBook(store).add(
            *(
                Feedback(key=key, run=run.id, score=score)
                for run in RUNS
                for key, score in run.feedback
            )
        )
        yield store


def found(store: TraceStore, text: str) -> list[int]:
    """Return the numbers of the runs that a filter lets through."""
    wanted = RunFilter(roots=None, clauses=[condition(parse(text))])
    return sorted(run.id.int for run in store.find(wanted, limit=100))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('eq(run_type, "llm")', [2]),
        ('and(eq(run_type, "chain"), gt(latency, 1))', [1, 6]),
        ('and(eq(run_type, "chain"), gt(latency, "1s"))', [1, 6]),
        ('lt(latency, "200ms")', [4]),
        ('has(tags, "x")', [1, 2]),
        ('and(or(has(tags, "x"), has(tags, "y")), gt(latency, 2))', [6]),
        ('in(tags, ["x", "y"])', [1, 2, 4, 6]),
        ('not(has(tags, "x"))', [3, 4, 5, 6]),
        ("eq(error, null)", [1, 2, 5, 6]),
        ("neq(error, null)", [3, 4]),
        ('search(error, "100%")', [4]),
        ('eq(status, "error")', [3, 4]),
        ('eq(status, "pending")', [5]),
        ('eq(status, "interrupted")', [6]),
        ('neq(status, "success")', [3, 4, 5, 6]),
        ("eq(is_root, true)", [1, 3, 5, 6]),
        ("eq(is_root, false)", [2, 4]),
        ("gte(total_tokens, 30)", [1, 2]),
        ('eq(id, "00000000-0000-0000-0000-000000000003")', [3]),
        (f'in(id, ["{UUID(int=1)}", "{UUID(int=5)}"])', [1, 5]),
        ("in(id, [])", []),
        (f'eq(trace_id, "{UUID(int=3)}")', [3, 4]),
        (f'eq(parent_run_id, "{UUID(int=1)}")', [2]),
        ('gt(start_time, "2023-11-14T22:13:20.000004Z")', [5, 6]),
        ('lte(start_time, "2023-11-14T23:13:20.000002+01:00")', [1, 2]),
        ('search("days 휴가")', [1, 2, 3, 4, 6]),
        ('search(name, "100%")', [4]),
        ('search(name, "%")', [4]),
        ('like(name, "r%g")', [1, 3]),
        ('search(inputs, "days of ask")', [5, 6]),
        ('search(outputs, "25")', []),
        ('and(eq(metadata_key, "user"), eq(metadata_value, "a"))', [1, 2, 6]),
        ("and(eq(metadata_key, 'user'), neq(metadata_value, 'a'))", [3]),
        ('and(eq(metadata_key, "n"), eq(metadata_value, 1))', [1]),
        ('and(eq(metadata_key, "n"), gt(metadata_value, 2))', [5]),
        ('and(eq(metadata_key, "n"), eq(metadata_value, "1"))', [1, 6]),
        ('and(eq(metadata_key, "flag"), eq(metadata_value, true))', [3]),
        ('neq(metadata_key, "user")', [4, 5]),
        ('in(metadata_key, ["flag", "n"])', [1, 3, 5, 6]),
        ('has(metadata, \'{"user": "a", "n": 1}\')', [1]),
        ('exists(metadata, "n")', [1, 5, 6]),
        ('not(exists(metadata, "user"))', [4, 5]),
        ('eq(feedback_key, "thumbs")', [1, 6]),
        ('and(eq(feedback_key, "correct"), gt(feedback_score, 0))', [1, 6]),
        ('and(eq(feedback_key, "correct"), eq(feedback_score, 0.0))', [3]),
        ('and(eq(feedback_key, "thumbs"), gt(feedback_score, 0.5))', [6]),
        (
            'and(eq(feedback_key, "correct"), gt(feedback_score, 0), '
            'eq(feedback_key, "thumbs"), lt(feedback_score, 0))',
            [1],
        ),
        ('neq(feedback_key, "correct")', [2, 4, 5]),
        (
            'and(gt(start_time, "2023-07-15T12:34:56Z"), or(neq(error, null), '
            'and(eq(feedback_key, "correct"), eq(feedback_score, 1.0))))',
            [1, 3, 4],
        ),
    ],
)
def test_a_filter_finds_the_runs_that_it_describes(
    store: TraceStore, text: str, numbers: list[int]
) -> None:
    assert found(store, text) == numbers


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "should have a function"),
        ("eq", "should have ( after eq"),
        ('eq(name, "x"', "should have )"),
        ('eq(name, "x")) ', "comes ')'"),
        ('eq(name, "x") and eq(name, "y")', "joined with and"),
        ('eq(name, "x', "makes no sense from"),
        ("eq(name, x)", "texts stand in quotes"),
        ('same(name, "x")', "There is no function same; there are and, or"),
        ('eq(nom, "x")', "Runs have no field nom; they have"),
        ("eq(latency, null, 1)", "takes 2 things"),
        ("and()", "needs conditions"),
        ("not(1)", "1 is no condition"),
        ('gt(latency, "soon")', "does not fit latency"),
        ("eq(name, 5)", "does not fit name"),
        ('eq(id, "5")', "does not fit id"),
        ('gt(start_time, "yesterday")', "does not fit start_time"),
        ("gt(name, null)", "can only be equal to null"),
        ('in(name, "x")', "with a list"),
        ('eq(name, ["x"])', "with one value"),
        ('eq(status, "done")', "status is equal or not to one of"),
        ("has(metadata, 'user')", "wants JSON"),
        ('has(name, "x")', "has looks into"),
        ("search(1)", "search looks for a text"),
        ("search(latency, 'x')", "latency is none"),
        ("eq(eq, eq(name))", "is no value"),
        ("(" * 10, "a function such as eq"),
        ("not(" * 60 + "x", "at most 40"),
        ("and(" * 5000, "at most 40"),
        ("é(1)", "makes no sense from 'é(1)'"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(FilterError, match=re.escape(reason)):
        condition(parse(text))


def test_trace_and_tree_filters_look_at_the_root_and_at_any_run(store: TraceStore) -> None:
    def numbers(**body: str) -> list[int]:
        wanted = RunFilter(roots=None)
        add_filters(wanted, body)
        return sorted(run.id.int for run in store.find(wanted, limit=100))

    assert numbers(trace_filter='eq(status, "error")') == [3, 4]
    assert numbers(filter='eq(run_type, "llm")', trace_filter='has(tags, "prod")') == [2]
    assert numbers(tree_filter='eq(run_type, "tool")') == [3, 4]
    assert numbers(trace_filter='and(eq(feedback_key, "thumbs"), lt(feedback_score, 0))') == [1, 2]
    assert numbers(tree_filter='search("휴가")', filter="eq(is_root, true)") == [1, 3, 6]


# The reference: filters on plain Python values.

TEXT_FIELDS = {"name": lambda run: run.name, "run_type": lambda run: run.run_type}
NUMBER_FIELDS = {"latency": lambda run: run.latency, "total_tokens": lambda run: run.tokens}
COMPARE = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "gte": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "lte": lambda a, b: a is not None and a <= b,
}


def passes(run: Known, node: Argument) -> bool:
    """Evaluate a filter as one would by hand."""
    assert isinstance(node, Call)
    if node.function == "and":
        return all(passes(run, each) for each in node.arguments)
    if node.function == "or":
        return any(passes(run, each) for each in node.arguments)
    if node.function == "not":
        return not passes(run, node.arguments[0])
    name, value = node.arguments
    assert isinstance(name, Name)
    match name.text:
        case "tags":
            return value in run.tags
        case "is_root":
            return run.root is value
        case "metadata":
            return value in run.metadata
        case "feedback_score":
            return any(COMPARE[node.function](score, value) for _, score in run.feedback)
        case "feedback_key":
            has = any(key == value for key, _ in run.feedback)
            return has if node.function == "eq" else not has
    get = {**TEXT_FIELDS, **NUMBER_FIELDS}[name.text]
    if node.function == "in":
        assert isinstance(value, tuple)
        return get(run) in value
    return bool(COMPARE[node.function](get(run), value))


names = st.sampled_from(["rag", "ask", "model", "tool 100%", "chain", "llm", "it's", 'a "b"', "\\"])
simple = st.one_of(
    st.builds(
        lambda function, name, value: Call(function, (Name(name), value)),
        st.sampled_from(sorted(COMPARE)),
        st.sampled_from(sorted(TEXT_FIELDS)),
        names,
    ),
    st.builds(
        lambda function, name, value: Call(function, (Name(name), value)),
        st.sampled_from(sorted(COMPARE)),
        st.sampled_from(sorted(NUMBER_FIELDS)),
        st.sampled_from([0, 0.1, 0.5, 1.5, 2, 7, 30, -1]),
    ),
    st.builds(
        lambda name, values: Call("in", (Name(name), tuple(values))),
        st.sampled_from(sorted(TEXT_FIELDS)),
        st.lists(names, max_size=3),
    ),
    st.builds(lambda tag: Call("has", (Name("tags"), tag)), st.sampled_from(["x", "y", "prod"])),
    st.builds(lambda value: Call("eq", (Name("is_root"), value)), st.booleans()),
    st.builds(lambda key: Call("exists", (Name("metadata"), key)), st.sampled_from(["user", "n"])),
    st.builds(
        lambda function, key: Call(function, (Name("feedback_key"), key)),
        st.sampled_from(["eq", "neq"]),
        st.sampled_from(["correct", "thumbs", "other"]),
    ),
)
alone = st.builds(
    lambda function, score: Call("or", (Call(function, (Name("feedback_score"), score)),)),
    st.sampled_from(sorted(COMPARE)),
    st.sampled_from([-1.0, 0.0, 0.5, 1.0]),
)


def one_piece(node: Call) -> Call:
    """Keep feedback keys of one `and` apart: joined they would mean one piece of feedback."""
    if node.function != "and":
        return node
    return Call("and", tuple(Call("or", (each,)) for each in node.arguments))


filters = st.recursive(
    simple | alone,
    lambda inner: st.one_of(
        st.builds(
            lambda function, parts: one_piece(Call(function, tuple(parts))),
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda part: Call("not", (part,)), inner),
    ),
    max_leaves=8,
)


@given(node=filters)
def test_filters_mean_in_sql_what_they_mean_by_hand(store: TraceStore, node: Call) -> None:
    expected = [run.number for run in RUNS if passes(run, node)]
    assert found(store, unparse(node)) == expected


values = (
    st.one_of(
        st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
    )
    | st.none()
)
identifiers = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in ("true", "false", "null", "none")
)
anything = st.recursive(
    st.builds(lambda name: Call(name, ()), identifiers),
    lambda inner: st.builds(
        lambda name, arguments: Call(name, tuple(arguments)),
        identifiers,
        st.lists(
            inner | values | st.builds(Name, identifiers) | st.lists(values).map(tuple), max_size=3
        ),
    ),
    max_leaves=6,
)


@given(node=anything)
def test_what_is_written_down_is_read_back(node: Call) -> None:
    assert parse(unparse(node)) == node


@given(text=st.text() | st.text(alphabet="and(eq[],\"\\ 'x1.-)"))
def test_any_text_is_a_filter_or_is_refused(store: TraceStore, text: str) -> None:
    try:
        node = parse(text)
        sql, parameters = condition(node)
    except FilterError:
        return
    store.find(RunFilter(roots=None, clauses=[(sql, parameters)]))
