"""What stands below an answer, and that it comes off again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from groundling.server.openai.footnotes import footnotes, waiting, without
from groundling.server.openai.graph_answers import pieces_of, rest_of

CITATION = {
    "number": 1,
    "source": "leave.pdf",
    "page": 3,
    "start": 120,
    "end": 158,
    "quote": "Employees have\n25 days of leave.",
}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


def test_places_doubts_and_notices_stand_below():
    values = {"citations": [CITATION], "verdict": "unproved", "notices": ["An address was hidden."]}
    assert footnotes(values, "en") == (
        "\n\n---\n"
        "[1] leave.pdf, page 3, characters 120–158: “Employees have 25 days of leave.”\n"
        "⚠ No passage carries this answer; treat it as unchecked.\n"
        "ℹ An address was hidden."
    )


def test_in_korean_and_without_pages():
    told = footnotes({"citations": [{**CITATION, "page": None}], "verdict": "unproved"}, "ko")
    assert "leave.pdf, 120–158번째 글자" in told
    assert "뒷받침하는 문서 구절이 없습니다" in told


def test_where_there_is_nothing_to_say_nothing_stands_below():
    assert footnotes({"verdict": "answered", "citations": [], "notices": []}, "en") == ""


@given(
    TEXTS.filter(lambda text: "---" not in text),
    st.lists(TEXTS, max_size=3),
    st.lists(TEXTS, max_size=3),
    st.sampled_from(["answered", "unproved"]),
)
def test_footnotes_come_off_whatever_they_quote(answer, quotes, notices, verdict):
    cited = [{**CITATION, "number": n, "quote": quote} for n, quote in enumerate(quotes, start=1)]
    values = {"citations": cited, "notices": notices, "verdict": verdict}
    assert without(answer + footnotes(values, "en")) == answer


def test_a_rule_that_the_answer_itself_has_stays():
    answer = "Above.\n\n---\nBelow, in words."
    assert without(answer) == answer


def test_a_question_to_the_person_is_the_answer():
    asked = [{"value": {"type": "question", "question": "Which year?"}, "id": "1"}]
    assert waiting(asked, "en") == "Which year?"


def test_calls_that_wait_are_named_with_their_arguments():
    value = {"type": "approval", "calls": [{"name": "write", "args": {"path": "a", "n": 1}}]}
    told = waiting([{"value": value, "id": "1"}], "en")
    assert "- write(path='a', n=1)" in told
    assert "nothing of it was done" in told


@given(TEXTS)
def test_pieces_make_up_the_text(text):
    assert "".join(pieces_of(text)) == text


def test_what_was_shown_is_not_shown_again():
    assert rest_of("Because of light.", "Because of", {}) == " light."
    assert rest_of("Blocked.", "Because", {"verdict": "blocked"}) == "\n\nBlocked."
    assert rest_of("Because of light.", "Because of light. ", {}) == ""
