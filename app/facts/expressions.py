"""Arithmetic as people and models write it, parsed by a grammar of our own and computed exactly.

    evaluate("25% of 80")      20
    evaluate("3 × (1/2 + √2)")

Never `eval`, never SymPy's parser: both run code. The text becomes tokens, the tokens a SymPy
number, and every step that could grow without bound (powers, factorials, digits, depth) has a
limit that is checked before it is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from groundling.errors import FactError

if TYPE_CHECKING:
    from decimal import Decimal

LONGEST = 2_000  # characters
MOST_TOKENS = 400
MOST_DIGITS = 60  # of a number
DEEPEST = 40  # parentheses
HIGHEST = 1_000  # exponents
MOST_BITS = 13_000  # of a power: Python writes numbers of up to 4,300 digits
FACTORIAL = 400
_STEEPEST = 10**15  # of a tangent, beside which there is a pole
PRECISION = 40  # digits of what is not rational

Kind = Literal["number", "sign", "function", "constant", "relation", "word", "other"]

_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,2}(?![\d.]))?"
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<number>{_NUMBER})|(?P<relation>=>|<=|>=|==|!=|≠|≈|≃|~=|∼|=|≤|≥|<|>)"
    r"|(?P<sign>\*\*|[-+*/^()\[\]{}!%×÷−–∙·⋅√±²³])"
    r"|(?P<money>[$€£₩¥])|(?P<word>[A-Za-zπ]+|[가-힣]+)|(?P<other>.)",
    re.DOTALL,
)
_SAME = {
    "×": "*", "∙": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "**": "^",
    "[": "(", "{": "(", "]": ")", "}": ")",
}  # fmt: skip
_WORDS = {
    "plus": "+", "minus": "-", "times": "*", "x": "*", "multiplied": "*", "divided": "/",
    "over": "/", "of": "of", "percent": "%", "squared": "²", "cubed": "³", "mod": "mod",
    "더하기": "+", "빼기": "-", "곱하기": "*", "나누기": "/", "퍼센트": "%", "프로": "%",
}  # fmt: skip
_FUNCTIONS = {"sqrt", "log", "ln", "sin", "cos", "tan", "abs", "exp", "root"}
_CONSTANTS = {"pi", "π", "e"}
_FILLERS = {"by", "to"}
_KOREAN_PART = re.compile(r"(?<=\d)의\s*(?=[\d.,]+\s*(?:%|퍼센트|프로))")


class ArithmeticFault(FactError):
    """The text is no arithmetic, has no value, or is beyond the limits."""


@dataclass(frozen=True)
class Token:
    """A piece of a text: what it is, how it is read, and where it stands."""

    kind: Kind
    text: str
    start: int
    end: int


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
        from decimal import Decimal

        return Decimal(str(self.exact.evalf(PRECISION)))

    def __str__(self) -> str:
        return shown(self)


def tokens(text: str) -> Iterator[Token]:
    """Split a text; what is no arithmetic comes as words and others."""
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup, match.group()
        start, end = match.span()
        if kind in ("space", "money"):
            continue
        if kind == "word":
            low = found.lower()
            if low in _WORDS:
                yield Token("sign", _WORDS[low], start, end)
            elif low in _FUNCTIONS:
                yield Token("function", low, start, end)
            elif low in _CONSTANTS and (low != "e" or found == "e"):
                yield Token("constant", low, start, end)
            else:
                yield Token("word", found, start, end)
        elif kind == "sign":
            yield Token("sign", _SAME.get(found, found), start, end)
        else:
            yield Token(kind, found, start, end)  # type: ignore[arg-type]


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
    found = [token for token in tokens(in_signs(expression)) if not _is_filler(token)]
    for token in found:
        if token.kind in ("word", "other", "relation"):
            raise ArithmeticFault(
                f"{token.text!r} is no arithmetic (in {expression.strip()[:80]!r}).",
                hint="Write numbers and signs only, such as 12 * (3 + 4) or 25% of 80.",
            )
    return compute(found)


def in_signs(text: str) -> str:
    """Write "80의 25%" with a sign; the text's length, and so all offsets, stay."""
    return _KOREAN_PART.sub(lambda match: "*" + " " * (len(match.group()) - 1), text)


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
    return Value(_finite(value))


def shown(value: Value, digits: int = 12) -> str:
    """Write a value: a whole number in full, another to so many significant digits."""
    from decimal import Decimal, localcontext

    exact = value.exact
    if exact.is_Integer:
        text = str(exact)
        return text if len(text) <= 60 else f"{text[:20]}… ({len(text)} digits)"
    with localcontext() as context:
        context.prec = digits
        number = +Decimal(str(exact.evalf(digits + 5)))
    text = f"{number:f}" if -9 < number.adjusted() < 20 else f"{number:E}"
    if "." in text and "E" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


@cache
def _sympy() -> Any:
    import sympy

    return sympy


def _is_filler(token: Token) -> bool:
    return token.kind == "word" and token.text.lower() in _FILLERS


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
                value = _bounded(value * self.signed(depth))
            elif sign == "/":
                self.place += 1
                value = _divided(value, self.signed(depth))
            elif sign == "mod":
                self.place += 1
                other = self.signed(depth)
                if other == 0 or not (value.is_Rational and other.is_Rational):
                    raise ArithmeticFault("mod needs numbers, and not 0.")
                value = value % other
            elif self._begins_factor():
                value = _bounded(value * self.power(depth))  # 2(3 + 4)
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
            return _power(base, -exponent if negative else exponent)
        return base

    def behind(self, depth: int) -> Any:
        value = self.atom(depth)
        while True:
            sign = self._sign()
            if sign == "!":
                value = _factorial(value)
            elif sign == "%":
                value = value / 100
            elif sign == "²":
                value = _power(value, _sympy().Integer(2))
            elif sign == "³":
                value = _power(value, _sympy().Integer(3))
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
            return _number(token.text)
        if token.kind == "constant":
            return _sympy().E if token.text == "e" else _sympy().pi
        if token.kind == "function":
            return _applied(token.text, self.signed_atom(depth + 1))
        if token.text == "√":
            return _applied("sqrt", self.signed_atom(depth + 1))
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


def _number(text: str) -> Any:
    digits = text.replace(",", "")
    exponent = digits.lower().partition("e")[2]
    if len(digits) > MOST_DIGITS or (exponent and abs(int(exponent)) > MOST_DIGITS):
        raise ArithmeticFault(f"A number has more than {MOST_DIGITS} digits.")
    return _sympy().Rational(digits)


def _finite(value: Any) -> Any:
    if value.is_finite is not True or value.is_real is not True:
        raise ArithmeticFault("The expression has no real value.")
    return value


def _divided(value: Any, other: Any) -> Any:
    if other.is_zero or (not other.is_Rational and abs(other.evalf(20)) < 1e-18):
        raise ArithmeticFault("It divides by zero.")
    return _bounded(value / other)


def _bounded(value: Any) -> Any:
    if value.is_Rational and max(int(value.p).bit_length(), int(value.q).bit_length()) > MOST_BITS:
        raise ArithmeticFault("The numbers grow too large.")
    return value if value.is_Rational else _short(value)


def _short(value: Any) -> Any:
    """Keep what is not rational as a number, so that no expression grows."""
    return _finite(value.evalf(PRECISION)) if value.count_ops() > 8 else value


def _power(base: Any, exponent: Any) -> Any:
    if not exponent.is_Rational:
        exponent = exponent.evalf(PRECISION)
    if abs(exponent) > HIGHEST:
        raise ArithmeticFault(f"The exponent is beyond {HIGHEST:,}.")
    if base.is_zero and exponent <= 0:
        raise ArithmeticFault("A power of zero has no value here.")
    if not (base.is_Rational and exponent.is_Integer):
        if base.is_negative:
            raise ArithmeticFault("A root of a negative number has no real value.")
        return (
            _finite(base.evalf(PRECISION) ** exponent.evalf(PRECISION))
            if not (exponent == _sympy().Rational(1, 2) and base.is_Rational)
            else _applied("sqrt", base)
        )
    bits = max(int(base.p).bit_length(), int(base.q).bit_length()) * abs(int(exponent))
    if bits > MOST_BITS:
        raise ArithmeticFault("The power is too large.")
    return base**exponent


def _factorial(value: Any) -> Any:
    if not value.is_Integer or value < 0 or value > FACTORIAL:
        raise ArithmeticFault(f"Factorials are of whole numbers from 0 to {FACTORIAL}.")
    return _sympy().factorial(value)


def _applied(name: str, value: Any) -> Any:
    sympy = _sympy()
    if name in ("sqrt", "root"):
        if value.is_negative:
            raise ArithmeticFault("A root of a negative number has no real value.")
        return _root(value)
    if name in ("log", "ln") and not value.is_positive:
        raise ArithmeticFault("A logarithm is of a number above 0.")
    number = value.evalf(PRECISION)
    if abs(number) > 10**6 and name in ("exp", "sin", "cos", "tan"):
        raise ArithmeticFault(f"{name} is of numbers up to a million.")
    if name == "exp" and number > 1000:
        raise ArithmeticFault("The power is too large.")
    made: dict[str, Callable[[], Any]] = {
        "abs": lambda: abs(value),
        "exp": lambda: sympy.exp(number),
        "ln": lambda: sympy.log(number),
        "log": lambda: sympy.log(number) / sympy.log(10),
        "sin": lambda: sympy.sin(number),
        "cos": lambda: sympy.cos(number),
        "tan": lambda: sympy.tan(number),
    }
    result = made[name]()
    if name == "tan" and abs(result) > _STEEPEST:
        raise ArithmeticFault("The tangent has no value there.")
    return _finite(result if name == "abs" else result.evalf(PRECISION))


def _root(value: Any) -> Any:
    """Return a square root: exact where it is rational."""
    from math import isqrt

    sympy = _sympy()
    if value.is_Rational:
        top, bottom = int(value.p), int(value.q)
        if isqrt(top) ** 2 == top and isqrt(bottom) ** 2 == bottom:
            return sympy.Rational(isqrt(top), isqrt(bottom))
    return sympy.sqrt(value.evalf(PRECISION))
