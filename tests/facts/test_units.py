import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import FactError
from groundling.facts.claim import Background
from groundling.facts.units import UnitsSource, convert


def check(text):
    return asyncio.run(
        UnitsSource().check({"text": text, "start": 0, "end": len(text)}, Background())
    )


@pytest.mark.parametrize(
    ("text", "verdict", "correction"),
    [
        ("5 miles is 8.05 km.", "SUPPORTED", None),
        ("30평은 약 99.2 m²이다.", "SUPPORTED", None),
        ("30평은 약 89 m²이다.", "REFUTED", "30평은 약 99.17 m²이다."),
        ("100 °F is 37.8 °C", "SUPPORTED", None),
        ("A mile is 1.6 km long.", "SUPPORTED", None),
        ("26 days are 4 weeks.", "REFUTED", "26 days are 3.71 weeks."),
        ("10 kg is 22 pounds", "SUPPORTED", None),
        ("60 mph is about 97 km/h", "SUPPORTED", None),
        ("1근은 600그램입니다", "SUPPORTED", None),
        ("90 km/h = 25 m/s", "SUPPORTED", None),
        ("1 GB is 100 MB", "REFUTED", "1 GB is 1000 MB"),
    ],
)
def test_claims(text, verdict, correction):
    found = check(text)
    assert (found["verdict"], found["correction"]) == (verdict, correction)
    assert found["source"] == "units"
    assert found["tolerance"]


@pytest.mark.parametrize(
    "text",
    [
        "", "3 apples is 5 pears", "5 USD is 6000 KRW", "100 meters is the length",
        "체온은 36.5도이다", "5 km is 3 kg", "5 km is 5 km", "a" * 100_000, "5 km is 3 " * 9_000,
    ],
)  # fmt: skip
def test_what_compares_no_quantities(text):
    assert check(text) is None


@pytest.mark.parametrize(
    ("quantity", "to", "result"),
    [
        ("5 miles", "km", "8.04672 km"), ("30평", "m²", "99.1736 m²"), ("84 m²", "평", "25.41 평"),
        ("-40 °F", "°C", "-40 °C"), ("100 km/h", "m/s", "27.7778 m/s"),
        ("1 day", "hours", "24 hours"),
        ("72 kg", "파운드", "158.733 파운드"), ("3.5 inch", "센티미터", "8.89 센티미터"),
        ("1,000 m", "km", "1 km"),
    ],
)  # fmt: skip
def test_conversions(quantity, to, result):
    assert convert(quantity, to) == result


@pytest.mark.parametrize(
    ("quantity", "to", "said"),
    [
        ("5", "km", "no quantity"),
        ("km", "m", "no quantity"),
        ("5 blorps", "km", "blorps is no known unit"),
        ("5 blorps", "nopes", "are not known units"),
        ("5 km", "kg", "different kinds"),
        ("5 dollars", "euro", "not known units"),
        ("5 km; import os", "m", "no known unit"),
        ("5 __import__", "m", "no known unit"),
        ("9" * 500 + " km", "m", "no known unit"),
    ],
)
def test_what_cannot_be_converted(quantity, to, said):
    with pytest.raises(FactError, match=said):
        convert(quantity, to)


@given(st.floats(0.01, 1e6), st.sampled_from([("m", "feet"), ("kg", "pound"), ("평", "m²")]))
def test_there_and_back(number, pair):
    one, other = pair
    there = convert(f"{number:.6f} {one}", other)
    back = convert(there.replace(",", ""), one) if "e" not in there else there
    if "e" not in back:
        assert float(back.split()[0].replace(",", "")) == pytest.approx(number, rel=1e-4)


@given(st.text(max_size=80), st.text(max_size=20))
def test_nothing_but_its_own_error_comes_out(text, to):
    check(text)
    with suppress(FactError):
        convert(text, to)


def test_many_threads_at_once():
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: convert(f"{n} miles", "km"), range(1, 60)))
    assert results[4] == "8.04672 km"
