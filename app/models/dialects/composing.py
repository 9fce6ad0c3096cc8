"""Grammars of tool calls, put together from the grammars of the tools' arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from groundling.errors import ModelError
from groundling.models.dialects.events import Tool
from groundling.models.grammars.grammar import Grammar, grammar_for

MOST_CALLS = 16  # in one answer that a grammar holds
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|(?P<name>[a-zA-Z][a-zA-Z0-9-]*)')
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class Frame:
    """How a dialect writes calls around their names and arguments.

    Args:
        opening: the mark that begins the calls; it is also what a lazy grammar waits for.
        before: what stands between the opening and the first call.
        head: what stands before the arguments, given the tool's name.
        tail: what stands after them.
        between: what stands between two calls.
        after: what ends the calls.
    """

    opening: str
    before: str
    head: Callable[[str], str]
    tail: str
    between: str
    after: str


class Composer:
    """Collect rules of several grammars without their names meeting."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}

    def rule(self, name: str, body: str) -> str:
        """Add a rule; return its name."""
        self._rules[name] = body
        return name

    def include(self, prefix: str, grammar: Grammar) -> str:
        """Add a grammar's rules under a prefix; return the name of its root."""
        rules = dict(line.split(" ::= ", 1) for line in grammar.text.split("\n") if line.strip())

        def rename(match: re.Match[str]) -> str:
            name = match["name"]
            return f"{prefix}-{name}" if name in rules else match[0]

        for name, body in rules.items():
            self._rules[f"{prefix}-{name}"] = _PIECES.sub(rename, body)
        return f"{prefix}-root"

    def grammar(self) -> Grammar:
        """Return the grammar; its root must have been added."""
        return Grammar("\n".join(f"{name} ::= {body}" for name, body in self._rules.items()))


def literal(text: str) -> str:
    """Write a text as a GBNF literal."""
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


@lru_cache(maxsize=128)
def calls_grammar(
    frame: Frame,
    tools: tuple[Tool, ...],
    *,
    most: int = MOST_CALLS,
    strict: bool = False,
    begun: bool = False,
    answer: Grammar | None = None,
) -> Grammar:
    """Return the grammar of calls of these tools, at least one.

    Args:
        frame: how the dialect writes them.
        tools: those that may be called.
        most: how many calls there may be.
        strict: refuse schemas that no grammar keeps in full.
        begun: the opening mark is written already.
        answer: what the model may write instead of calls.

    Raises:
        ModelError: a tool's schema has something that no grammar keeps; it names the tool.
    """
    composer = Composer()
    called = []
    for n, tool in enumerate(tools):
        root = composer.include(f"tool{n}", _arguments(tool, strict))
        head, tail = literal(frame.head(tool.name)), literal(frame.tail)
        called.append(composer.rule(f"call{n}", f"{head} {root} {tail}"))
    composer.rule("call", " | ".join(called))
    opening = literal(("" if begun else frame.opening) + frame.before)
    more = f" ({literal(frame.between)} call){{0,{most - 1}}}" if most > 1 else ""
    composer.rule("calls", f"{opening} call{more} {literal(frame.after)}")
    if answer is None:
        composer.rule("root", "calls")
    else:
        composer.rule("root", f"calls | {composer.include('answer', answer)}")
    return composer.grammar()


def _arguments(tool: Tool, strict: bool) -> Grammar:
    try:
        return grammar_for(json.loads(tool.schema), validated=not strict)
    except ModelError as error:
        raise ModelError(f"The tool {tool.name!r}: {error}", hint=error.hint) from error
