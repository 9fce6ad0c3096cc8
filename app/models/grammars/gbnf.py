"""GBNF, llama.cpp's notation of grammars, parsed and checked.

llama.cpp ends the process over a grammar that does not parse, recurses to the left or
repeats without bounds. So a `Grammar` can only be made from text that passed the checks
here, and `automaton` walks it instead of native code. The notation:
https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from groundling.errors import ModelError
from groundling.models.grammars.parts import (
    HIGHEST,
    Characters,
    Choice,
    Part,
    Reference,
    Repeat,
    Text,
    complement,
    names,
    states,
)  # fmt: skip

_MOST_CHARACTERS = 1_000_000
_MOST_STATES = 400_000
_DEEPEST = 120


@dataclass(frozen=True)
class Grammar:
    """A GBNF grammar with the start rule `root`.

    Raises:
        ModelError: it does not parse, names a rule that is not there, recurses to the left,
            or is too large.
    """

    text: str

    def __post_init__(self) -> None:
        if len(self.text) > _MOST_CHARACTERS:
            raise _bad("it is too large", f"{len(self.text):,} characters")
        rules = parse(self.text)
        if "root" not in rules:
            raise _bad("it has no rule named root")
        size = 0
        for rule in rules.values():
            missing = next((name for name in names(rule) if name not in rules), None)
            if missing is not None:
                raise _bad(f"there is no rule named {missing!r}")
            size += states(rule)
        if size > _MOST_STATES:
            raise _bad("it is too large", f"{size:,} states; at most {_MOST_STATES:,}")
        _refuse_left_recursion(rules)


@lru_cache(maxsize=64)
def parse(text: str) -> Mapping[str, Choice]:
    """Read a grammar's rules; two rules of one name count as the later one.

    Raises:
        ModelError: it does not parse.
    """
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise _bad("it holds half a surrogate pair")
    return _Parser(text).rules()


_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\#[^\r\n]*)
      | (?P<line>\r\n|\r|\n)
      | (?P<literal>"(?:[^"\\\r\n]|\\.)*")
      | (?P<class>\[\^?(?:[^\]\\\r\n]|\\.)*\]|\.)
      | (?P<equals>::=)
      | (?P<name>[a-zA-Z0-9-]+)
      | (?P<repeat>[*+?]|\{\s*(?P<low>\d{1,9})\s*(?P<comma>,\s*(?P<high>\d{0,9})\s*)?\})
      | (?P<mark>[()|])""",
    re.VERBOSE,
)
_CHARACTER = re.compile(
    r"""\\x(?P<x>[0-9a-fA-F]{2}) | \\u(?P<u>[0-9a-fA-F]{4}) | \\U(?P<U>[0-9a-fA-F]{8})
      | \\(?P<escape>["\\\[\]rnt]) | (?P<wrong>\\) | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t"}


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_scan(text))
        self._at = 0

    def rules(self) -> dict[str, Choice]:
        found: dict[str, Choice] = {}
        while self._skip_lines():
            name = self._take("name")
            if name is None or self._take("equals") is None:
                raise _bad("a line is no rule", self._here())
            found[name[0]] = self._choice(0)
            if self._at < len(self._tokens) and self._take("line") is None:
                raise _bad("brackets do not match", self._here())
        return found

    def _choice(self, depth: int) -> Choice:
        if depth > _DEEPEST:
            raise _bad("it is nested too deeply")
        self._skip_lines()
        options: list[tuple[Part, ...]] = []
        sequence: list[Part] = []
        while self._at < len(self._tokens):
            match = self._tokens[self._at]
            kind = match.lastgroup
            if match["mark"] == ")" or (kind == "line" and depth == 0):
                break
            self._at += 1
            if match["mark"] == "|":
                options.append(tuple(sequence))
                sequence = []
                self._skip_lines()
            elif match["mark"] == "(":
                sequence.append(self._choice(depth + 1))
                if self._take("mark") is None:
                    raise _bad("brackets do not match", match.string[match.start() :])
            elif match["repeat"]:
                if not sequence:
                    raise _bad("a repetition of nothing", match.string[match.start() :])
                sequence.append(_repeat(match, sequence.pop()))
            elif kind == "equals":
                raise _bad("a line is no rule", match.string[match.start() :])
            elif kind != "line":
                sequence.append(_item(match))
        return Choice((*options, tuple(sequence)))

    def _skip_lines(self) -> bool:
        while self._at < len(self._tokens) and self._tokens[self._at].lastgroup == "line":
            self._at += 1
        return self._at < len(self._tokens)

    def _take(self, kind: str) -> re.Match[str] | None:
        if self._at == len(self._tokens) or self._tokens[self._at].lastgroup != kind:
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def _here(self) -> str:
        return self._text[self._tokens[self._at - 1].start() :] if self._at else self._text


def _scan(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _bad("it does not parse", text[at:])
        if not match["space"]:
            yield match
        at = match.end()


def _item(match: re.Match[str]) -> Part:
    if match["name"]:
        return Reference(match["name"])
    if match["literal"]:
        return Text("".join(map(chr, _code_points(match["literal"][1:-1]))))
    if match["class"] == ".":
        return Characters(((0, HIGHEST),))
    body = match["class"][1:-1]
    negated = body.startswith("^")
    ranges = tuple(_ranges(body[negated:]))
    if negated:
        return Characters(complement(ranges))
    if not ranges:
        raise _bad("it does not parse", match[0])
    return Characters(ranges)


def _ranges(body: str) -> Iterator[tuple[int, int]]:
    points = list(_CHARACTER.finditer(body))
    at = 0
    while at < len(points):
        low = high = _code_point(points[at])
        at += 1
        # A minus sign at the end is itself.
        if at + 1 < len(points) and points[at][0] == "-":
            high = _code_point(points[at + 1])
            at += 2
        if high >= low:
            yield low, high


def _code_points(body: str) -> Iterator[int]:
    for match in _CHARACTER.finditer(body):
        yield _code_point(match)


def _code_point(match: re.Match[str]) -> int:
    if match["plain"]:
        return ord(match["plain"])
    if match["escape"]:
        return ord(_ESCAPES.get(match["escape"], match["escape"]))
    if match["wrong"]:
        raise _bad("it does not parse", match.string[match.start() :])
    point = int(match["x"] or match["u"] or match["U"], 16)
    if point > HIGHEST or 0xD800 <= point < 0xE000:
        raise _bad("there is no such character", match[0])
    return point


def _repeat(match: re.Match[str], part: Part) -> Repeat:
    if match[0] in "*+?":
        return Repeat(part, int(match[0] == "+"), 1 if match[0] == "?" else None)
    low = int(match["low"])
    high = low if match["comma"] is None else int(match["high"]) if match["high"] else None
    if high is not None and high < low:
        raise _bad("a repetition ends before it begins", match[0])
    return Repeat(part, low, high)


def _refuse_left_recursion(rules: Mapping[str, Choice]) -> None:
    vanishing: set[str] = set()

    def vanishes(part: Part) -> bool:
        if isinstance(part, Choice):
            return any(all(map(vanishes, option)) for option in part.options)
        if isinstance(part, Repeat):
            return part.low == 0 or vanishes(part.part)
        return part.name in vanishing if isinstance(part, Reference) else part == Text("")

    def first(part: Part) -> Iterator[str]:
        if isinstance(part, Reference):
            yield part.name
        elif isinstance(part, Repeat):
            yield from first(part.part)
        elif isinstance(part, Choice):
            for option in part.options:
                for item in option:
                    yield from first(item)
                    if not vanishes(item):
                        break

    size = -1
    while size != len(vanishing):
        size = len(vanishing)
        vanishing.update(name for name, rule in rules.items() if vanishes(rule))
    edges = {name: set(first(rule)) for name, rule in rules.items()}
    done: set[str] = set()
    for start in edges:
        path: dict[str, Iterator[str]] = {} if start in done else {start: iter(edges[start])}
        while path:
            name = next(reversed(path))
            following = next(path[name], None)
            if following is None:
                done.add(name)
                del path[name]
            elif following in path:
                raise _bad("it recurses to the left", following)
            elif following not in done:
                path[following] = iter(edges[following])


def _bad(reason: str, at: str = "") -> ModelError:
    return ModelError(f"The grammar is refused: {reason}{': ' + at[:80] if at else ''}.")
