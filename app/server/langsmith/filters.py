"""LangSmith's filter language, read: `and(eq(run_type, "llm"), gt(latency, 1), has(tags, "x"))`.

    expression = name "(" [argument ("," argument)*] ")"
    argument   = expression | name | value | "[" [value ("," value)*] "]"
    value      = "text" | 'text' | number | true | false | null

As described at https://docs.langchain.com/langsmith/trace-query-syntax. What the names mean is
not known here; `conditions` knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from groundling.errors import TraceError

Value = str | int | float | bool | None

LONGEST = 50_000  # characters
DEEPEST = 40  # expressions inside each other
_HINT = 'An example: and(eq(run_type, "llm"), gt(latency, 1), has(tags, "x"))'
_TOKENS = re.compile(
    r"""\s*(?:
        (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<sign>[(),\[\]])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None, "none": None}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class FilterError(TraceError):
    """A filter cannot be understood."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint=_HINT)


@dataclass(frozen=True)
class Name:
    """A name that stands alone: a field."""

    text: str


@dataclass(frozen=True)
class Call:
    """A function and what it is given."""

    function: str
    arguments: tuple[Argument, ...]


Argument = Call | Name | Value | tuple[Value, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Call:
    """Read a filter.

    Raises:
        FilterError: it is none; the message says where it stops making sense.
    """
    if len(text) > LONGEST:
        raise FilterError(f"A filter has at most {LONGEST:,} characters.")
    tokens = list(_tokens(text))
    parser = _Parser(tokens)
    found = parser.expression(0)
    parser.end()
    return found


def unparse(node: Argument) -> str:
    """Write a filter down."""
    if isinstance(node, Call):
        return f"{node.function}({', '.join(unparse(each) for each in node.arguments)})"
    if isinstance(node, Name):
        return node.text
    if isinstance(node, tuple):
        return f"[{', '.join(unparse(each) for each in node)}]"
    return json.dumps(node, ensure_ascii=False)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            rest = text[at:]
            if not rest.strip():
                break
            raise FilterError(f"The filter makes no sense from {rest.strip()[:30]!r} on.")
        kind = match.lastgroup
        assert kind is not None
        yield _Token(kind, match[kind], match.start(kind))
        at = match.end()
    yield _Token("end", "", len(text))


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def expression(self, depth: int) -> Call:
        if depth > DEEPEST:
            raise FilterError(f"A filter has at most {DEEPEST} expressions inside each other.")
        name = self._take("name", "a function such as eq or and")
        return self._call(name, depth)

    def end(self) -> None:
        if self._next.kind != "end":
            raise FilterError(
                f"After the filter, at character {self._next.at}, comes {self._next.text!r}; "
                "several conditions are joined with and(…)."
            )

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _call(self, name: _Token, depth: int) -> Call:
        self._sign("(", f"after {name.text}")
        arguments: list[Argument] = []
        if not self._is(")"):
            arguments.append(self._argument(depth + 1))
            while self._is(","):
                self._at += 1
                arguments.append(self._argument(depth + 1))
        self._sign(")", f"at the end of {name.text}(…")
        return Call(name.text, tuple(arguments))

    def _argument(self, depth: int) -> Argument:
        if self._is("["):
            return self._list()
        if self._next.kind == "name" and self._next.text.lower() not in _WORDS:
            name = self._take("name", "")
            if not self._is("("):
                return Name(name.text)
            if depth > DEEPEST:
                raise FilterError(f"A filter has at most {DEEPEST} expressions inside each other.")
            return self._call(name, depth)
        return self._value()

    def _list(self) -> tuple[Value, ...]:
        self._sign("[", "")
        values: list[Value] = []
        if not self._is("]"):
            values.append(self._value())
            while self._is(","):
                self._at += 1
                values.append(self._value())
        self._sign("]", "at the end of a list")
        return tuple(values)

    def _value(self) -> Value:
        token = self._next
        self._at += token.kind != "end"
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "text":
            return _text(token.text)
        if token.kind == "name" and token.text.lower() in _WORDS:
            return _WORDS[token.text.lower()]
        if token.kind == "name":
            raise FilterError(f'{token.text} is no value; texts stand in quotes: "{token.text}".')
        raise FilterError(_expected("a value", token))

    def _is(self, sign: str) -> bool:
        return self._next.kind == "sign" and self._next.text == sign

    def _sign(self, sign: str, where: str) -> None:
        if not self._is(sign):
            raise FilterError(_expected(f"{sign} {where}".strip(), self._next))
        self._at += 1

    def _take(self, kind: str, what: str) -> _Token:
        token = self._next
        if token.kind != kind:
            raise FilterError(_expected(what, token))
        self._at += 1
        return token


def _expected(what: str, token: _Token) -> str:
    found = repr(token.text) if token.text else "its end"
    return f"The filter should have {what}, but at character {token.at} comes {found}."


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _text(quoted: str) -> str:
    def undo(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        return _ESCAPED.get(code, code)

    found = _ESCAPE.sub(undo, quoted[1:-1])
    # A pair of escapes may stand for one character.
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
