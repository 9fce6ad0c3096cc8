"""What grammars are made of, and how that is written in GBNF.

`gbnf` reads the notation, `regex` and `schema` make parts of their own, `automaton` walks
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

HIGHEST = 0x10FFFF  # code point

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Text:
    """These characters, one after the other."""

    text: str


@dataclass(frozen=True)
class Characters:
    """One character within any of these ranges of code points, both ends included."""

    ranges: Ranges


@dataclass(frozen=True)
class Reference:
    """What the rule of this name says."""

    name: str


@dataclass(frozen=True)
class Choice:
    """Any of these sequences; an empty one matches nothing written."""

    options: tuple[tuple[Part, ...], ...]


@dataclass(frozen=True)
class Repeat:
    """A part from `low` to `high` times; None: without end."""

    part: Part
    low: int
    high: int | None


Part = Text | Characters | Reference | Choice | Repeat

NOTHING = Text("")
DIGIT = Characters(((0x30, 0x39),))


def chain(*parts: Part) -> Part:
    """One part after the other."""
    kept = tuple(part for part in parts if part != NOTHING)
    return kept[0] if len(kept) == 1 else Choice((kept,))


def either(options: Iterable[Part]) -> Part:
    """Any of these parts."""
    found = tuple(dict.fromkeys(options))
    return found[0] if len(found) == 1 else Choice(tuple((part,) for part in found))


def maybe(part: Part) -> Part:
    """A part, or nothing."""
    return Repeat(part, 0, 1)


def states(part: Part) -> int:
    """Return about how many states a part has when its repetitions are written out."""
    if isinstance(part, Text):
        return len(part.text)
    if isinstance(part, Choice):
        return 1 + sum(states(item) for option in part.options for item in option)
    if isinstance(part, Repeat):
        return (1 + states(part.part)) * max(part.low, part.high or 0, 1)
    return 1


def names(part: Part) -> Iterator[str]:
    """Name the rules that a part refers to."""
    if isinstance(part, Reference):
        yield part.name
    elif isinstance(part, Repeat):
        yield from names(part.part)
    elif isinstance(part, Choice):
        for option in part.options:
            for item in option:
                yield from names(item)


def complement(ranges: Ranges) -> Ranges:
    """Return the ranges of every other code point."""
    found = []
    following = 0
    for low, high in sorted(ranges):
        if low > following:
            found.append((following, low - 1))
        following = max(following, high + 1)
    if following <= HIGHEST:
        found.append((following, HIGHEST))
    return tuple(found)


def without(ranges: Ranges, removed: Ranges) -> Ranges:
    """Return the ranges of what is in the first and not in the second."""
    return complement((*complement(ranges), *removed))


def write(rules: Mapping[str, Part]) -> str:
    """Write rules in GBNF, one a line."""
    lines = []
    for name, part in rules.items():
        body = _options(part) if isinstance(part, Choice) else _write(part)
        lines.append(f"{name} ::= {body}")
    return "\n".join(lines)


def _write(part: Part) -> str:
    if isinstance(part, Text):
        return '"' + "".join(_character(ord(c), '"\\') for c in part.text) + '"'
    if isinstance(part, Characters):
        spans = (
            _character(low, "\\]^-[") + (f"-{_character(high, chr(92) + ']^-[')}" * (high > low))
            for low, high in part.ranges
        )
        return f"[{''.join(spans)}]"
    if isinstance(part, Reference):
        return part.name
    if isinstance(part, Repeat):
        return _write(part.part) + _times(part.low, part.high)
    return f"({_options(part)})"


def _options(part: Choice) -> str:
    return " | ".join(" ".join(map(_write, option)) for option in part.options)


def _times(low: int, high: int | None) -> str:
    if high is None:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    if low == high:
        return "" if low == 1 else f"{{{low}}}"
    return "?" if (low, high) == (0, 1) else f"{{{low},{high}}}"


def _character(point: int, escaped: str) -> str:
    if chr(point) in escaped or not chr(point).isprintable():
        if chr(point) in '"\\[]':
            return "\\" + chr(point)
        return f"\\x{point:02X}" if point < 0x100 else f"\\U{point:08X}"
    return chr(point)
