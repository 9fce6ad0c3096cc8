"""A reader of pickles that runs nothing.

A pickle is a program for a small stack machine, and Python's own machine calls whatever the
program names. This one calls nothing: an object of a class comes back as the class's name and
the state that was written of it. It knows the instructions that protocols 2 to 5 write for
plain values and simple objects (Lib/pickletools.py describes all), and refuses any other.

What a file can cost is bounded: every instruction takes some 100 bytes of memory at most, and
there may be `MAX_INSTRUCTIONS` of them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import BytesIO
from typing import Any

# About 45 are written for a short document with its metadata.
MAX_INSTRUCTIONS = 20_000_000

_NUMBERS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_VALUES = _NUMBERS | {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NOTHING_TO_DO = {"PROTO", "FRAME", "STOP"}
_KEYS = (str, int, float, type(None))


class Refused(Exception):
    """The pickle is damaged, or asks for more than plain values and the allowed classes."""


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a class, such as "langchain_core.documents.base.Document"."""

    name: str


@dataclass(eq=False, slots=True)
class Inert:
    """What was written of an object: its class's name and its state."""

    name: str
    state: Any = None


def read(data: bytes, allowed: Collection[str]) -> Any:
    """Return what a pickle describes: plain values, and `Inert` for objects.

    Sets come back as lists. Objects that the pickle shares are shared in the result, which
    can unfold to much more than the file's size, or contain itself.

    Args:
        data: the pickle.
        allowed: full names of the classes that it may name.

    Raises:
        Refused: for a class that is not allowed it names it.
    """
    machine = _Machine(allowed)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(BytesIO(data))):
            if count >= MAX_INSTRUCTIONS:
                raise Refused(f"it has more than {MAX_INSTRUCTIONS} instructions")
            machine.do(opcode.name, argument)
        return machine.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"it is damaged ({error})") from error


class _Machine:
    """The stack, the memo, and what each instruction does to them."""

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = allowed
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._steps: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self._marks.append(len(self.stack)),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_SET": lambda _: self.stack.append([]),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "TUPLE": lambda _: self.stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "APPEND": lambda _: self._extend([self.stack.pop()]),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "ADDITEMS": lambda _: self._extend(self._to_mark()),
            "SETITEM": lambda _: self._set([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda _: self._set(self._to_mark()),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "BINGET": lambda place: self.stack.append(self._memo[place]),
            "LONG_BINGET": lambda place: self.stack.append(self._memo[place]),
            "GLOBAL": lambda names: self._name(*names.split(" ", 1)),
            "STACK_GLOBAL": lambda _: self._name(self.stack.pop(-2), self.stack.pop()),
            "NEWOBJ": lambda _: self._object(),
            "REDUCE": lambda _: self._object(),
            "BUILD": lambda _: self._build(),
        }

    def do(self, opcode: str, argument: Any) -> None:
        """Carry out one instruction."""
        if opcode in _VALUES:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif step := self._steps.get(opcode):
            step(argument)
        elif opcode not in _NOTHING_TO_DO:
            raise Refused(f"it has an instruction that plain values do not need ({opcode})")

    def _to_mark(self) -> list[Any]:
        begin = self._marks.pop()
        items = self.stack[begin:]
        del self.stack[begin:]
        return items

    def _tuple(self, length: int) -> None:
        items = tuple(self.stack[-length:])
        del self.stack[-length:]
        self.stack.append(items)

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise Refused("it adds items to what is no list")
        target.extend(items)

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise Refused("it sets keys of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A nested tuple would be hashed to its depth, past the end of C's stack; long
            # numbers can be chosen to have one hash, which makes a dict quadratic.
            if not isinstance(key, _KEYS) or (isinstance(key, int) and key.bit_length() > 64):
                raise Refused(f"a dict has a key that none may have (a {type(key).__name__})")
            target[key] = value

    def _put(self, place: int) -> None:
        self._memo[place] = self.stack[-1]

    def _name(self, module: object, attribute: object) -> None:
        name = f"{module}.{attribute}"
        if name not in self.allowed:
            raise Refused(f"it names {name[:200]}")
        self.stack.append(Name(name))

    def _object(self) -> None:
        """Put an object in the place of its class; what it was to be called with is dropped."""
        self.stack.pop()
        made = self.stack.pop()
        if not isinstance(made, Name):
            raise Refused("it calls what is no class")
        self.stack.append(Inert(made.name))

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Inert):
            raise Refused("it changes what is no object")
        target.state = state
