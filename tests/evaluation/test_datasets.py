"""Data sets keep every version of themselves."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore, ExampleChange, NewExample
from groundling.evaluation.example import Content, version_name


@pytest.fixture
def store(tmp_path: Path):
    with DatasetStore(tmp_path / "evaluation.sqlite") as opened:
        yield opened


def new(question: str, answer: str | None = None, **more) -> NewExample:
    return NewExample(
        {"question": question}, None if answer is None else {"answer": answer}, **more
    )


def asked(examples) -> list[str]:
    return [example.inputs["question"] for example in examples]


def test_an_example_comes_back_as_it_went_in(store):
    dataset = store.create("handbook", "questions", metadata={"licence": "CC0"})
    source = uuid4()
    [made] = store.add(
        "handbook",
        [
            NewExample(
                {"question": "휴가는 며칠?", "n": 2**70, "list": [1.5, None, {"a": True}]},
                {"answer": "6일"},
                {"language": "ko"},
                ["train", "test"],
                source,
            )
        ],
    )
    assert store.examples(dataset.id) == [made]
    assert store.example(made.id) == made
    assert made.inputs == {"question": "휴가는 며칠?", "n": 2**70, "list": [1.5, None, {"a": True}]}
    assert (made.outputs, made.metadata) == ({"answer": "6일"}, {"language": "ko"})
    assert (made.split, made.source_run_id, made.dataset_id) == (
        ["test", "train"],
        source,
        dataset.id,
    )
    now = store.get(str(dataset.id))
    assert (now.example_count, now.description, now.metadata) == (
        1,
        "questions",
        {"licence": "CC0"},
    )


def test_every_earlier_version_stays_readable(store):
    store.create("d")
    first, second = store.add("d", [new("a", "1"), new("b")])
    two = store.get("d").version
    store.change(first.id, outputs={"answer": "2"})
    changed = store.get("d").version
    store.remove([second.id])
    store.add("d", [new("c")])
    assert asked(store.examples("d")) == ["a", "c"]
    assert asked(store.examples("d", as_of=changed)) == ["a", "b"]
    assert store.examples("d", as_of=changed)[0].outputs == {"answer": "2"}
    assert store.examples("d", as_of=two[:8]) == [first, second]
    assert store.example(second.id, as_of=two) == second
    assert [each.example_count for each in store.versions("d")] == [2, 1, 2, 2, 0]
    with pytest.raises(EvaluationError):
        store.example(second.id)


def test_a_version_is_found_by_its_time_and_its_tag(store):
    store.create("d")
    before = datetime.now(UTC) - timedelta(days=1)
    store.add("d", [new("a")])
    then = store.versions("d")[0]
    store.tag("d", then.name, "release")
    store.add("d", [new("b")])
    assert asked(store.examples("d", as_of="release")) == ["a"]
    assert asked(store.examples("d", as_of=then.created)) == ["a"]
    moment = datetime.fromtimestamp(then.created / 1e6, UTC) + timedelta(microseconds=1)
    assert store.version("d", moment).name in {each.name for each in store.versions("d")}
    assert asked(store.examples("d", as_of="latest")) == ["a", "b"]
    assert "release" in store.version("d", "release").tags
    for unknown in (before, before.isoformat(), "no such tag", "abcdef0123"):
        with pytest.raises(EvaluationError) as raised:
            store.examples("d", as_of=unknown)
        assert "groundling dataset versions d" in str(raised.value.hint)


def test_a_version_is_named_by_what_it_holds(store, tmp_path):
    store.create("one")
    store.add("one", [new("a"), new("b")])
    store.create("two")
    store.add("two", [new("b")])
    store.add("two", [new("a")])
    assert store.get("one").version == store.get("two").version
    store.add("two", [new("a")])
    assert store.get("one").version != store.get("two").version


def test_what_changes_nothing_makes_no_version(store):
    store.create("d")
    [example] = store.add("d", [new("a", "1")])
    before = store.versions("d")
    assert store.change(example.id, inputs={"question": "a"}, split=["base"]) == example
    assert store.add("d", []) == []
    assert store.versions("d") == before


def test_changes_of_several_are_one_version(store):
    store.create("d")
    first, second = store.add("d", [new("a"), new("b")])
    store.change_all(
        [
            ExampleChange(first.id, metadata={"x": 1}),
            ExampleChange(second.id, split=["test"]),
            ExampleChange(first.id, metadata={"x": 2}),
        ]
    )
    assert len(store.versions("d")) == 3
    assert store.example(first.id).metadata == {"x": 2}
    assert asked(store.examples("d", splits=["test"])) == ["b"]


def test_examples_are_narrowed(store):
    store.create("d")
    made = store.add(
        "d", [new(str(n), metadata={"n": n, "deep": {"even": n % 2 == 0}}) for n in range(6)]
    )
    assert asked(store.examples("d", metadata={"deep": {"even": True}})) == ["0", "2", "4"]
    assert asked(store.examples("d", metadata={"n": 3})) == ["3"]
    assert asked(store.examples("d", ids=[made[5].id, made[1].id])) == ["1", "5"]
    assert asked(store.examples("d", limit=2, offset=3)) == ["3", "4"]
    assert asked(store.examples("d", splits=["other"])) == []


@pytest.mark.parametrize("name", ["", " a", "a\n", "-a", "x" * 201, str(uuid4()), "a\x00b"])
def test_bad_names_are_refused(store, name):
    with pytest.raises(EvaluationError) as raised:
        store.create(name)
    assert raised.value.hint


def test_names_and_ids_are_taken_once(store):
    made = store.create("d")
    with pytest.raises(EvaluationError, match="already"):
        store.create("d")
    with pytest.raises(EvaluationError, match="already"):
        store.create("other", id=made.id)
    [example] = store.add("d", [new("a")])
    with pytest.raises(EvaluationError, match="already"):
        store.add("d", [new("b"), new("c", id=example.id)])
    assert asked(store.examples("d")) == ["a"]
    store.create("e")
    with pytest.raises(EvaluationError, match="already"):
        store.update("e", name="d")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (NewExample(["a"]), "not a list"),  # type: ignore[arg-type]
        (NewExample({"x": float("nan")}), "JSON"),
        (NewExample({"x": "\ud800"}), "JSON"),
        (NewExample({"x": object()}), "JSON"),
        (NewExample({}, "text"), "not a text"),  # type: ignore[arg-type]
        (NewExample({}, split=[]), "splits"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_named(store, bad, reason):
    store.create("d")
    with pytest.raises(EvaluationError, match=reason) as raised:
        store.add("d", [new("good"), bad])
    assert "Example 2" in str(raised.value)
    assert store.get("d").example_count == 0
    assert len(store.versions("d")) == 1


def test_unknown_ids_say_so(store):
    store.create("d")
    nobody = uuid4()
    calls = [
        lambda: store.get("nobody"),
        lambda: store.get(nobody),
        lambda: store.examples(nobody),
        lambda: store.change(nobody, inputs={}),
        lambda: store.remove([nobody]),
        lambda: store.example(nobody, as_of="latest"),
        lambda: store.delete("nobody"),
    ]
    for call in calls:
        with pytest.raises(EvaluationError) as raised:
            call()
        assert "no" in str(raised.value)
        assert raised.value.hint


def test_a_deleted_data_set_leaves_nothing(store):
    store.create("d")
    [example] = store.add("d", [new("a")])
    store.delete("d")
    assert store.list() == []
    with pytest.raises(EvaluationError):
        store.example(example.id)
    store.create("d")
    assert store.examples("d") == []


def test_a_schema_holds(store):
    schema = {
        "type": "object",
        "required": ["question"],
        "properties": {"question": {"type": "string"}},
    }
    store.create("d", inputs_schema=schema)
    store.add("d", [new("a")])
    with pytest.raises(EvaluationError, match=r"inputs\.question"):
        store.add("d", [NewExample({"question": 1})])
    with pytest.raises(EvaluationError, match="answer"):
        store.update("d", inputs_schema={"required": ["answer"]})
    with pytest.raises(EvaluationError, match="no JSON schema"):
        store.create("e", inputs_schema={"type": "nothing"})
    store.create("f", outputs_schema={"$ref": "https://example.com/schema.json"})
    with pytest.raises(EvaluationError, match="not in it"):
        store.add("f", [new("a", "b")])


def test_lists_are_filtered_and_the_last_changed_comes_first(store):
    for name in ("Alpha", "beta", "alphabet"):
        store.create(name)
    store.add("beta", [new("a")])
    assert [each.name for each in store.list()] == ["beta", "alphabet", "Alpha"]
    assert [each.name for each in store.list("ALPHA")] == ["alphabet", "Alpha"]
    assert [each.name for each in store.list(limit=1, offset=1)] == ["alphabet"]


def test_several_processes_and_threads_write_at_once(store):
    store.create("d")
    program = (
        "import sys; from pathlib import Path\n"
        "from groundling.evaluation.datasets import DatasetStore, NewExample\n"
        "with DatasetStore(Path(sys.argv[1])) as store:\n"
        "    for n in range(25): store.add('d', [NewExample({'n': n, 'who': sys.argv[2]})])\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(store.file), who]) for who in "ab"
    ]
    threads = [
        Thread(target=lambda n=n: [store.add("d", [new(f"{n} {m}")]) for m in range(25)])
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait() for child in children] == [0, 0]
    assert store.get("d").example_count == len(store.examples("d")) == 100
    times = [each.created for each in store.versions("d")]
    assert len(times) == len(set(times)) == 101
    assert times == sorted(times, reverse=True)


def test_a_clock_that_goes_back_does_not_mix_versions_up(store, monkeypatch):
    store.create("d")
    store.add("d", [new("a")])
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    store.add("d", [new("b")])
    newest, older, _ = store.versions("d")
    assert newest.created > older.created
    assert asked(store.examples("d", as_of=older.created)) == ["a"]


def test_a_broken_file_says_so(tmp_path):
    file = tmp_path / "evaluation.sqlite"
    file.write_bytes(b"not a database, and long enough to be read as one" * 100)
    with pytest.raises(EvaluationError, match="cannot be opened"):
        DatasetStore(file)
    db = sqlite3.connect(tmp_path / "newer.sqlite")
    db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(EvaluationError, match="newer version"):
        DatasetStore(tmp_path / "newer.sqlite")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4)


@given(OBJECT, st.none() | OBJECT)
def test_the_digest_does_not_depend_on_the_order_of_keys(inputs, outputs):
    turned = dict(reversed(inputs.items()))
    assert Content.of(inputs, outputs).digest == Content.of(turned, outputs).digest
    assert (
        Content.of(inputs, outputs).digest
        != Content.of(inputs, {**(outputs or {}), "\0": 1}).digest
    )


@given(st.lists(st.binary(min_size=32, max_size=32)), st.randoms())
def test_a_versions_name_does_not_depend_on_the_order_of_examples(digests, random):
    shuffled = list(digests)
    random.shuffle(shuffled)
    assert version_name(shuffled) == version_name(digests)
