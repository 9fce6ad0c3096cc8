"""Numbers within bounds, as grammars over their digits."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from groundling.models.grammars.parts import (
    DIGIT,
    NOTHING,
    Characters,
    Part,
    Repeat,
    Text,
    chain,
    either,
)

_DIGITS = 16  # of a number without bounds: what a double tells apart
_FRACTION = 15
# Beside a bound, fewer: 0.5000000000000000001 is above 0.5, and is read as 0.5.
_NEAR = 6


class Bound(NamedTuple):
    """One end of a range; `open` leaves the value itself out."""

    value: Decimal
    open: bool = False


def integers(low: int | None, high: int | None) -> Part | None:
    """Return the integers from low to high; None: there are none."""
    options = []
    if high is None or high >= 0:
        options.append(_naturals(max(low or 0, 0), high))
    if low is None or low < 0:
        least = 1 if high is None or high >= 0 else -high
        below = _naturals(least, None if low is None else -low)
        options.append(None if below is None else chain(Text("-"), below))
    return _either(options)


def numbers(low: Bound | None, high: Bound | None) -> Part | None:
    """Return the decimal numbers between two bounds; None: there are none."""
    if low is None and high is None:
        whole = either([Text("0"), chain(_one_of(1, 9), Repeat(DIGIT, 0, _DIGITS - 1))])
        fraction = Repeat(chain(Text("."), Repeat(DIGIT, 1, _FRACTION)), 0, 1)
        # Two digits: a third would leave the range of a double.
        power = chain(_of("eE"), Repeat(_of("-+"), 0, 1), _one_of(1, 9), Repeat(DIGIT, 0, 1))
        return chain(Repeat(Text("-"), 0, 1), whole, fraction, Repeat(power, 0, 1))
    zero = Bound(Decimal(0))
    options = []
    if high is None or high.value >= 0:
        options.append(_unsigned(low if low is not None and low.value >= 0 else zero, high))
    if low is None or low.value < 0:
        least = zero
        if high is not None and high.value <= 0:
            least = Bound(-high.value, high.open)
        most = None if low is None else Bound(-low.value, low.open)
        below = _unsigned(least, most)
        options.append(None if below is None else chain(Text("-"), below))
    return _either(options)


def _naturals(low: int, high: int | None) -> Part | None:
    """Return the integers from low, at least 0, to high."""
    if high is not None and high < low:
        return None
    first, last = str(low), None if high is None else str(high)
    if last is not None and len(first) == len(last):
        return _between(first, last)
    options: list[Part | None] = [_between(first, "9" * len(first))]
    longest = _DIGITS if last is None else len(last) - 1
    if longest > len(first):
        # A digit and then as many more as make the lengths in between.
        options.append(chain(_one_of(1, 9), Repeat(DIGIT, len(first), longest - 1)))
    if last is not None:
        options.append(_between("1" + "0" * (len(last) - 1), last))
    return _either(options)


def _between(low: str, high: str) -> Part:
    """Return the strings of digits between two of the same length."""
    if low == high:
        return Text(low)
    if set(low) == {"0"} and set(high) == {"9"}:
        return Repeat(DIGIT, len(low), len(low))
    first, last = int(low[0]), int(high[0])
    rest = len(low) - 1
    if first == last:
        return chain(Text(low[0]), _between(low[1:], high[1:]))
    if not rest:
        return _one_of(first, last)
    options = []
    if set(low[1:]) != {"0"}:
        options.append(chain(Text(low[0]), _between(low[1:], "9" * rest)))
        first += 1
    if set(high[1:]) != {"9"}:
        options.append(chain(Text(high[0]), _between("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        options.append(chain(_one_of(first, last), Repeat(DIGIT, rest, rest)))
    return either(options)


def _unsigned(low: Bound, high: Bound | None) -> Part | None:
    """Return the decimal numbers from low, at least 0, to high."""
    if high is not None and high.value < low.value:
        return None
    whole, digits = _cut(low.value)
    if high is None:
        above = chain_maybe(_naturals(whole + 1, None), _fraction(_from("", False)))
        return _either([chain_maybe(Text(str(whole)), _fraction(_from(digits, low.open))), above])
    top, top_digits = _cut(high.value)
    if whole == top:
        tail = _within(digits, low.open, top_digits, high.open)
        return chain_maybe(Text(str(whole)), _fraction(tail))
    return _either(
        [
            chain_maybe(Text(str(whole)), _fraction(_from(digits, low.open))),
            chain_maybe(_naturals(whole + 1, top - 1), _fraction(_from("", False))),
            chain_maybe(Text(str(top)), _fraction(_up_to(top_digits, high.open))),
        ]
    )


class _Tail(NamedTuple):
    """Digits after the point: whether there may be none, and what they may be."""

    empty: bool
    digits: Part | None


_ANY = Repeat(DIGIT, 0, _NEAR)


def _from(digits: str, is_open: bool) -> _Tail:
    """Return the fractions that are at least this one."""
    if not digits:
        if is_open:
            some = (Repeat(Text("0"), 0, _NEAR - 1), _one_of(1, 9), _ANY)
            return _Tail(False, chain(*some))
        return _Tail(True, Repeat(DIGIT, 1, 2 * _NEAR))
    first = int(digits[0])
    more = chain(_one_of(first + 1, 9), _ANY) if first < 9 else None
    same = _follow(digits[0], _from(digits[1:], is_open))
    return _Tail(False, _either([same, more]))


def _up_to(digits: str, is_open: bool) -> _Tail:
    """Return the fractions that are at most this one."""
    if not digits:
        return _Tail(not is_open, None if is_open else Repeat(Text("0"), 1, _NEAR))
    first = int(digits[0])
    less = chain(_one_of(0, first - 1), _ANY) if first > 0 else None
    return _Tail(True, _either([less, _follow(digits[0], _up_to(digits[1:], is_open))]))


def _within(low: str, low_open: bool, high: str, high_open: bool) -> _Tail:
    """Return the fractions between two."""
    if not high:
        return _up_to("", low_open or high_open) if not low else _Tail(False, None)
    if not low and not low_open:
        return _up_to(high, high_open)
    first, last = int(low[:1] or 0), int(high[0])
    if first > last:
        return _Tail(False, None)
    if first == last:
        return _Tail(False, _follow(high[0], _within(low[1:], low_open, high[1:], high_open)))
    inner = chain(_one_of(first + 1, last - 1), _ANY) if last - first > 1 else None
    below = _follow(str(first), _from(low[1:], low_open))
    return _Tail(False, _either([below, inner, _follow(high[0], _up_to(high[1:], high_open))]))


def _follow(digit: str, tail: _Tail) -> Part | None:
    if tail.digits is None:
        return Text(digit) if tail.empty else None
    rest = Repeat(tail.digits, 0, 1) if tail.empty else tail.digits
    return chain(Text(digit), rest)


def _fraction(tail: _Tail) -> Part | None:
    if tail.digits is None:
        return NOTHING if tail.empty else None
    written = chain(Text("."), tail.digits)
    return Repeat(written, 0, 1) if tail.empty else written


def _cut(value: Decimal) -> tuple[int, str]:
    whole, _, digits = f"{value:f}".partition(".")
    return int(whole), digits.rstrip("0")


def chain_maybe(*parts: Part | None) -> Part | None:
    """One part after the other; None where one of them is."""
    found = [part for part in parts if part is not None]
    return chain(*found) if len(found) == len(parts) else None


def _either(options: list[Part | None]) -> Part | None:
    found = [option for option in options if option is not None]
    return either(found) if found else None


def _one_of(low: int, high: int) -> Part:
    return Characters(((0x30 + low, 0x30 + high),))


def _of(letters: str) -> Part:
    return Characters(tuple((ord(c), ord(c)) for c in letters))
