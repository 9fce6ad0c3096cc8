"""Check digits, by numbers that their issuers have published or that are widely printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.guardrails.checksums import IBAN_LENGTHS, iban, kr_business, kr_resident, luhn


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "5555555555554444", "378282246310005", "30569309025904", "79927398713"],
)
def test_card_numbers_for_testing_have_their_luhn_digit(number):
    assert luhn(number)
    assert not any(luhn(number[:-1] + other) for other in "0123456789" if other != number[-1])


@pytest.mark.parametrize(
    "number",
    [
        "GB82WEST12345698765432",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "gb82west12345698765432",
    ],
)
def test_the_registrys_examples_are_ibans(number):
    assert iban(number)
    assert not iban(number[:-1])
    assert not iban(
        f"{number[:4]}0{number[5:]}" if number[4] != "0" else f"{number[:4]}1{number[5:]}"
    )


def test_iban_lengths_are_within_the_standard():
    assert set(IBAN_LENGTHS.values()) <= set(range(15, 35))
    assert all(len(country) == 2 and country.isupper() for country in IBAN_LENGTHS)


@pytest.mark.parametrize("number", ["1248100998", "1168200276", "1348672683", "2208162517"])
def test_business_numbers_have_their_check_digit(number):
    assert kr_business(number)


@given(st.from_regex(r"[1-9][0-9]{8}", fullmatch=True))
def test_one_digit_in_ten_is_a_business_numbers_check_digit(body):
    assert sum(kr_business(body + last) for last in "0123456789") == 1


def test_resident_numbers_have_their_check_digit():
    assert kr_resident("9710139019902")  # python-stdnum's documented example
    assert not kr_resident("9710139019903")


@given(st.from_regex(r"[0-9]{6}[0-9][0-9]{5}", fullmatch=True))
def test_one_digit_in_ten_is_a_resident_numbers_check_digit(body):
    assert sum(kr_resident(body + last) for last in "0123456789") == 1
