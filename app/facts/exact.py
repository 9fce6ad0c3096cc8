"""The steps of exact arithmetic, each with its limit, over SymPy's numbers.

Whatever could grow without bound (digits, powers, factorials) is refused before it is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isqrt
from typing import Any

from groundling.errors import FactError

MOST_DIGITS = 60  # of a number
HIGHEST = 1_000  # exponents
MOST_BITS = 13_000  # of a power: Python writes numbers of up to 4,300 digits
FACTORIAL = 400
_STEEPEST = 10**15  # of a tangent, beside which there is a pole
PRECISION = 40  # digits of what is not rational


class ArithmeticFault(FactError):
    """The text is no arithmetic, has no value, or is beyond the limits."""


@cache
def _sympy() -> Any:
    import sympy

    return sympy


def number(text: str) -> Any:
    """Read a number as it is written.

    Raises:
        ArithmeticFault: it has no value, or is beyond the limits.
    """
    digits = text.replace(",", "")
    exponent = digits.lower().partition("e")[2]
    if len(digits) > MOST_DIGITS or (exponent and abs(int(exponent)) > MOST_DIGITS):
        raise ArithmeticFault(f"A number has more than {MOST_DIGITS} digits.")
    return _sympy().Rational(digits)


def finite(value: Any) -> Any:
    """Return a value that is a real number.

    Raises:
        ArithmeticFault: it has no real value.
    """
    if value.is_finite is not True or value.is_real is not True:
        raise ArithmeticFault("The expression has no real value.")
    return value


def divided(value: Any, other: Any) -> Any:
    """Divide.

    Raises:
        ArithmeticFault: it has no value, or is beyond the limits.
    """
    if other.is_zero or (not other.is_Rational and abs(other.evalf(20)) < 1e-18):
        raise ArithmeticFault("It divides by zero.")
    return bounded(value / other)


def bounded(value: Any) -> Any:
    """Return a value whose numbers have not grown too large.

    Raises:
        ArithmeticFault: it has no value, or is beyond the limits.
    """
    if value.is_Rational and max(int(value.p).bit_length(), int(value.q).bit_length()) > MOST_BITS:
        raise ArithmeticFault("The numbers grow too large.")
    return value if value.is_Rational else _short(value)


def _short(value: Any) -> Any:
    """Keep what is not rational as a number, so that no expression grows."""
    return finite(value.evalf(PRECISION)) if value.count_ops() > 8 else value


def power(base: Any, exponent: Any) -> Any:
    """Raise to a power.

    Raises:
        ArithmeticFault: it has no value, or is beyond the limits.
    """
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
            finite(base.evalf(PRECISION) ** exponent.evalf(PRECISION))
            if not (exponent == _sympy().Rational(1, 2) and base.is_Rational)
            else applied("sqrt", base)
        )
    bits = max(int(base.p).bit_length(), int(base.q).bit_length()) * abs(int(exponent))
    if bits > MOST_BITS:
        raise ArithmeticFault("The power is too large.")
    return base**exponent


def factorial(value: Any) -> Any:
    """Return a factorial.

    Raises:
        ArithmeticFault: it has no value, or is beyond the limits.
    """
    if not value.is_Integer or value < 0 or value > FACTORIAL:
        raise ArithmeticFault(f"Factorials are of whole numbers from 0 to {FACTORIAL}.")
    return _sympy().factorial(value)


def applied(name: str, value: Any) -> Any:
    """Apply a function by its name.

    Raises:
        ArithmeticFault: it has no value, or is beyond the limits.
    """
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
    return finite(result if name == "abs" else result.evalf(PRECISION))


def _root(value: Any) -> Any:
    """Return a square root: exact where it is rational."""
    sympy = _sympy()
    if value.is_Rational:
        top, bottom = int(value.p), int(value.q)
        if isqrt(top) ** 2 == top and isqrt(bottom) ** 2 == bottom:
            return sympy.Rational(isqrt(top), isqrt(bottom))
    return sympy.sqrt(value.evalf(PRECISION))


def constant(name: str) -> Any:
    """Return pi, or Euler's number for `e`."""
    return _sympy().E if name == "e" else _sympy().pi


def whole(value: int) -> Any:
    """Return a whole number."""
    return _sympy().Integer(value)
