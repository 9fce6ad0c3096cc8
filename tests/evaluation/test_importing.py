"""Examples come from files and from runs; what cannot be read is named."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore, NewExample
from groundling.evaluation.filters import parse_filter
from groundling.evaluation.importing import from_runs, import_file, import_runs, mirror_file
from groundling.evaluation.reading import Mapped, read_text
from groundling.evaluation.shipped import dataset_of
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Patch, Status


@pytest.fixture
def store(tmp_path: Path):
    with DatasetStore(tmp_path / "evaluation.sqlite") as opened:
        yield opened


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def test_lines_of_both_forms_go_in_and_bad_ones_are_named(store, tmp_path):
    file = write(
        tmp_path,
        "questions.jsonl",
        '{"inputs": {"q": 1}, "outputs": {"a": 2}, "metadata": {"m": 3}, "split": "test"}\n'
        "\n"
        "{broken\n"
        "[1]\n"
        '{"inputs": "text"}\n'
        '{"question": "why?", "answer": "so", "level": "easy"}\n'
        '{"level": "easy"}\n'
        '{"inputs": {"x": NaN}}\n',
    )
    report = import_file(store, "mixed", file)
    assert report.added == 2
    first, second = store.examples("mixed")
    assert (first.inputs, first.outputs, first.metadata, first.split) == (
        {"q": 1}, {"a": 2}, {"m": 3}, ["test"],
    )  # fmt: skip
    assert (second.inputs, second.outputs) == ({"question": "why?"}, {"answer": "so"})
    assert second.metadata == {"level": "easy"}
    assert [(bad.file, bad.line) for bad in report.bad] == [
        ("questions.jsonl", line) for line in (3, 4, 5, 7, 8)
    ]
    assert "not JSON" in report.bad[0].reason
    assert str(report.bad[1]) == "questions.jsonl:4: not an object"


def test_what_is_there_already_is_not_added_again(store, tmp_path):
    file = write(tmp_path, "q.jsonl", '{"question": "a"}\n{"question": "b"}\n{"question": "a"}\n')
    report = import_file(store, "d", file)
    assert (report.added, report.present) == (2, 1)
    version = store.get("d").version
    again = import_file(store, "d", file)
    assert (again.added, again.present, again.version) == (0, 3, version)


def test_a_data_set_can_follow_its_file(store, tmp_path):
    import_file(store, "d", write(tmp_path, "q.jsonl", '{"question": "a"}\n{"question": "b"}\n'))
    kept = store.examples("d")[1]
    mirror_file(store, "d", write(tmp_path, "q.jsonl", '{"question": "b"}\n{"question": "c"}\n'))
    assert [each.inputs["question"] for each in store.examples("d")] == ["b", "c"]
    assert store.examples("d")[0] == kept


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_csv_of_every_encoding(store, tmp_path, encoding):
    text = (
        "질문,정답,언어\n"
        "휴가는 며칠까지 이월할 수 있습니까?,6일,ko\n"
        '"쉼표, ""따옴표""와\n줄바꿈",예,ko\n'
        "열이,셋이,아니다,\n"
        "\n"
        "답이 없는 질문,,ko\n"
    )
    report = import_file(store, "k", write(tmp_path, "q.csv", text, encoding))
    first, second, third = store.examples("k")
    assert first.inputs == {"question": "휴가는 며칠까지 이월할 수 있습니까?"}
    assert (first.outputs, first.metadata) == ({"answer": "6일"}, {"언어": "ko"})
    assert second.inputs == {"question": '쉼표, "따옴표"와\n줄바꿈'}
    assert third.outputs is None
    assert [(bad.line, bad.reason) for bad in report.bad] == [(5, "4 columns instead of 3")]


def test_columns_are_mapped(store, tmp_path):
    file = write(tmp_path, "q.csv", "Frage;Antwort;Thema;Nr\nWarum?;Darum;x;1\n")
    mapped = Mapped.parse(["question=Frage"], ["answer=Antwort"], ["topic=Thema"])
    import_file(store, "d", file, mapped)
    [example] = store.examples("d")
    assert (example.inputs, example.outputs) == ({"question": "Warum?"}, {"answer": "Darum"})
    assert example.metadata == {"topic": "x"}
    tabbed = write(tmp_path, "q.tsv", "question\tanswer\na, b\tc\n")
    import_file(store, "t", tabbed)
    assert store.examples("t")[0].inputs == {"question": "a, b"}


@pytest.mark.parametrize(
    ("name", "text", "mapped", "reason"),
    [
        ("q.csv", "a,b\n1,2\n", None, "not said which are inputs: a, b"),
        ("q.csv", "a,a\n1,2\n", None, "name its columns"),
        ("q.csv", "", None, "name its columns"),
        ("q.csv", "a,b\n1,2\n", Mapped.parse(["c"], []), "no column c"),
        ("q.jsonl", "\x00\x01", None, "cannot be read"),
        ("missing/q.jsonl", None, None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_read_say_why_and_make_no_data_set(
    store, tmp_path, name, text, mapped, reason
):
    file = tmp_path / name if text is None else write(tmp_path, name, text)
    with pytest.raises(EvaluationError, match=reason) as raised:
        import_file(store, "d", file, mapped)
    assert raised.value.hint
    assert store.list() == []


def test_outputs_without_inputs_are_no_mapping():
    assert Mapped.parse([], []) is None
    with pytest.raises(EvaluationError, match="inputs"):
        Mapped.parse([], ["answer"])


@given(st.text())
def test_any_text_becomes_examples_or_reasons(text):
    for line, found in read_text(text):
        assert line >= 1
        assert isinstance(found, str | NewExample)


def test_a_schema_turns_lines_away(store, tmp_path):
    store.create("d", inputs_schema={"properties": {"question": {"minLength": 2}}})
    file = write(tmp_path, "q.jsonl", '{"question": "a"}\n{"question": "abc"}\n')
    report = import_file(store, "d", file)
    assert report.added == 1
    assert report.bad[0].line == 1
    assert "question" in report.bad[0].reason


# from runs


def run(store, question: str, outputs=None, **fields) -> Patch:
    patch = Patch(
        uuid4(), name=fields.pop("name", "rag"), run_type="chain", started=fields.pop("started", 1),
        duration=5, inputs=encode({"question": question}), outputs=encode(outputs),
        status=fields.pop("status", Status.SUCCESS), **fields,
    )  # fmt: skip
    store.write([patch])
    return patch


def test_runs_become_examples_with_what_would_have_been_right(traces, store):
    good = run(traces, "a", {"answer": "1", "verdict": "answered", "messages": ["long"]})
    wrong = run(traces, "b", {"answer": "2"}, started=2)
    fields = run(traces, "c", {"answer": "3"}, started=3)
    failed = run(traces, "d", status=Status.ERROR, error="ValueError()", started=4)
    book = FeedbackBook(traces)
    book.add(
        Feedback("thumbs", good.id, score=1.0),
        Feedback("thumbs", wrong.id, score=-1.0, correction="two"),
        Feedback("thumbs", fields.id, score=-1.0, correction={"answer": "three", "unit": "days"}),
    )
    report = import_runs(store, "all", traces, RunFilter())
    assert report.added == 4
    examples = store.examples("all")
    assert [each.outputs for each in examples] == [
        {"answer": "1", "verdict": "answered"},
        {"answer": "two"},
        {"answer": "three", "unit": "days"},
        None,
    ]
    assert [each.source_run_id for each in examples] == [
        good.id, wrong.id, fields.id, failed.id,
    ]  # fmt: skip
    assert examples[0].metadata == {
        "graph": "rag", "verdict": "answered", "feedback": {"thumbs": 1.0},
    }  # fmt: skip
    bad = [new.inputs["question"] for new, _ in from_runs(traces, parse_filter("feedback<0"))]
    assert bad == ["b", "c"]


def test_filters_choose_runs(traces):
    run(traces, "a", {"answer": "1", "verdict": "refused"})
    run(traces, "b", {"answer": "2"}, name="ask", started=1_795_000_000_000_000)
    run(traces, "c", status=Status.ERROR, error="ValueError()")

    def chosen(expression):
        found = traces.find(parse_filter(expression), oldest_first=True)
        return {traces.payload(each).inputs["question"] for each in found}

    assert chosen("verdict=refused") == {"a"}
    assert chosen("graph=ask") == {"b"}
    assert chosen("graph = 'rag' and status=error") == {"c"}
    assert chosen("since=2026-11-01") == {"b"}
    assert chosen("until=2026-11-01 AND graph=rag") == {"a", "c"}
    assert chosen("feedback.thumbs") == set()
    assert chosen("seconds>1") == set()


@pytest.mark.parametrize(
    "expression",
    ["", "and", "nonsense=1", "graph", "graph=a graph=b", "graph=a and graph=b", "graph<3",
     "feedback", "feedback<x", "status=broken", "seconds=3", "since=yesterdayish", "graph.x=1",
     "graph=a and", "graph=a;drop"],
)  # fmt: skip
def test_what_is_no_filter_is_told_from_where_on(expression):
    if expression == "graph=a;drop":  # a name like any other: it goes into SQL as a parameter
        assert parse_filter(expression).graph == "a;drop"
        return
    with pytest.raises(EvaluationError, match="at character") as raised:
        parse_filter(expression)
    assert "feedback<0" in str(raised.value.hint)


@given(st.text())
def test_any_text_is_a_filter_or_refused(expression):
    with suppress(EvaluationError):
        assert isinstance(parse_filter(expression), RunFilter)


# shipped


def test_the_shipped_questions_are_there_when_asked_for(store, tmp_path):
    found = dataset_of(store, "handbook")
    lines = (Path(__file__).parents[2] / "data" / "handbook-questions.jsonl").read_text("utf-8")
    assert found.example_count == len(lines.splitlines())
    assert dataset_of(store, "handbook") == found
    with DatasetStore(tmp_path / "another.sqlite") as other:
        same = dataset_of(other, "handbook")
        assert (same.id, same.version) == (found.id, found.version)
        assert [each.id for each in other.examples("handbook")] == [
            each.id for each in store.examples("handbook")
        ]


def test_newer_shipped_questions_are_taken_over_unless_they_were_changed_here(
    store, tmp_path, monkeypatch
):
    from groundling.evaluation import shipped

    def ship(**answers: str) -> None:
        file = tmp_path / "questions.jsonl"
        lines = [
            json.dumps({"inputs": {"question": id}, "outputs": {"answer": answer},
                        "metadata": {"id": id}})
            for id, answer in answers.items()
        ]  # fmt: skip
        file.write_text("\n".join(lines), encoding="utf-8")
        os.utime(file)

    monkeypatch.setattr(shipped.resources, "files", lambda package: tmp_path)
    monkeypatch.setattr(shipped, "SHIPPED", {"set": ("questions.jsonl", "A set.")})
    ship(a="1", b="2")
    before = dataset_of(store, "set")
    ids = {each.inputs["question"]: each.id for each in store.examples("set")}
    ship(a="1", b="3", c="4")
    assert dataset_of(store, "set").version != before.version
    now = {each.inputs["question"]: each for each in store.examples("set")}
    assert {name: each.outputs["answer"] for name, each in now.items()} == {
        "a": "1", "b": "3", "c": "4",
    }  # fmt: skip
    assert now["b"].id == ids["b"]
    ship(a="1", c="4")
    dataset_of(store, "set")
    ship(a="1", b="5", c="4")
    dataset_of(store, "set")
    assert {each.id for each in store.examples("set")} >= {ids["a"], ids["b"]}
    store.change(ids["a"], outputs={"answer": "mine"})
    ship(a="9")
    dataset_of(store, "set")
    assert store.example(ids["a"]).outputs == {"answer": "mine"}
