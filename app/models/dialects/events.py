"""What a parser finds in an answer, and what has become of each call in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from groundling.errors import ModelError


@dataclass(frozen=True)
class Tool:
    """A tool as the model is told of it.

    Args:
        name: what a call says.
        description: for the model.
        schema: the JSON Schema of its arguments, as JSON.
    """

    name: str
    description: str
    schema: str

    @classmethod
    def of(cls, converted: Mapping[str, Any]) -> Tool:
        """Read a tool in OpenAI's form.

        Raises:
            ModelError: its schema is no JSON, or no schema of an object.
        """
        function = converted["function"]
        name = str(function["name"])
        try:
            schema = json.dumps(function.get("parameters") or {"type": "object", "properties": {}})
        except (TypeError, ValueError, RecursionError) as error:
            raise ModelError(
                f"The tool {name!r} has arguments that are no JSON: {error}"
            ) from error
        return cls(name, str(function.get("description", "")), schema)

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The arguments' names, in order."""
        return tuple(json.loads(self.schema).get("properties", ()))


@dataclass(frozen=True)
class Text:
    """Text that belongs to no call."""

    text: str


@dataclass(frozen=True)
class CallStart:
    """A call begins; a name that could not be read is None."""

    index: int
    name: str | None


@dataclass(frozen=True)
class CallArguments:
    """The next piece of a call's arguments, which are JSON all together."""

    index: int
    text: str


@dataclass(frozen=True)
class CallEnd:
    """A call is whole, or it is not: then `error` says why."""

    index: int
    error: str | None = None


Event = Text | CallStart | CallArguments | CallEnd


@dataclass
class Written:
    """A call as far as it is written."""

    name: str | None
    arguments: str = ""
    ended: bool = False
    error: str | None = None


@dataclass
class Emitter:
    """Collect events, and the calls they add up to.

    Args:
        most: later calls are left out; None: all are taken.
    """

    most: int | None = None
    calls: list[Written] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _space: str = ""

    def text(self, text: str) -> None:
        """Add text; white space waits until it is clear that no call follows."""
        self._space += text
        if text.isspace():
            return
        self._events.append(Text(self._space))
        self._space = ""

    def start(self, name: str | None) -> int | None:
        """Begin a call; None: it is one too many."""
        self._space = ""
        if self.most is not None and len(self.calls) >= self.most:
            return None
        self.calls.append(Written(name))
        index = len(self.calls) - 1
        self._events.append(CallStart(index, name))
        return index

    def arguments(self, index: int | None, text: str) -> None:
        """Add to a call's arguments."""
        if index is not None and text:
            self.calls[index].arguments += text
            self._events.append(CallArguments(index, text))

    def end(self, index: int | None, error: str | None = None) -> None:
        """End a call; arguments that are no JSON object are an error."""
        if index is None:
            return
        call = self.calls[index]
        if call.name is not None and not call.arguments and error is None:
            self.arguments(index, "{}")
        error = error or _fault(call.arguments)
        if error is not None:
            # LangChain mends JSON that was cut; what is wrong must not be run as if it were not.
            self.arguments(index, _spoil(call.arguments))
        call.ended, call.error = True, error
        self._events.append(CallEnd(index, error))

    def wrong(self, text: str, error: str) -> None:
        """Add a whole call that nobody can read."""
        if text.strip():
            index = self.start(None)
            self.arguments(index, text.strip())
            self.end(index, error)

    def finish(self) -> None:
        """Release white space after the last text, where no call was made."""
        if self._space and not self.calls:
            self._events.append(Text(self._space))
        self._space = ""

    def take(self) -> list[Event]:
        """Return the new events, neighbours of one kind joined."""
        joined: list[Event] = []
        for event in self._events:
            last = joined[-1] if joined else None
            if isinstance(event, Text) and isinstance(last, Text):
                joined[-1] = Text(last.text + event.text)
            elif (
                isinstance(event, CallArguments)
                and isinstance(last, CallArguments)
                and last.index == event.index
            ):
                joined[-1] = CallArguments(event.index, last.text + event.text)
            else:
                joined.append(event)
        self._events = []
        return joined


def join(events: Sequence[Event]) -> list[Event]:
    """Return the events with neighbours of one kind joined."""
    emitter = Emitter()
    emitter._events = list(events)
    return emitter.take()


def _fault(arguments: str) -> str | None:
    try:
        value = json.loads(arguments, strict=False)
    except (ValueError, RecursionError) as error:
        return f"The arguments are no JSON: {error}"
    return None if isinstance(value, dict) else "The arguments are no JSON object."


def _spoil(arguments: str) -> str:
    """Return an ending that no lenient parser of JSON can mend."""
    stack: list[str] = []
    string = escaped = False
    for char in arguments:
        if string:
            if char == '"' and not escaped:
                string = False
            escaped = char == "\\" and not escaped
        elif char == '"':
            string = True
        elif char in "{[":
            stack.append("}" if char == "{" else "]")
        elif char in "}]" and (not stack or stack.pop() != char):
            return ""
    wrong = "}" if stack and stack[-1] == "]" else "]"
    return ("\\" if escaped else "") + ('"' if string else "") + wrong
