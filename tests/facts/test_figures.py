import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.facts.figures import Conflict, conflict, corrected


@pytest.mark.parametrize(
    ("claim", "evidence", "found"),
    [
        ("The warranty lasts 24 months.", "The warranty lasts 12 months.", ("24", "12")),
        ("보증 기간은 24개월입니다.", "보증 기간은 12개월이다.", ("24", "12")),
        ("The fee is 5 percent.", "The fee is 3%.", ("5", "3")),
        ("It costs 95,000원.", "숙박비는 85,000원까지 지급합니다.", ("95,000", "85,000")),
        ("The warranty lasts 12 months.", "The warranty lasts 12 months.", None),
        ("It has 24 rooms.", "It was built in 1990.", None),
        ("It lasts 24 months.", "Phones 12 months, laptops 36 months.", None),
        ("Between 5 and 24 months.", "The warranty lasts 12 months.", None),
        ("Born in 1564.", "He died in 1616.", None),
    ],
)
def test_numbers_that_count_the_same_thing_conflict(claim, evidence, found):
    assert conflict(claim, evidence) == (Conflict(*found) if found else None)


def test_the_stated_number_takes_the_place_of_the_claimed_one():
    assert corrected("It lasts 24 months.", Conflict("24", "12")) == "It lasts 12 months."
    assert corrected("24 of 24 months", Conflict("24", "12")) is None
    assert corrected("It costs 2.24 won", Conflict("24", "12")) is None


@given(st.text(max_size=120), st.text(max_size=120))
def test_any_text_can_be_compared(claim, evidence):
    found = conflict(claim, evidence)
    if found:
        assert found.claimed in claim
        assert found.stated in evidence
