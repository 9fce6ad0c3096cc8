import asyncio
import math
import re
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.facts.arithmetic import ArithmeticSource, judge
from groundling.facts.claim import Background
from groundling.facts.equations import judge_equation
from groundling.facts.exact import ArithmeticFault
from groundling.facts.expressions import evaluate
from groundling.facts.tokens import tokens


def claim(text):
    return {"text": text, "start": 0, "end": len(text)}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", "14"), ("(2 + 3) * 4", "20"), ("2 ** 3 ** 2", "512"), ("-2^2", "-4"),
        ("2(3 + 4)", "14"), ("3 × 4 ÷ 6", "2"), ("10 − 4", "6"), ("1,234.5 + 0.5", "1235"),
        ("25% of 80", "20"), ("√16", "4"), ("sqrt(2)", "1.41421356237"), ("5!", "120"),
        ("3²", "9"), ("7 mod 3", "1"), ("0.1 + 0.2", "0.3"), ("1/3", "0.333333333333"),
        ("log(1000)", "3"), ("ln(e)", "1"), ("sin(0)", "0"), ("abs(-3)", "3"),
        ("3 더하기 4", "7"), ("3 곱하기 4", "12"), ("12 나누기 5", "2.4"), ("$5 * 3", "15"),
        ("2^-1", "0.5"), ("4^0.5", "2"), ("-(-3)", "3"), ("100!/98!", "9900"),
        ("1e5 + 1", "100001"),
    ],
)  # fmt: skip
def test_values(expression, value):
    assert str(evaluate(expression)) == value


@pytest.mark.parametrize(
    "expression",
    [
        "", " ", "1 +", "* 3", "(1", "1)", "1 2", "1/0", "0^-1", "0^0", "sqrt(-1)", "log(0)",
        "9**9**9", "10^10^10", "2^99999", "(2^900)^900", "100000!", "(-1)!", "1.5!", "exp(9999)",
        "__import__('os')", "x", "lambda: 1", "1;2", "9" * 100, "(" * 100 + "1" + ")" * 100,
        "-" * 5000 + "1", "sqrt " * 200 + "2", "2^" * 150 + "2", "1+" * 500 + "1", "1 = 1",
        "abs" * 50, "√" * 300 + "4", "((2^1000)!)", "1" * 3000,
        "400!*400!*400!*400!*400!", "tan(pi/2)", "1e99", "\ud800", "\x00",
    ],
)  # fmt: skip
@pytest.mark.timeout(10)
def test_what_is_no_arithmetic_or_too_much_of_it(expression):
    with pytest.raises(ArithmeticFault):
        evaluate(expression)


NUMBERS = st.integers(0, 999).map(str)
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-({})".format),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_it_computes_as_python_does(expression):
    python = re.sub(r"\d+", lambda match: f"Fraction({match.group()})", expression)
    try:
        expected = eval(python, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ArithmeticFault):
            evaluate(expression)
        return
    exact = evaluate(expression).exact
    assert Fraction(int(exact.p), int(exact.q)) == expected


SIGNS = st.text(alphabet="0123456789+-*/^()!%. ,=<>√²xπeosqrtlogn더하기", max_size=40)


@pytest.mark.timeout(60)
@given(SIGNS | st.text(max_size=60))
def test_nothing_but_its_own_error_comes_out(text):
    with suppress(ArithmeticFault, OverflowError):
        value = evaluate(text)
        assert math.isfinite(float(value.decimal()))
        assert str(value)
    judge(claim(text))


@given(st.text(max_size=200))
def test_tokens_stand_where_they_say(text):
    end = 0
    for token in tokens(text):
        assert end <= token.start < token.end <= len(text)
        end = token.end


@pytest.mark.parametrize(
    ("text", "verdict", "correction"),
    [
        ("Janet has 16 - 3 - 4 = 9 eggs left.", "SUPPORTED", None),
        ("15% of 80 is 14.", "REFUTED", "15% of 80 is 12."),
        ("80의 25%는 20이다.", "SUPPORTED", None),
        ("80의 25%는 25이다.", "REFUTED", "80의 25%는 20이다."),
        ("12 곱하기 3은 36입니다.", "SUPPORTED", None),
        ("3 더하기 4는 8", "REFUTED", "3 더하기 4는 7"),
        ("총 12 × 3 = 36원", "SUPPORTED", None),
        ("7/8 > 0.9", "REFUTED", None),
        ("0.9는 7/8보다 크다", "SUPPORTED", None),
        ("2 * 3 is greater than 5", "SUPPORTED", None),
        ("1/3 is about 0.33", "SUPPORTED", None),
        ("1/3 = 0.34", "REFUTED", "1/3 = 0.33"),
        ("2/3 = 0.66", "SUPPORTED", None),
        ("5 bolts + 3 bolts = 9 bolts", "REFUTED", "5 bolts + 3 bolts = 8 bolts"),
        ("$5 * 3 = $15", "SUPPORTED", None),
        ("1,234 + 1 = 1,236", "REFUTED", "1,234 + 1 = 1,235"),
        ("2 + 2 = 5 = 10/2", "REFUTED", None),
        ("2+3 = 5 = 11/2", "REFUTED", None),
        ("9/2 = 5", "SUPPORTED", None),
        ("9/2 = 4", "SUPPORTED", None),
        ("11/2 = 5", "REFUTED", "11/2 = 5.5"),
        ("2 - 5 = 3", "REFUTED", "2 - 5 = -3"),
        ("The sum 1+1 is 2 and 2+2 is 5.", "REFUTED", "The sum 1+1 is 2 and 2+2 is 4."),
        ("1/4 = 25%", "SUPPORTED", None),
        ("1/4 = 30%", "REFUTED", "1/4 = 25%"),
    ],
)
def test_claims(text, verdict, correction):
    judged = judge(claim(text))
    assert (judged["verdict"], judged["correction"]) == (verdict, correction)
    assert judged["source"] == "arithmetic"
    assert judged["query"]
    assert judged["evidence"]


@pytest.mark.parametrize(
    "text",
    [
        "He is 5.", "The Thirty Years' War is 30 years.", "Room 204 is on floor 2.", "", "x = 5",
        "Open from 9-17.", "The year 2020 is over.", "010-1234-5678은 전화번호다.", "a" * 100_000,
        "1/2 " * 30_000, "버전 3.11은 3.10보다 새롭다.", "Pages 10-12 are about 3",
        "The date 45 days after 3 March 2017 is 2026-06-03.",
    ],
)  # fmt: skip
@pytest.mark.timeout(20)
def test_what_states_no_arithmetic(text):
    assert judge(claim(text)) is None


def test_a_corrected_claim_is_right():
    wrong = judge(claim("17.5% of 2,480 is 430."))
    assert judge(claim(wrong["correction"]))["verdict"] == "SUPPORTED"


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-3, 3))
def test_sums(a, b, off):
    judged = judge(claim(f"There are {a} + {b} = {a + b + off} of them."))
    assert judged["verdict"] == ("REFUTED" if off else "SUPPORTED")


@pytest.mark.parametrize(
    ("calculation", "answer", "holds"),
    [
        ("125", "125", True), ("3 x $16.50", "49.50", True), ("7x + 13x", "20x", True),
        ("x + 5 + 2", "x + 8", False), ("3(10 - x)", "30 - 3x", True), ("4x * 2", "8x", True),
        ("(13/4)x = 1029543", "x = 316782.5", True), ("(13/4)x = 1029543", "x = 316236", False),
        ("2 girls", "2", True), ("two plus two", "4", None), ("1", "", None),
        ("x" * 5000, "1", None),
    ],
)  # fmt: skip
def test_equations_with_both_sides_given(calculation, answer, holds):
    judged = judge_equation(calculation, answer)
    assert (judged and judged.holds) == holds


def test_it_is_a_source():
    found = asyncio.run(ArithmeticSource().check(claim("1 + 1 = 3"), Background()))
    assert found["verdict"] == "REFUTED"
