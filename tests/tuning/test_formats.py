"""Examples are read whatever form they have, and written without loss."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import TuningError
from groundling.tuning.example import Example, Turn
from groundling.tuning.formats import as_json, parse, read_file, write_lines

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
Q = {"role": "user", "content": "Wie?"}
A = {"role": "assistant", "content": "So."}


def read(value: object) -> Example:
    return parse(value, source="file:x", group="x:1")


@st.composite
def examples(draw: st.DrawFn) -> Example:
    turns = [Turn("system", draw(TEXTS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        turns += [Turn("user", draw(TEXTS)), Turn("assistant", draw(TEXTS))]
    turns.append(Turn("user", draw(TEXTS)))
    kind = draw(st.sampled_from(["chat", "preference", "label"]))
    return Example(
        tuple(turns),
        draw(TEXTS),
        rejected=draw(TEXTS) if kind == "preference" else None,
        good=draw(st.booleans()) if kind == "label" else None,
        source=draw(TEXTS),
        group=draw(TEXTS),
        about={"created": 1},
    )


@given(examples())
def test_what_is_written_is_read_again(example: Example) -> None:
    assert read(json.loads(json.dumps(as_json(example)))) == example


@given(examples(), st.sampled_from(["alpaca", "sharegpt"]))
def test_other_peoples_forms_keep_the_conversation(example: Example, form: str) -> None:
    if example.good is False:
        with pytest.raises(TuningError, match="no place"):
            as_json(example, form)  # type: ignore[arg-type]
        return
    again = read(as_json(example, form))  # type: ignore[arg-type]
    assert (again.prompt, again.answer) == (example.prompt, example.answer)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [Q, A]},
        {"prompt": "Wie?", "completion": "So."},
        {"prompt": [Q], "completion": [A]},
        {"instruction": "Wie?", "input": "", "output": "So."},
        {"question": "Wie?", "answer": "So."},
        {"conversations": [{"from": "human", "value": "Wie?"}, {"from": "gpt", "value": "So."}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Wie?"}]}, A]},
        {"messages": json.dumps([Q, A])},
    ],
)
def test_every_form_of_a_conversation(value: object) -> None:
    found = read(value)
    assert (found.question, found.answer, found.kind) == ("Wie?", "So.", "chat")


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": [Q], "chosen": [A], "rejected": [{"role": "assistant", "content": "Nein."}]},
        {"prompt": "Wie?", "chosen": "So.", "rejected": "Nein."},
        {"question": "Wie?", "chosen": "So.", "rejected": "Nein."},
        {"chosen": [Q, A], "rejected": [Q, {"role": "assistant", "content": "Nein."}]},
    ],
)
def test_every_form_of_a_preference(value: object) -> None:
    found = read(value)
    assert (found.question, found.answer, found.rejected) == ("Wie?", "So.", "Nein.")


@pytest.mark.parametrize(("said", "good"), [(True, True), ("0", False), (1, True), ("up", True)])
def test_labels(said: object, good: bool) -> None:
    assert read({"prompt": "Wie?", "completion": "So.", "label": said}).good is good


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "not an object"),
        ({}, "its fields are none"),
        ({"text": "x"}, "its fields are text"),
        ({"messages": [Q]}, "does not end with an answer"),
        ({"messages": [A, A]}, "does not end with a person's turn"),
        ({"messages": [Q, Q, A]}, "do not take turns"),
        ({"messages": [Q, {"role": "tool", "content": "x"}]}, "'tool' is no role"),
        ({"messages": [Q, {"role": "assistant", "content": None}]}, "is no text"),
        ({"messages": [Q, {**A, "tool_calls": [{}]}]}, "calls tools"),
        ({"messages": [Q, A, {"role": "system", "content": "x"}, Q, A]}, "elsewhere than first"),
        ({"prompt": "x", "chosen": "y"}, "without a rejected"),
        ({"chosen": [A], "rejected": [A]}, "no prompt"),
        ({"prompt": "x"}, "without a completion"),
        ({"prompt": "x", "completion": "y", "label": "perhaps"}, "neither true nor false"),
        ({"instruction": "x"}, "without an output"),
        ({"instruction": "x", "output": "y", "history": "z"}, "list of pairs"),
        ({"messages": "[not json"}, "neither a list nor JSON"),
        ({"messages": [Q] * 1000}, "1000 turns"),
        ({"prompt": "x", "chosen": "y", "rejected": "z", "label": 1}, None),
    ],
)
def test_what_is_no_example_says_why(value: object, reason: str | None) -> None:
    if reason is None:
        assert read(value).kind == "preference"
        return
    with pytest.raises(TuningError, match=reason):
        read(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "prompt", "chosen", "rejected", "role", "content",
                             "instruction", "output", "label", "history", "conversations"]),
            inner, max_size=4,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_json_is_an_example_or_a_clear_error(value: object) -> None:
    with suppress(TuningError):
        assert read(value).texts


def test_a_file_names_each_line_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text('{"question":"a","answer":"b"}\n\n{"question":\n"text"\n{"x":1}\n')
    found = list(read_file(file))
    assert [line for line, _ in found] == [1, 3, 4, 5]
    assert isinstance(found[0][1], Example)
    assert found[0][1].group == "some.jsonl:1"
    assert [str(why)[:8] for _, why in found[1:]] == ["not JSON", "not an o", "its fiel"]


def test_a_list_and_other_encodings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_bytes(
        '[{"question": "연차는 며칠입니까?", "answer": "15일입니다."}]'.encode("cp949")
    )
    (_, found), = read_file(file)  # fmt: skip
    assert isinstance(found, Example)
    assert found.answer == "15일입니다."


def test_columns_are_read_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text('question;answer;label\n"a; b";c;0\nd;e\nf;g;?\n', encoding="utf-8")
    found = list(read_file(file))
    assert isinstance(found[0][1], Example)
    assert (found[0][1].question, found[0][1].good) == ("a; b", False)
    assert "3 columns" in str(found[1][1])
    assert "neither true nor false" in str(found[2][1])


def test_unknown_columns_and_missing_files(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(TuningError, match="no columns that are known: a, b"):
        list(read_file(file))
    with pytest.raises(TuningError, match="cannot be read"):
        list(read_file(tmp_path / "none.jsonl"))


def test_a_line_for_each(tmp_path: Path) -> None:
    example = read({"question": "Wie?", "answer": "So.", "split": "heldout"})
    file = tmp_path / "out.jsonl"
    file.write_text(write_lines([example, example]))
    assert [each for _, each in read_file(file)] == [example, example]
    assert example.about == {"split": "heldout"}


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text("Question , ANSWER,,\nWho?,Mina.,,\n")
    [(_, found)] = read_file(file)
    assert isinstance(found, Example)
    assert (found.question, found.answer) == ("Who?", "Mina.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("question,answer,Answer\nWho?,Mina.,Jun.\n", "has the column answer twice"),
        ('"question"s,answer\nWho?,Mina.\n', "is no header of CSV"),
    ],
)
def test_headers_that_cannot_be_read(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "some.csv"
    file.write_text(text)
    with pytest.raises(TuningError, match=reason) as caught:
        list(read_file(file))
    assert caught.value.hint


def test_a_list_of_texts_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text('["Who?", {"question": "Who?", "answer": "Mina."}]')
    [(_, reason), (_, found)] = read_file(file)
    assert reason == "not an object"
    assert isinstance(found, Example)
