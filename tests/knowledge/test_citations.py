import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import KnowledgeError
from groundling.knowledge.citations import (
    SUPPORT,
    cite,
    find_evidence,
    mark,
    numbers,
    renumber,
    sentences,
    unmark,
    verified,
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


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("17 days [1].", "17 days."),
        ("17일입니다[99]. 네 [1][2].", "17일입니다. 네."),
        ("Both [1, 2] and [3-5] [ 7 ].", "Both and."),
        ("[[1]2] stays out", " stays out"),
        ("[note] and (1) and [a1]", "[note] and (1) and [a1]"),
    ],
)
def test_markers_of_the_model_are_taken_out(written, left):
    assert unmark(written) == left


@given(st.text(alphabet="ab가 []0123,-.\n", max_size=60))
def test_no_marker_is_left_and_nothing_else_is_lost(text):
    left = unmark(text)
    assert not re.search(r"\[\d+\]", left)
    assert [c for c in left if c in "ab가"] == [c for c in text if c in "ab가"]


STORED = {1: "x" * 100 + LEAVE, 2: "x" * 100 + TRAVEL, 3: "x" * 100 + TABLE}
STATEMENTS = (
    "Full-time employees get 17 days of paid leave.",
    "숙박비는 1박에 80000원까지입니다.",
    "The FX-300 costs 1480 EUR.",
)


def stored(document: int, start: int, end: int) -> str:
    return STORED[document][start:end]


def proved() -> list:
    return [
        cite(number, find_evidence(text, PASSAGES))
        for number, text in enumerate(STATEMENTS, start=1)
    ]


def test_citations_of_the_stored_text_are_kept():
    assert verified(proved(), PASSAGES, stored) == (proved(), [])


def test_a_passage_that_was_not_in_the_prompt_proves_nothing():
    kept, removed = verified(proved(), PASSAGES[1:], stored)
    assert [citation["number"] for citation in removed] == [1]
    assert [citation["number"] for citation in kept] == [2, 3]


def test_a_document_that_is_gone_proves_nothing():
    def gone(document: int, start: int, end: int) -> str:
        raise KnowledgeError("There is no such document.")

    assert verified(proved(), PASSAGES, gone) == ([], proved())


@given(
    which=st.integers(0, 2),
    start=st.integers(-3, 3),
    end=st.integers(-3, 3),
    quote=st.sampled_from(["", " ", "x", "가"]),
)
def test_one_character_beside_the_stored_text_is_too_much(which, start, end, quote):
    citations = proved()
    citations[which]["start"] += start
    citations[which]["end"] += end
    citations[which]["quote"] += quote
    place = citations[which]["document_id"], citations[which]["start"], citations[which]["end"]
    there = place[2] <= len(STORED[place[0]]) and stored(*place) == citations[which]["quote"]
    _, removed = verified(citations, PASSAGES, stored)
    assert removed == ([] if there else [citations[which]])


@given(
    sentence_marks=st.lists(
        st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True), min_size=1, max_size=6
    ),
    kept=st.sets(st.integers(1, 5)),
)
def test_markers_follow_the_citations_that_stay(sentence_marks, kept):
    plain = " ".join(f"Sentence {chr(97 + n)}." for n in range(len(sentence_marks)))
    answer = mark(plain, list(zip(sentences(plain), sentence_marks, strict=True)))
    citations = [{**proved()[0], "number": number} for number in range(1, 6)]
    left = [citation for citation in citations if citation["number"] in kept]
    text, counted = renumber(answer, left)
    assert [citation["number"] for citation in counted] == list(range(1, len(left) + 1))
    again = {citation["number"]: place for place, citation in enumerate(left, start=1)}
    expected = [[again[n] for n in marks if n in kept] for marks in sentence_marks]
    assert text == mark(plain, list(zip(sentences(plain), expected, strict=True)))
    if len(left) == 5:
        assert (text, counted) == (answer, citations)
