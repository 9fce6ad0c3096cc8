"""Arithmetic as people and models write it, parsed by a grammar of our own and computed exactly.

    evaluate("25% of 80")      20
    evaluate("3 × (1/2 + √2)")

Never `eval`, never SymPy's parser: both run code. The text becomes tokens (`tokens`), the
tokens a number, by steps that have limits (`exact`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from groundling.facts.exact import (
    PRECISION,
    ArithmeticFault,
    applied,
    bounded,
    constant,
    divided,
    factorial,
    finite,
    number,
    power,
    whole,
)
from groundling.facts.tokens import Token, in_signs, is_filler, tokens

LONGEST = 2_000  # characters
MOST_TOKENS = 400
DEEPEST = 40  # parentheses


@dataclass(frozen=True)
class Value:
    """The value of an expression; `exact` is a SymPy number."""

    exact: Any

    @property
    def is_rational(self) -> bool:
        """Whether it is a fraction of whole numbers."""
        return bool(self.exact.is_Rational)

    def decimal(self) -> Decimal:
        """Return it to `PRECISION` digits."""
        return Decimal(str(self.exact.evalf(PRECISION)))

    def __str__(self) -> str:
        return shown(self)


def evaluate(expression: str) -> Value:
    """Compute an expression.

    Args:
        expression: numbers with or without thousands separators, `+ - * / ^ ! %`, `×`, `÷`,
            `√`, parentheses, `25% of 80`, sqrt, log (base 10), ln, sin, cos, tan, abs, exp,
            pi and e; in words also in Korean (`3 더하기 4`).

    Raises:
        ArithmeticFault: it is none, has no value, or is beyond the limits.
    """
    if len(expression) > LONGEST:
        raise ArithmeticFault(f"The expression has more than {LONGEST:,} characters.")
    found = [token for token in tokens(in_signs(expression)) if not is_filler(token)]
    for token in found:
        if token.kind in ("word", "other", "relation"):
            raise ArithmeticFault(
                f"{token.text!r} is no arithmetic (in {expression.strip()[:80]!r}).",
                hint="Write numbers and signs only, such as 12 * (3 + 4) or 25% of 80.",
            )
    return compute(found)


def compute(found: Sequence[Token]) -> Value:
    """Compute tokens.

    Raises:
        ArithmeticFault: they are no expression, or beyond the limits.
    """
    if not found:
        raise ArithmeticFault("There is nothing to compute.")
    if len(found) > MOST_TOKENS:
        raise ArithmeticFault(f"The expression has more than {MOST_TOKENS} parts.")
    parser = _Parser(found)
    value = parser.sum(0)
    if parser.place < len(found):
        raise ArithmeticFault(f"{found[parser.place].text!r} does not belong there.")
    return Value(finite(value))


def shown(value: Value, digits: int = 12) -> str:
    """Write a value: a whole number in full, another to so many significant digits."""
    exact = value.exact
    if exact.is_Integer:
        text = str(exact)
        return text if len(text) <= 60 else f"{text[:20]}… ({len(text)} digits)"
    with localcontext() as context:
        context.prec = digits
        rounded = +Decimal(str(exact.evalf(digits + 5)))
    text = f"{rounded:f}" if -9 < rounded.adjusted() < 20 else f"{rounded:E}"
    if "." in text and "E" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


class _Parser:
    """Recursive descent: sums, products, signs, powers, what stands behind a number, atoms."""

    def __init__(self, found: Sequence[Token]) -> None:
        self.found = found
        self.place = 0

    def sum(self, depth: int) -> Any:
        value = self.product(depth)
        while (sign := self._sign()) in ("+", "-"):
            self.place += 1
            other = self.product(depth)
            value = value + other if sign == "+" else value - other
        return value

    def product(self, depth: int) -> Any:
        value = self.signed(depth)
        while True:
            sign = self._sign()
            if sign in ("*", "of"):
                self.place += 1
                value = bounded(value * self.signed(depth))
            elif sign == "/":
                self.place += 1
                value = divided(value, self.signed(depth))
            elif sign == "mod":
                self.place += 1
                other = self.signed(depth)
                if other == 0 or not (value.is_Rational and other.is_Rational):
                    raise ArithmeticFault("mod needs numbers, and not 0.")
                value = value % other
            elif self._begins_factor():
                value = bounded(value * self.power(depth))  # 2(3 + 4)
            else:
                return value

    def signed(self, depth: int) -> Any:
        negative = False
        while (sign := self._sign()) in ("+", "-"):
            negative ^= sign == "-"
            self.place += 1
        value = self.power(depth)
        return -value if negative else value

    def power(self, depth: int) -> Any:
        base = self.behind(depth)
        if self._sign() == "^":
            self.place += 1
            if depth >= DEEPEST:
                raise ArithmeticFault("The expression is nested too deeply.")
            negative = False
            while (sign := self._sign()) in ("+", "-"):
                negative ^= sign == "-"
                self.place += 1
            exponent = self.power(depth + 1)
            return power(base, -exponent if negative else exponent)
        return base

    def behind(self, depth: int) -> Any:
        value = self.atom(depth)
        while True:
            sign = self._sign()
            if sign == "!":
                value = factorial(value)
            elif sign == "%":
                value = value / 100
            elif sign == "²":
                value = power(value, whole(2))
            elif sign == "³":
                value = power(value, whole(3))
            else:
                return value
            self.place += 1

    def atom(self, depth: int) -> Any:
        if depth >= DEEPEST:
            raise ArithmeticFault("The expression is nested too deeply.")
        if self.place >= len(self.found):
            raise ArithmeticFault("The expression ends too early.")
        token = self.found[self.place]
        self.place += 1
        if token.kind == "number":
            return number(token.text)
        if token.kind == "constant":
            return constant(token.text)
        if token.kind == "function":
            return applied(token.text, self.signed_atom(depth + 1))
        if token.text == "√":
            return applied("sqrt", self.signed_atom(depth + 1))
        if token.text == "(":
            value = self.sum(depth + 1)
            if self._sign() != ")":
                raise ArithmeticFault("A parenthesis is not closed.")
            self.place += 1
            return value
        raise ArithmeticFault(f"{token.text!r} does not belong there.")

    def signed_atom(self, depth: int) -> Any:
        """Return what a function is applied to."""
        if self._sign() == "of":
            self.place += 1
        if self._sign() == "-":
            self.place += 1
            return -self.signed_atom(depth + 1) if depth < DEEPEST else self.atom(depth)
        return self.atom(depth)

    def _sign(self) -> str | None:
        if self.place < len(self.found) and self.found[self.place].kind == "sign":
            return self.found[self.place].text
        return None

    def _begins_factor(self) -> bool:
        if self.place >= len(self.found):
            return False
        token, before = self.found[self.place], self.found[self.place - 1]
        if token.kind in ("function", "constant") or token.text in ("(", "√"):
            return True
        return token.kind == "number" and before.text == ")"
