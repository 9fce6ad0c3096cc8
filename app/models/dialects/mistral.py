"""Mistral: `[TOOL_CALLS][{"name": …, "arguments": {…}}]`, and later `[TOOL_CALLS]name[ARGS]{…}`.

Version 11 of the format writes one mark for each call, in some models with `[CALL_ID]` and
nine characters before `[ARGS]`: https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-tool_calling
"""

from __future__ import annotations

from collections.abc import Mapping

from groundling.models.dialects.base import Dialect
from groundling.models.dialects.composing import Frame
from groundling.models.dialects.events import Emitter
from groundling.models.dialects.hermes import head
from groundling.models.dialects.parsing import Opener
from groundling.models.dialects.reading import JsonCalls, JsonValue, Region, Step

_MARK, _ARGUMENTS = "[TOOL_CALLS]", "[ARGS]"


class Mistral(Dialect):
    """`[TOOL_CALLS]`, and what the model's version has after it."""

    name = "mistral"

    @staticmethod
    def writes(source: str) -> bool:
        return _MARK in source

    @property
    def marks(self) -> Mapping[str, Opener]:
        return {_MARK: lambda emitter, _: _MistralCalls(emitter)}

    @property
    def frame(self) -> Frame:
        return _NAMED if _ARGUMENTS in self.source else _LISTED


def _named(name: str) -> str:
    return f"{name}{_ARGUMENTS}"


_LISTED = Frame(opening=_MARK, before="[", head=head, tail="}", between=", ", after="]")
_NAMED = Frame(opening=_MARK, before="", head=_named, tail="", between=_MARK, after="")


class _MistralCalls(Region):
    """What follows the mark: its first character tells which version it is."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._inner: Region | None = None

    def push(self, char: str) -> Step:
        if self._inner is None:
            if char.isspace():
                return "in"
            listed = char in "[{"
            self._inner = JsonCalls(self._emitter) if listed else _NamedCall(self._emitter)
        return self._inner.push(char)

    def finish(self) -> None:
        if self._inner is not None:
            self._inner.finish()

    @property
    def rest(self) -> str:
        return self._inner.rest if self._inner is not None else ""


class _NamedCall(Region):
    """`name[ARGS]{…}`, with or without a `[CALL_ID]`."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._head = ""
        self._value: JsonValue | None = None
        self._index: int | None = None

    def push(self, char: str) -> Step:
        if self._value is None:
            self._head += char
            if self._head.endswith(_ARGUMENTS):
                name = self._head[: -len(_ARGUMENTS)].partition("[CALL_ID]")[0].strip()
                self._index = self._emitter.start(name)
                self._value = JsonValue()
            return "in"
        step = self._value.push(char)
        if step in ("in", "end") and self._value.started:
            self._emitter.arguments(self._index, char)
        if step != "in":
            self._emitter.end(self._index)
        return "past" if step == "bad" else step

    def finish(self) -> None:
        if self._value is None:
            self._emitter.wrong(self._head, "The call has a name at most.")
        else:
            self._emitter.end(self._index, "The answer was cut short before the call was whole.")
