"""Equations of which both sides are given, with letters for numbers and solutions."""

from __future__ import annotations

import re
from decimal import Decimal

from groundling.facts.arithmetic import Judgement, Stated, judge_link
from groundling.facts.exact import ArithmeticFault
from groundling.facts.expressions import LONGEST, evaluate
from groundling.facts.tokens import tokens

# A letter alone; an x between two numbers is a sign.
_LETTER = re.compile(r"(?<![A-Za-z'’])(?!x\s*[$€£₩]?\d)[a-df-z](?![A-Za-z'’])")
_TRIALS = 3
_SOLVED = re.compile(r"\s*([a-z])\s*=\s*(-?[\d,]*\.?\d+)\s*")


def judge_equation(calculation: str, answer: str) -> Judgement | None:
    """Compute a calculation and compare it with the answer that is stated for it.

    Unlike `judge`, both sides are given, and each may be a single number.

    A letter that stands for a number is no hindrance: both sides are computed for several
    numbers in its place, and must agree for all of them (Schwartz 1980, doi:10.1145/322217.322225).

    Returns:
        What it comes to; None where one side is no arithmetic.
    """
    if len(calculation) + len(answer) > LONGEST:
        return None
    if solved := _SOLVED.fullmatch(answer):
        return _judge_solution(calculation, *solved.groups())
    letters = {match.group() for side in (calculation, answer) for match in _LETTER.finditer(side)}
    if not letters:
        return _judge_sides(calculation, answer)
    judged = None
    for step in range(_TRIALS):
        values = {letter: f"({7 + 12 * step + 5 * n})" for n, letter in enumerate(sorted(letters))}
        sides = [
            _LETTER.sub(lambda match: values[match.group()], side)  # noqa: B023
            for side in (calculation, answer)
        ]
        judged = _judge_sides(*sides)
        if judged is None or not judged.holds:
            break
    if judged is None:
        return None
    # The numbers that were tried are nobody's claim.
    return Judgement(judged.holds, f"{calculation} = {answer}", judged.evidence, None, None, None)


def _judge_solution(equation: str, letter: str, number: str) -> Judgement | None:
    """Tell whether a number solves an equation, to half of its last digit."""
    left, _, right = equation.partition("=")
    stated = Decimal(number.replace(",", ""))
    half = Decimal(1).scaleb(-len(number.partition(".")[2])) / 2
    differences = []
    for value in (stated, stated - half, stated + half):
        sides = [re.sub(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", f"({value:f})", side)
                 for side in (left, right)]  # fmt: skip
        try:
            differences.append(evaluate(sides[0]).decimal() - evaluate(sides[1]).decimal())
        except ArithmeticFault:
            return None
    exact, below, above = differences
    holds = exact == 0 or below * above < 0
    evidence = f"for {letter} = {number}, the sides differ by {exact.normalize():f}"
    return Judgement(holds, f"{equation}, {letter} = {number}", evidence, f"{half}", None, None)


def _judge_sides(calculation: str, answer: str) -> Judgement | None:
    sides = []
    for side in (calculation, answer):
        found = tuple(token for token in tokens(side) if token.kind != "word")
        if any(token.kind in ("other", "relation") for token in found):
            return None
        sides.append(found)
    return judge_link(Stated(sides[0], "=", sides[1]), f"{calculation} = {answer}")
