"""Gemma, by generation.

Gemma 2 and 3 have no marks of their own: what they were shown by Google's guide is a
```` ```tool_code ```` block of Python, a list of Python calls, or JSON
(https://ai.google.dev/gemma/docs/capabilities/function-calling). FunctionGemma and Gemma 4
have marks, and a notation in which a mark stands for quotation marks:
`<|tool_call>call:add{a:1,city:<|"|>Seoul<|"|>}<tool_call|>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from groundling.models.dialects.base import Dialect
from groundling.models.dialects.composing import Frame
from groundling.models.dialects.events import Emitter
from groundling.models.dialects.hermes import Hermes
from groundling.models.dialects.parsing import Opener
from groundling.models.dialects.python import PythonCalls
from groundling.models.dialects.reading import JsonCalls, Region, Step


class Gemma(Dialect):
    """Gemma 2 and 3: Python in a block, and what the generic dialect asks for."""

    name = "gemma"
    pythonic = True

    @staticmethod
    def writes(source: str) -> bool:
        return "<start_of_turn>" in source

    @property
    def marks(self) -> Mapping[str, Opener]:
        return {
            "```tool_code": lambda emitter, tools: PythonCalls(emitter, tools, ("```",)),
            "<tool_call>": lambda emitter, _: JsonCalls(emitter, ("</tool_call>",)),
        }

    @property
    def frame(self) -> Frame:
        return Hermes().frame


_GENERATIONS = (
    ("<|tool_call>", "<tool_call|>", '<|"|>'),
    ("<start_function_call>", "<end_function_call>", "<escape>"),
)


class GemmaCalls(Dialect):
    """FunctionGemma and Gemma 4: `call:name{…}` between marks."""

    name = "gemma-calls"

    def __init__(self, source: str = "") -> None:
        super().__init__(source)
        found = [marks for marks in _GENERATIONS if marks[0] in source]
        self._open, self._close, self._quote = (found or _GENERATIONS)[0]

    @staticmethod
    def writes(source: str) -> bool:
        return any(marks[0] in source for marks in _GENERATIONS)

    @property
    def marks(self) -> Mapping[str, Opener]:
        return {self._open: lambda emitter, _: _NativeCall(emitter, self._close, self._quote)}

    @property
    def frame(self) -> Frame:
        # With JSON's quotation marks: a grammar of the arguments is one of JSON.
        between = f"{self._close}{self._open}"
        return Frame(self._open, "", _head, "", between, self._close)


def _head(name: str) -> str:
    return f"call:{name}"


class _NativeCall(Region):
    """`call:name{key:value,…}`, rewritten as JSON while it is read."""

    def __init__(self, emitter: Emitter, close: str, quote: str) -> None:
        self._emitter = emitter
        self._close = close
        self._quote = quote
        self._head = ""
        self._depth = 0
        self._index: int | None = None
        self._word = ""
        self._string: str | None = None  # what will end the string that is being read
        self._held = ""
        self._escaped = False
        self._ended = False

    def push(self, char: str) -> Step:
        if self._ended:
            self._held += char
            if self._held.strip() == self._close:
                return "end"
            if self._close.startswith(self._held.strip()):
                return "in"
            self._held = self._held[:-1]
            return "past"
        if not self._depth:
            self._begin(char)
        elif self._string is not None:
            self._in_string(char)
        else:
            self._in_value(char)
        return "in"

    @property
    def rest(self) -> str:
        held, self._held = self._held, ""
        return held

    def _begin(self, char: str) -> None:
        if char != "{":
            self._head += char
            return
        self._index = self._emitter.start(self._head.strip().removeprefix("call:").strip())
        self._depth = 1
        self._emitter.arguments(self._index, "{")

    def _in_string(self, char: str) -> None:
        if self._string == '"':  # JSON's own string: its escapes stay what they are
            self._emitter.arguments(self._index, char)
            if char == '"' and not self._escaped:
                self._string = None
            self._escaped = char == "\\" and not self._escaped
            return
        self._held += char
        if self._held == self._quote:
            self._emitter.arguments(self._index, '"')
            self._string, self._held = None, ""
            return
        while self._held and not self._quote.startswith(self._held):
            first, self._held = self._held[0], self._held[1:]
            self._emitter.arguments(self._index, json.dumps(first, ensure_ascii=False)[1:-1])

    def _in_value(self, char: str) -> None:
        self._held += char
        if self._held == self._quote:
            self._emitter.arguments(self._index, '"')
            self._string, self._held = self._quote, ""
        elif not self._quote.startswith(self._held):
            held, self._held = self._held, ""
            for one in held:
                self._plain(one)

    def _plain(self, char: str) -> None:
        if self._string is not None:
            self._in_string(char)
        elif char == '"':
            self._word = ""
            self._string = '"'
            self._emitter.arguments(self._index, char)
        elif char in "{}[],:":
            word, self._word = self._word.strip(), ""
            if word:
                self._emitter.arguments(self._index, json.dumps(word) if char == ":" else word)
            self._emitter.arguments(self._index, char)
            self._depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(char, 0)
            if self._depth == 0:
                self._emitter.end(self._index)
                self._ended = True
        else:
            self._word += char

    def finish(self) -> None:
        if self._depth:
            self._emitter.end(self._index, "The answer was cut short before the call was whole.")
        elif not self._ended:
            self._emitter.wrong(self._head, "The call has a name at most.")
