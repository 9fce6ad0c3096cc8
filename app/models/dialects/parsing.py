"""Finding calls in an answer: between a dialect's marks, or bare where the name is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from groundling.models.dialects.events import Emitter, Event, Tool, Written
from groundling.models.dialects.python import PythonCalls
from groundling.models.dialects.reading import JsonCall, JsonCalls, Region

Opener = Callable[[Emitter, Sequence[Tool]], Region]

# What models put around a call instead of their own marks: a code fence, or a tag.
_WRAPPING = re.compile(r"(?P<fence>```[a-z_]{0,12})\s*|<(?P<tag>[a-z_]{2,16})>\s*")
_WRAPPING_BEGUN = re.compile(r"`{1,2}|```[a-z_]{0,12}\s*|<[a-z_]{0,16}|<[a-z_]{2,16}>\s*")
_LIST_CALL = re.compile(r"\[\s*([A-Za-z_][\w.]*)\(")
_LIST_CALL_BEGUN = re.compile(r"\[\s*[A-Za-z_]?[\w.]*")


class Parser:
    """Read an answer in which tools may be called.

    Args:
        tools: those the model was told of.
        marks: the dialect's marks, each with the region that it opens.
        most: how many calls are taken.
        pythonic: bare lists of Python calls count, too: `[add(a=1)]`.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        marks: Mapping[str, Opener],
        *,
        most: int | None = None,
        pythonic: bool = False,
    ) -> None:
        self._tools = tools
        self._names = [tool.name for tool in tools]
        self._marks = marks
        self._pythonic = pythonic
        self._emitter = Emitter(most)
        self._region: Region | None = None
        self._held = ""
        self._bare: _Bare | None = None
        self._line_start = True

    @property
    def calls(self) -> list[Written]:
        """Every call so far."""
        return self._emitter.calls

    def push(self, text: str) -> list[Event]:
        """Read the next piece of the answer; return what is now certain."""
        self._read(text)
        return self._emitter.take()

    def finish(self) -> list[Event]:
        """Return what was held back when the answer ended."""
        while self._bare is not None or self._held:
            bare, self._bare = self._bare, None
            held = bare.raw if bare is not None else self._held
            self._held = ""
            self._text(held[0])
            self._read(held[1:])
        if self._region is not None:
            self._region.finish()
            self._region = None
        self._emitter.finish()
        return self._emitter.take()

    def _read(self, text: str) -> None:
        waiting = list(reversed(text))
        while waiting:
            char = waiting.pop()
            if self._region is not None:
                self._in_region(char, waiting)
            elif self._bare is not None:
                self._in_bare(char, waiting)
            else:
                self._outside(char, waiting)

    def _in_region(self, char: str, waiting: list[str]) -> None:
        assert self._region is not None
        step = self._region.push(char)
        if step == "in":
            return
        if step == "past":
            waiting.append(char)
            waiting.extend(reversed(self._region.rest))
        self._region = None
        self._line_start = True

    def _outside(self, char: str, waiting: list[str]) -> None:
        self._held += char
        if self._held in self._marks:
            self._region = self._marks[self._held](self._emitter, self._tools)
            self._held = ""
        elif any(mark.startswith(self._held) for mark in self._marks):
            return
        else:
            held, self._held = self._held, ""
            waiting.extend(reversed(held[1:]))
            if self._line_start and held[0] in "`<[{":
                self._bare = _Bare(self._emitter, self._tools, self._pythonic)
                self._in_bare(held[0], waiting)
            else:
                self._text(held[0])

    def _in_bare(self, char: str, waiting: list[str]) -> None:
        assert self._bare is not None
        found = self._bare.push(char)
        if found is None:
            return
        bare, self._bare = self._bare, None
        if isinstance(found, Region):
            self._region = found
        else:
            # No call: its first character is text, and the others may yet begin something.
            waiting.extend(reversed(bare.raw[1:]))
            self._text(bare.raw[0])

    def _text(self, char: str) -> None:
        self._emitter.text(char)
        self._line_start = char == "\n" or (self._line_start and char.isspace())


class _Bare:
    """What may be a call outside of any mark, until it is clear that it is none."""

    def __init__(self, emitter: Emitter, tools: Sequence[Tool], pythonic: bool) -> None:
        self._emitter = emitter
        self._tools = tools
        self._pythonic = pythonic
        self._names = [tool.name for tool in tools]
        self._closings: tuple[str, ...] = ()
        self._listed = False
        self._head = ""
        self._call: JsonCall | None = None
        self.raw = ""

    def push(self, char: str) -> Region | bool | None:
        """Read a character: a region where a call has begun, False where none can follow."""
        self.raw += char
        if self._call is not None:
            return self._in_call(char)
        self._head += char
        if char == "{":
            return self._object()
        wrapping = _WRAPPING.fullmatch(self._head)
        if _WRAPPING_BEGUN.fullmatch(self._head) or wrapping:
            return None
        return self._list()

    def _object(self) -> bool | None:
        lead = self._head[:-1].rstrip()
        self._listed = lead.endswith("[")
        lead = lead[:-1].rstrip() if self._listed else lead
        wrapping = _WRAPPING.fullmatch(lead)
        if lead and wrapping is None:
            return False
        if wrapping is not None:
            tag = wrapping["tag"]
            # Models that forget the opening mark often write the closing one all the same.
            self._closings = (f"</{tag}>",) if tag else ("```",)
        else:
            self._closings = ("</tool_call>",)
        self._call = JsonCall(self._emitter, self._names)
        self._call.push("{")
        return None

    def _list(self) -> Region | bool | None:
        head = self._head
        wrapping = _WRAPPING.match(head)
        if wrapping is not None:
            head = head[wrapping.end() :]
        if head.rstrip() == "[":
            return None
        if not self._pythonic:
            return False
        called = _LIST_CALL.fullmatch(head)
        if called is not None:
            if called[1] not in self._names:
                return False
            closings = ("```",) if wrapping is not None else ()
            return PythonCalls(self._emitter, self._tools, closings, begun=head)
        return None if _LIST_CALL_BEGUN.fullmatch(head) else False

    def _in_call(self, char: str) -> Region | bool | None:
        assert self._call is not None
        if self._call.push(char) in ("bad", "end") and self._call.name is None:
            return False
        if self._call.name is None:
            return None
        separators = "[,]" if self._listed else ";"
        return JsonCalls.after(self._emitter, self._call, self._closings, separators)
