"""Calls read while they are being written, one character at a time.

One character at a time, because a token may end anywhere: however the text is cut, what is
found in it is the same. A `Region` is the part of an answer that holds calls; `Parser` (in
`parsing`) finds where one begins.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from groundling.models.dialects.events import Emitter

Step = Literal["in", "end", "past", "bad"]

NAME_KEYS = ("name", "function", "tool", "tool_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
OTHER_KEYS = ("id", "type", "call_id", "index")


class Region(ABC):
    """Part of an answer that holds calls."""

    @abstractmethod
    def push(self, char: str) -> Step:
        """Read a character: `end` it was the last one, `past` it no longer belongs here."""

    @abstractmethod
    def finish(self) -> None:
        """The answer ended here; a call that is not whole is an error."""

    @property
    def rest(self) -> str:
        """What was read last and did not belong here either."""
        return ""


class JsonValue:
    """Where a JSON value ends; its inside is only balanced here, not checked."""

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._string = self._escaped = self._scalar = False
        self.started = False

    def push(self, char: str) -> Step:
        """Read a character: `past` ends a number or word, and is none of it."""
        if self._string:
            if char == '"' and not self._escaped:
                self._string = False
                return "in" if self._stack else "end"
            self._escaped = char == "\\" and not self._escaped
            return "in"
        if self._scalar:
            return "in" if char.isalnum() or char in "+-." else "past"
        if not self.started:
            if char.isspace():
                return "in"
            self.started = True
            self._scalar = char == "-" or char.isalnum()
            if not self._scalar and char not in '"{[':
                return "bad"
        if char == '"':
            self._string = True
        elif char in "{[":
            self._stack.append("}" if char == "{" else "]")
        elif char in "}]":
            if self._stack.pop() != char:
                return "bad"
            return "in" if self._stack else "end"
        return "in"


class JsonCall:
    """One call as a JSON object with a name and arguments.

    A call inside of a call (`{"type": "function", "function": {…}}`) is read as if its
    members stood outside.

    Args:
        emitter: takes the call.
        names: hold the call back until its name is one of these; None: take any name.
    """

    def __init__(self, emitter: Emitter, names: Sequence[str] | None = None) -> None:
        self._emitter = emitter
        self._names = names
        self._phase: Literal["open", "key", "colon", "value", "comma"] = "open"
        self._depth = 0
        self._token = ""
        self._key = ""
        self._value = JsonValue()
        self._index: int | None = None
        self._held = ""
        self.name: str | None = None
        self.raw = ""
        # Qwen 2.5's template shows the format with doubled braces, and the model copies them.
        self.doubled = False

    def push(self, char: str) -> Step:
        """Read a character; `bad`: this is no call, or none of a tool that is wanted."""
        self.raw += char
        if self._phase == "value":
            return self._in_value(char)
        if self._phase == "key" and self._token:
            return self._in_key(char)
        if char.isspace():
            return "in"
        if self._phase == "open":
            self._phase, self._depth = "key", 1
            return "in" if char == "{" else "bad"
        if self._phase == "colon":
            self._phase, self._token, self._value = "value", "", JsonValue()
            return "in" if char == ":" else "bad"
        if char == "}":
            return self._close()
        if self._phase == "comma":
            self._phase = "key"
            return "in" if char == "," else "bad"
        if char == "{" and self.raw == "{{":
            self.doubled = True
            return "in"
        self._token = char
        return "in" if char == '"' else "bad"

    def _in_key(self, char: str) -> Step:
        self._token += char
        if char == '"':
            self._key, self._token, self._phase = self._token[1:-1], "", "colon"
            known = self._key in (*NAME_KEYS, *ARGUMENT_KEYS, *OTHER_KEYS)
            return "in" if known or self._names is None else "bad"
        return "in"

    def _in_value(self, char: str) -> Step:
        if self._key == "function" and char == "{" and not self._value.started:
            self._phase = "key"
            self._depth += 1
            return "in"
        step = self._value.push(char)
        if step == "bad":
            return "bad"
        if step != "past" and self._value.started:
            self._add(char)
        if self._wrong_name():
            return "bad"
        if step in ("end", "past"):
            self._end_value()
            self._phase = "comma"
            if step == "past":
                self.raw = self.raw[:-1]
                return self.push(char)
        return "in"

    def _add(self, char: str) -> None:
        self._token += char
        if self._key in ARGUMENT_KEYS and not self._token.startswith('"'):
            if self.name is None:
                self._held += char
            else:
                self._emitter.arguments(self._index, char)

    def _wrong_name(self) -> bool:
        if self._names is None or self._key not in NAME_KEYS or not self._token:
            return False
        return not any(json.dumps(name).startswith(self._token) for name in self._names)

    def _end_value(self) -> None:
        token, self._token = self._token, ""
        if self._key in NAME_KEYS and self.name is None and token.startswith('"'):
            self.name = _string(token)
            self._index = self._emitter.start(self.name)
            self._emitter.arguments(self._index, self._held)
            self._held = ""
        elif self._key in ARGUMENT_KEYS and token.startswith('"'):
            # Arguments as a string that holds JSON.
            if self.name is None:
                self._held = _string(token)
            else:
                self._emitter.arguments(self._index, _string(token))

    def _close(self) -> Step:
        self._depth -= 1
        if self._depth:
            self._phase = "comma"
            return "in"
        if self.name is None:
            return "bad"
        self._emitter.end(self._index)
        return "end"

    def fail(self, error: str) -> None:
        """Give up: what was read is a call that nobody can carry out."""
        if self.name is None:
            self._emitter.wrong(self.raw, error)
        else:
            self._emitter.end(self._index, error)


class JsonCalls(Region):
    """Calls as JSON objects, one after the other or in a list, up to a closing mark.

    Args:
        emitter: takes the calls.
        closings: marks that end the region; the region also ends before any other text.
        separators: what may stand between two calls besides white space.
    """

    def __init__(
        self, emitter: Emitter, closings: Sequence[str] = (), separators: str = "[,]"
    ) -> None:
        self._emitter = emitter
        self._closings = closings
        self._separators = separators
        self._call: JsonCall | None = None
        self._mark = ""
        self._wrong: str | None = None
        self._any = self._brace = False

    @classmethod
    def after(
        cls, emitter: Emitter, call: JsonCall, closings: Sequence[str], separators: str
    ) -> JsonCalls:
        """Go on from a call that has begun."""
        region = cls(emitter, closings, separators)
        region._call, region._any = call, True
        return region

    def push(self, char: str) -> Step:
        if self._wrong is not None:
            return self._skip(char)
        if self._call is not None:
            return self._in_call(char)
        if self._mark or any(closing.startswith(char) for closing in self._closings):
            return self._in_mark(char)
        if char == "}" and self._brace:
            self._brace = False
            return "in"
        if char.isspace() or char in self._separators:
            return "in"
        if char == "{":
            self._call, self._any = JsonCall(self._emitter), True
            return self._in_call(char)
        if self._any or not self._closings:
            return "past"
        self._wrong = ""
        return self._skip(char)

    def _in_call(self, char: str) -> Step:
        assert self._call is not None
        step = self._call.push(char)
        if step == "end":
            self._brace, self._call = self._call.doubled, None
        elif step == "bad":
            self._wrong = ""
        return "in"

    def _in_mark(self, char: str) -> Step:
        self._mark += char
        if self._mark in self._closings:
            self._mark = ""
            return "end"
        if any(closing.startswith(self._mark) for closing in self._closings):
            return "in"
        self._mark = self._mark[:-1]
        return "past"

    def _skip(self, char: str) -> Step:
        """Read on to the closing mark: what stands there belongs to no text."""
        assert self._wrong is not None
        self._wrong += char
        closing = next((mark for mark in self._closings if self._wrong.endswith(mark)), None)
        if closing is None:
            return "in"
        self._wrong = self._wrong[: -len(closing)]
        self._give_up("The call is no JSON object with a name and arguments.")
        return "end"

    def _give_up(self, error: str) -> None:
        if self._call is not None:
            if self._call.name is None:
                self._call.raw += self._wrong or ""
            self._call.fail(error)
        elif self._wrong is not None:
            self._emitter.wrong(self._wrong, error)
        self._call = self._wrong = None

    def finish(self) -> None:
        if self._call is not None and self._wrong is None:
            self._give_up("The answer was cut short before the call was whole.")
        else:
            self._give_up("The call is no JSON object with a name and arguments.")

    @property
    def rest(self) -> str:
        mark, self._mark = self._mark, ""
        return mark


def _string(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]
