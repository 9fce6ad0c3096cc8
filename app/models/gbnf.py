"""GBNF, llama.cpp's notation of grammars, checked before native code sees it.

llama.cpp ends the process over a grammar that does not parse, recurses to the left or
repeats without bounds. So a `Grammar` can only be made from text that passed the checks
here. The notation: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from groundling.errors import ModelError

_MOST_CHARACTERS = 200_000
_MOST_RULES = 4_000
_DEEPEST = 120
_MOST_REPEATS = 2_000


@dataclass(frozen=True)
class Grammar:
    """A GBNF grammar with one rule a line and the start rule `root`.

    Raises:
        ModelError: it does not parse, names a rule that is not there, recurses to the left,
            or is too large.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text.isascii() and self.text.encode("utf-8", "replace").decode() != self.text:
            raise _bad("it holds half a surrogate pair")
        if len(self.text) > _MOST_CHARACTERS or self.text.count("\n") > _MOST_RULES:
            raise _bad("it is too large", f"{len(self.text):,} characters")
        rules = dict(_rules(self.text))
        if "root" not in rules:
            raise _bad("it has no rule named root")
        for rule in rules.values():
            for name in rule.names:
                if name not in rules:
                    raise _bad(f"there is no rule named {name!r}")
        _refuse_left_recursion(rules)


@dataclass(frozen=True)
class _Rule:
    """What a rule refers to, and the rules it may begin with."""

    alternatives: tuple[tuple[_Item, ...], ...]

    @property
    def names(self) -> Iterator[str]:
        for sequence in self.alternatives:
            for item in sequence:
                yield from item.names


@dataclass(frozen=True)
class _Item:
    """One element: a literal (neither name nor group), a reference, or a group."""

    name: str | None = None
    group: _Rule | None = None
    optional: bool = False
    repeated: bool = False

    @property
    def names(self) -> Iterator[str]:
        if self.name is not None:
            yield self.name
        if self.group is not None:
            yield from self.group.names


_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<literal>"(?:[^"\\\r\n]|\\.)*")
      | (?P<class>\[(?:[^\]\\\r\n]|\\.)*\]|\.)
      | (?P<name>[a-zA-Z0-9-]+)
      | (?P<repeat>[*+?]|\{\s*(?P<low>\d+)\s*(?:,\s*(?P<high>\d*)\s*)?\})
      | (?P<mark>[()|])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(?:["\\\[\]rnt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(.?))')


def _rules(text: str) -> Iterator[tuple[str, _Rule]]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, equals, body = line.partition(" ::= ")
        if not equals or not re.fullmatch(r"[a-zA-Z0-9-]+", name):
            raise _bad("a line is no rule", line)
        parser = _Parser(body)
        rule = parser.alternatives(0)
        if not parser.done:
            raise _bad("brackets do not match", line)
        yield name, rule


class _Parser:
    def __init__(self, body: str) -> None:
        self._body = body
        self._matches = list(_scan(body))
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._matches)

    def alternatives(self, depth: int) -> _Rule:
        if depth > _DEEPEST:
            raise _bad("it is nested too deeply")
        found: list[tuple[_Item, ...]] = []
        sequence: list[_Item] = []
        while not self.done:
            match = self._matches[self._at]
            if match["mark"] == ")":
                break
            self._at += 1
            if match["mark"] == "|":
                found.append(tuple(sequence))
                sequence = []
            elif match["mark"] == "(":
                group = self.alternatives(depth + 1)
                if self.done:
                    raise _bad("brackets do not match", self._body)
                self._at += 1
                sequence.append(_Item(group=group))
            elif match["repeat"]:
                self._repeat(match, sequence)
            else:
                sequence.append(_Item(name=match["name"]))
        return _Rule((*found, tuple(sequence)))

    def _repeat(self, match: re.Match[str], sequence: list[_Item]) -> None:
        if not sequence:
            raise _bad("a repetition of nothing", self._body)
        counts = [int(match[group]) for group in ("low", "high") if match[group]]
        if any(count > _MOST_REPEATS for count in counts):
            raise _bad("a repetition is too long", match[0])
        optional = match[0] in "*?" or match["low"] == "0"
        last = sequence.pop()
        sequence.append(_Item(last.name, last.group, last.optional or optional, match[0] != "?"))


def _scan(body: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None:
            raise _bad("it does not parse", body[at : at + 40])
        if match["literal"] or match["class"]:
            wrong = next((m for m in _ESCAPE.finditer(match[0]) if m[1] is not None), None)
            if wrong or match["class"] == "[]":
                raise _bad("it does not parse", match[0])
        if not match["space"]:
            yield match
        at = match.end()


def _refuse_left_recursion(rules: Mapping[str, _Rule]) -> None:
    nullable: set[str] = set()

    def empty(rule: _Rule) -> bool:
        return any(all(vanishes(item) for item in items) for items in rule.alternatives)

    def vanishes(item: _Item) -> bool:
        if item.optional or item.name in nullable:
            return True
        return item.group is not None and empty(item.group)

    size = -1
    while size != len(nullable):
        size = len(nullable)
        nullable.update(name for name, rule in rules.items() if empty(rule))

    def first(rule: _Rule) -> Iterator[str]:
        for items in rule.alternatives:
            for item in items:
                yield from (item.name,) if item.name is not None else ()
                if item.group is not None:
                    if item.repeated and empty(item.group):
                        raise _bad("it repeats what may be empty")
                    yield from first(item.group)
                if item.repeated and item.name in nullable:
                    raise _bad("it repeats what may be empty", str(item.name))
                if not vanishes(item):
                    break

    edges = {name: set(first(rule)) for name, rule in rules.items()}
    state: dict[str, int] = {}
    for start in edges:
        stack = [(start, iter(edges[start]))]
        state.setdefault(start, 0)
        if state[start] == 2:
            continue
        state[start] = 1
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[name] = 2
                stack.pop()
            elif state.get(following) == 1:
                raise _bad("it recurses to the left", following)
            elif state.get(following) != 2:
                state[following] = 1
                stack.append((following, iter(edges[following])))


def _bad(reason: str, at: str = "") -> ModelError:
    return ModelError(f"The grammar is refused: {reason}{': ' + at[:80] if at else ''}.")
