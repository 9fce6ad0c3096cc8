import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.tune.checks import fault, place

ENGLISH = (
    "Up to 6 days of unused annual leave may be carried over to the next year. Carried-over "
    "days must be taken by 30 April; after that they lapse. The form is HR-12."
)
KOREAN = "남은 연차는 6일까지 다음 해로 넘길 수 있다. 넘긴 연차는 4월 30일까지 써야 한다."


@pytest.mark.parametrize(
    ("answer", "text", "found"),
    [
        ("30 April", ENGLISH, "30 April"),
        ("annual\n leave", ENGLISH, "annual leave"),
        ("0 April", ENGLISH, None),
        ("30 Apr", ENGLISH, None),
        ("days", ENGLISH, None),  # twice
        ("4월 30일", KOREAN, "4월 30일"),  # a particle follows
        ("0일", KOREAN, None),
        ("1.5", "It takes 11.5 or 1.55 hours.", None),
        ("", ENGLISH, None),
        ("(", "a (b", "("),
    ],
)
def test_an_answer_stands_in_one_place(answer: str, text: str, found: str | None) -> None:
    span = place(answer, text)
    assert (text[slice(*span)] if span else None) == found


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_place_holds_the_answers_words(answer: str, text: str) -> None:
    if span := place(answer, text):
        assert text[slice(*span)].split() == answer.split()


@pytest.mark.parametrize(
    ("question", "answer", "text"),
    [
        ("By which date has leave from last year been used up?", "30 April", ENGLISH),
        ("What is the number of the carry-over form?", "HR-12", ENGLISH),
        ("작년 연차는 언제까지 사용하나요?", "4월 30일", KOREAN),
    ],
)
def test_a_good_question_has_no_fault(question: str, answer: str, text: str) -> None:
    assert fault(question, answer, text) is None


@pytest.mark.parametrize(
    ("question", "answer", "text", "reason"),
    [
        ("How much leave lapses after May?", "31 May", ENGLISH, "does not stand"),
        ("How much leave?", "x" * 81, "x" * 81, "short answer"),
        ("When must leave be taken? And why?\n", "30 April", ENGLISH, "single question"),
        ("Tell me the carry-over form.", "HR-12", ENGLISH, "single question"),
        ("작년 연차는 언제까지 사용합니다?", "4월 30일", KOREAN, "statement"),
        ("휴가는 언제까지 써야 하나요?", "30 April", ENGLISH, "language"),
        ("When does leave lapse according to this document?", "30 April", ENGLISH, "points"),
        ("위 글에서 연차는 언제까지 사용하나요?", "4월 30일", KOREAN, "points"),
        ("When is it?", "30 April", ENGLISH, "what it is about"),
        ("Does leave lapse on 30 April each year?", "30 April", ENGLISH, "in the question"),
        (
            "How much unused annual leave may be carried over to the next year?",
            "6 days",
            ENGLISH,
            "copies",
        ),
    ],
)
def test_each_fault_is_named(question: str, answer: str, text: str, reason: str) -> None:
    found = fault(question, answer, text)
    assert found is not None or not reason
    assert reason in (found or "")
