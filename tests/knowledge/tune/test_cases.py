import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.base import Knowledge
from groundling.knowledge.tune.cases import Case, Cases, divide
from groundling.knowledge.tune.journal import Journal


def case(number: int, language: str = "en", **changed: object) -> Case:
    values = {
        "drawn": f"a.md#{number}",
        "language": language,
        "document": "a.md",
        "question": f"Which {number}?",
        "answer": "x",
        "start": number,
        "end": number + 1,
    }
    return Case(**{**values, **changed})  # type: ignore[arg-type]


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers(), max_size=3), max_size=8))
def test_a_journal_gives_back_what_was_written(rows: list[dict[str, object]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "deep" / "rows.jsonl")
        for row in rows:
            journal.append(row)
        assert journal.rows() == rows


def test_a_torn_line_is_cut_off_and_the_next_one_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rows.jsonl")
    journal.append({"n": 1})
    with journal.file.open("ab") as stream:
        stream.write('{"n": 2, "text": "반'.encode()[:-1])
    assert journal.rows() == [{"n": 1}]
    journal.append({"n": 3})
    assert journal.rows() == [{"n": 1}, {"n": 3}]


def test_cases_and_refusals_come_back(tmp_path: Path) -> None:
    cases = Cases(tmp_path)
    cases.keep(case(1))
    cases.refuse("a.md#9", "it copies the passage", "Which?")
    again = Cases(tmp_path)
    assert again.kept == [case(1)]
    assert again.asked == {"a.md#1", "a.md#9"}


def test_a_case_whose_answer_has_moved_is_left_out(pumps: Knowledge, tmp_path: Path) -> None:
    document = pumps.documents()[0]
    start = pumps.text(document.id).index("pump")
    place = {"document": document.path, "start": start, "end": start + 4}
    cases = Cases(tmp_path)
    cases.keep(case(1, answer="pump", **place))
    cases.keep(case(2, answer="lamp", **place))
    cases.keep(case(3, answer="pump", **{**place, "document": "gone.md"}))
    assert [one.drawn for one in cases.current(pumps)] == ["a.md#1"]


@given(st.lists(st.sampled_from(["en", "ko"]), max_size=40), st.integers(0, 40))
def test_more_cases_move_none_between_the_parts(languages: list[str], first: int) -> None:
    cases = [case(n, language) for n, language in enumerate(languages)]
    few, all_ = divide(cases[:first]), divide(cases)
    assert all_.chosen_by[: len(few.chosen_by)] == few.chosen_by
    assert all_.held_out[: len(few.held_out)] == few.held_out
    assert len(all_.chosen_by) + len(all_.held_out) == len(cases)
    for language in set(languages):
        held = sum(one.language == language for one in all_.held_out)
        assert abs(held - 0.4 * languages.count(language)) < 1


def test_a_row_of_another_version_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(json.dumps({"drawn": "b.md#1", "new": 1}) + "\n")
    cases = Cases(tmp_path)
    assert cases.kept == []
    assert cases.asked == {"b.md#1"}
