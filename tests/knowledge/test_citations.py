from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.citations import (
    SUPPORT,
    cite,
    find_evidence,
    mark,
    numbers,
    sentences,
)
from groundling.knowledge.passage import Passage

LEAVE = (
    "Full-time employees receive 17 days of paid leave a year. "
    "Part-time employees receive 9 days. Requests go to the team lead five days ahead."
)
TRAVEL = "국내 출장의 숙박비는 1박에 80,000원까지 지급합니다. 식비는 하루 25,000원입니다."
TABLE = "Model | Range | Price\nFX-200 | 200 g | 1,250 EUR\nFX-300 | 300 g | 1,480 EUR"


def passage(text: str, number: int = 1, start: int = 100) -> Passage:
    return Passage(
        chunk_id=number,
        document_id=number,
        source=f"{number}.md",
        title="",
        heading="",
        page=None,
        start=start,
        end=start + len(text),
        text=text,
    )


PASSAGES = [passage(LEAVE, 1), passage(TRAVEL, 2), passage(TABLE, 3)]


@pytest.mark.parametrize(
    ("statement", "quote"),
    [
        ("Full-time employees get 17 days of paid leave.", LEAVE[:57]),
        ("Part-time employees receive 9 days.", "Part-time employees receive 9 days."),
        (
            "숙박비는 1박에 80000원까지입니다.",
            "국내 출장의 숙박비는 1박에 80,000원까지 지급합니다.",
        ),
        ("The FX-300 costs 1480 EUR.", "FX-300 | 300 g | 1,480 EUR"),
    ],
)
def test_the_right_stretch_is_found(statement, quote):
    evidence = find_evidence(statement, PASSAGES)
    assert evidence is not None
    assert evidence.score >= SUPPORT
    citation = cite(1, evidence)
    assert citation["quote"] == quote
    shown = next(p for p in PASSAGES if p.chunk_id == citation["chunk_id"])
    assert shown.text[citation["start"] - shown.start : citation["end"] - shown.start] == quote


@pytest.mark.parametrize(
    "statement",
    [
        "Full-time employees receive 18 days of paid leave a year.",
        "The FX-200 costs 1,480 EUR and 1,250 USD and 3 kg.",
        "국내 출장의 숙박비는 1박에 90,000원까지 지급합니다.",
        "Quantum entanglement is spooky.",
    ],
)
def test_a_wrong_figure_or_a_strange_topic_is_not_proved(statement):
    evidence = find_evidence(statement, PASSAGES)
    assert evidence is None or evidence.score < SUPPORT


def test_a_number_of_the_question_needs_no_proof():
    statement = "After 5 years full-time employees receive 17 days of paid leave."
    assert find_evidence(statement, PASSAGES) is None
    assert find_evidence(statement, PASSAGES, question="How many after 5 years?") is not None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,250 EUR", {"1250"}),
        ("1,2,3", {"1,2,3"}),
        ("3.50 and 3.5", {"3.5"}),
        ("10.0", {"10"}),
        ("7일, 1박 2일", {"7", "1", "2"}),
        ("none", set()),
    ],
)
def test_numbers(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It is 3.5 kg. Yes.", ["It is 3.5 kg.", "Yes."]),
        ("연차는 15일입니다. 병가는 10일이에요.", ["연차는 15일입니다.", "병가는 10일이에요."]),
        ("- first\n- second\n\n1. third", ["first", "second", "third"]),
        ("a | b\nc | d", ["a | b", "c | d"]),
        (" … \n --- \n", []),
    ],
)
def test_sentences(text, parts):
    assert [sentence.text for sentence in sentences(text)] == parts


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400))
def test_sentences_are_ordered_stretches_that_lose_no_word(text):
    found = list(sentences(text))
    assert all(text[s.start : s.end] == s.text for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    kept = "".join(s.text for s in found)
    lost = [c for c in text if c.isalpha() and kept.count(c) < text.count(c)]
    assert not lost


def test_marks_stand_before_the_final_stop():
    answer = "17 days. 네, 그렇습니다. no stop"
    one, two, three = sentences(answer)
    marked = mark(answer, [(one, [1]), (two, [2, 3]), (three, [])])
    assert marked == "17 days [1]. 네, 그렇습니다 [2][3]. no stop"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_marking_only_adds(text):
    marked = mark(text, [(sentence, [7]) for sentence in sentences(text)])
    assert marked.replace(" [7]", "") == text or "[7]" in text
