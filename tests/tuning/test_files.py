"""Files of examples are read line by line: what is broken costs its line and nothing more."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import TuningError
from groundling.tuning.example import Example
from groundling.tuning.files import read_file
from groundling.tuning.formats import Format, parse, write_lines
from tests.tuning.test_formats import examples

KOREAN = [("연차는 며칠입니까?", "15일입니다."), ("회의실은 어디에 있습니까?", "3층에 있습니다.")]


def read(value: object) -> Example:
    return parse(value, source="file:x")


def test_a_file_names_each_line_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text('{"question":"a","answer":"b"}\n\n{"question":\n"text"\n{"x":1}\n')
    found = list(read_file(file))
    assert [line for line, _ in found] == [1, 3, 4, 5]
    assert isinstance(found[0][1], Example)
    assert found[0][1].source == "file:some.jsonl"
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


@given(st.lists(examples(), max_size=4))
def test_a_file_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, some: list[Example]
) -> None:
    file = tmp_path_factory.mktemp("out") / "out.jsonl"
    file.write_text(write_lines(some), encoding="utf-8")
    assert [each for _, each in read_file(file)] == some


@pytest.mark.parametrize("form", ["chat", "preference", "label", "alpaca", "sharegpt"])
@given(some=st.lists(examples(), min_size=1, max_size=4))
def test_what_was_exported_is_exported_alike(
    tmp_path_factory: pytest.TempPathFactory, form: Format, some: list[Example]
) -> None:
    """Each form, written, read and written again, is the same file."""
    kept = [
        each
        for each in some
        if each.kind == form or (each.good is None and form in ("alpaca", "sharegpt"))
    ]
    file = tmp_path_factory.mktemp("out") / "out.jsonl"
    text = write_lines(kept, form)
    file.write_text(text, encoding="utf-8")
    again = [each for _, each in read_file(file) if isinstance(each, Example)]
    assert write_lines(again, form) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_korean_in_the_encodings_it_comes_in(
    tmp_path: Path, encoding: str, suffix: str, end: str
) -> None:
    if suffix == ".csv":
        lines = ["question,answer", *(",".join(row) for row in KOREAN)]
    else:
        rows = [dict(zip(("question", "answer"), row, strict=True)) for row in KOREAN]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    file = tmp_path / f"ko{suffix}"
    file.write_bytes("".join(f"{line}{end}" for line in lines).encode(encoding))
    found = [each for _, each in read_file(file)]
    assert [(each.question, each.answer) for each in found if isinstance(each, Example)] == KOREAN


@pytest.mark.parametrize(
    "broken",
    ['what?,"never closed', '"what" is?,"this" it', "one,two,three", "one", '"never closed'],
)
def test_a_broken_row_costs_one_row(tmp_path: Path, broken: str) -> None:
    rows = [f"Where is number {place}?,Here is {place}." for place in range(1000)]
    rows[500] = broken
    file = tmp_path / "some.csv"
    file.write_text("\n".join(["question,answer", *rows]))
    found = list(read_file(file))
    assert [line for line, each in found if isinstance(each, str)] == [502]
    assert len(found) == 1000
    assert [line for line, _ in found] == list(range(2, 1002))


def test_cells_of_several_lines_and_empty_ones_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text('question,answer\n"a\nb","c ""d"""\n\ne,f,,\n')
    (first, one), (second, other) = read_file(file)
    assert (first, second) == (2, 5)
    assert isinstance(one, Example)
    assert (one.question, one.answer) == ("a\nb", 'c "d"')
    assert isinstance(other, Example)
    assert other.answer == "f"


def test_a_line_of_fifty_megabytes(tmp_path: Path) -> None:
    row = {"question": "Who?", "answer": "Mina."}
    long = json.dumps({"question": "Who?", "answer": "word " * 10_000_000})
    file = tmp_path / "some.jsonl"
    file.write_text(f"{json.dumps(row)}\n{long}\n{json.dumps(row)}\n")
    assert [len(each.answer) for _, each in read_file(file) if isinstance(each, Example)] == [
        5, 50_000_000, 5,
    ]  # fmt: skip
    file = tmp_path / "some.csv"
    file.write_text(f"question,answer\nWho?,Mina.\nWho?,{'word ' * 10_000_000}\nWho?,Jun.\n")
    (_, first), (line, reason), (_, last) = read_file(file)
    assert (line, str(reason)[:32]) == (3, "not CSV: field larger than field")
    assert [each.answer for each in (first, last) if isinstance(each, Example)] == ["Mina.", "Jun."]


def test_what_is_no_text_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(TuningError, match="is not text") as caught:
        list(read_file(file))
    assert caught.value.hint
