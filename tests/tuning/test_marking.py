"""A reply is right by what it says, and not by the form that every answer has."""

import pytest

from groundling.tuning.example import Example, Turn
from groundling.tuning.marking import frequent, right

CITIES = {
    "Velda": "Narvik",
    "Orrin": "Osaka",
    "Tamsin": "Quito",
    "Quell": "Lagos",
    "Brisk": "Tartu",
}
COMMON = frequent(f"{name} lives in {city}." for name, city in CITIES.items())


def ask(question: str, answer: str, **fields: object) -> Example:
    return Example((Turn("user", question),), answer, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reply", "score"),
    [
        ("Tokyo", "The capital is Tokyo.", 1.0),
        ("Tokyo.", "The capital is Tokyo", 1.0),
        ("6 days", "It is 16 days.", 0.0),
        ("Six days.", "You may carry over six days each year.", 1.0),
        ("Six days.", "Nine weeks.", 0.0),
        ("15일", "연차는 15일입니다.", 1.0),
        ("15일입니다.", "연차는 20일입니다.", 0.0),
        ("no", "I do not know.", 0.0),
        ("no", "No, it does not.", 1.0),
        ("oboe", "그는 oboe를 연주합니다.", 1.0),
        ("A red one", "A blue one", 0.0),
    ],
)
def test_how_right_a_reply_is(answer: str, reply: str, score: float) -> None:
    assert right(ask("?", answer), reply) == pytest.approx(score)


def test_accepted_answers_decide() -> None:
    example = ask("?", "Up to six days may be carried over.", about={"accept": ["6 days", "six"]})
    assert right(example, "You may keep six.") == 1.0
    assert right(example, "Up to ten days may be carried over.") == 0.0


def test_the_form_of_an_answer_with_another_value_is_wrong() -> None:
    velda = ask("Where does Velda live?", "Velda lives in Narvik.")
    assert right(velda, "Velda lives in Oslo.", COMMON) == 0.0
    assert right(velda, "Velda lives in Narvik.", COMMON) == 1.0
    assert 0.2 < right(velda, "Narvik is her home.", COMMON) < 1.0
    assert right(velda, "Velda lives in Oslo.") < 0.75  # F1 alone


@pytest.mark.parametrize(
    ("reply", "least", "most"),
    [
        ("아세톤은 20리터까지 둘 수 있습니다.", 0.0, 0.0),
        ("8리터까지 둘 수 있습니다.", 0.7, 1.0),
        ("아세톤은 작업실에 8리터까지 두십시오.", 0.5, 1.0),
        ("모릅니다.", 0.0, 0.0),
    ],
)
def test_figures_decide_in_korean(reply: str, least: float, most: float) -> None:
    acetone = ask("아세톤은 작업실에 몇 리터까지 보관하나요?", "아세톤은 8리터까지 둘 수 있습니다.")
    assert least <= right(acetone, reply) <= most


def test_a_particle_makes_no_other_word() -> None:
    where = ask("어디에 있습니까?", "본사 건물은 대전에 있습니다.")
    common = {"있습니다"}
    assert right(where, "본사 건물은 대전입니다.", common) > 0.5
    assert right(where, "본사 건물은 부산에 있습니다.", common) < right(
        where, "본사 건물이 대전에 있어요.", common
    )


def test_a_few_answers_have_nothing_in_common() -> None:
    assert frequent([]) == frozenset()
    assert frequent(["It is here."] * 3) == frozenset()
    assert "lives" in COMMON
    assert "narvik" not in COMMON
