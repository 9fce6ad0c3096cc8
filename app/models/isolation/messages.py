"""What a supervised engine and its child process say to each other, and how it is written.

A frame is four bytes of length, then MessagePack: the kind, the number of the call it
belongs to (0: none), and the fields. Nothing is unpickled: a child that a hostile model file
has taken over can only send values of these types, which are checked on arrival.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, BinaryIO, get_args

import ormsgpack
from pydantic import TypeAdapter

from groundling import errors
from groundling.errors import ContextOverflow, GroundlingError, ModelError
from groundling.models.calls import Choice, Chunk, EngineSettings, Request, Weights

_LENGTH = struct.Struct("<I")
_LONGEST = 256 << 20  # bytes; a thousand-way choice after a long prompt has some 30 MB


class Malformed(Exception):
    """A frame that says nothing known, and the number of the call it was about."""

    def __init__(self, reason: str, call: int = 0) -> None:
        super().__init__(reason)
        self.call = call


# To the child


@dataclass(frozen=True)
class Load:
    """Which model to load; comes first and once.

    Args:
        path: of the file, as the system's bytes.
        settings: how to run it.
        log_level: llama.cpp's log is sent from this level on.
        parent: the process to live as long as.
    """

    path: bytes
    settings: EngineSettings
    log_level: int
    parent: int


@dataclass(frozen=True)
class Cancel:
    """The call is not wanted any more."""


@dataclass(frozen=True)
class Encode:
    """Tokens of a prompt, please: the parts' texts in UTF-8, and whether they are markup."""

    parts: tuple[tuple[bytes, bool], ...]


@dataclass(frozen=True)
class Tokenize:
    """Tokens of a text in UTF-8, please; see `Vocabulary.tokenize`."""

    text: bytes
    markup: bool
    begin: bool


@dataclass(frozen=True)
class Describe:
    """Texts of tokens, please; see `Vocabulary.piece`."""

    tokens: tuple[int, ...]
    markup: bool


@dataclass(frozen=True)
class Specials:
    """The vocabulary's special tokens, please."""


# From the child


@dataclass(frozen=True)
class Progress:
    """The share of the model that is loaded."""

    share: float


@dataclass(frozen=True)
class Ready:
    """The model is loaded, and this is what it is."""

    name: str
    context_length: int
    chat_template: str | None
    vocabulary_size: int


@dataclass(frozen=True)
class Begun:
    """The call's first forward pass comes next: from here on it shares the child's fate."""


@dataclass(frozen=True)
class Tokens:
    """The answer to `Encode` and `Tokenize`."""

    tokens: list[int]


@dataclass(frozen=True)
class Texts:
    """The answer to `Describe`: each token's bytes, and whether it ends a text."""

    pieces: tuple[bytes, ...]
    ends: tuple[bool, ...]


@dataclass(frozen=True)
class SpecialTexts:
    """The answer to `Specials`."""

    bos: str
    eos: str
    control: frozenset[str]


@dataclass(frozen=True)
class Fault:
    """An error: the name of its class in `errors`, or `ValueError`, and what it says."""

    kind: str
    message: str
    hint: str | None = None
    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """Describe an error for the other side."""
        kind, message = type(error).__name__, _printable(str(error))
        if isinstance(error, ContextOverflow):
            return cls(kind, message, None, (error.prompt_tokens, error.context_tokens))
        if isinstance(error, GroundlingError):
            return cls(kind, message, _printable(error.hint) if error.hint else None)
        if isinstance(error, ValueError):
            return cls("ValueError", message)
        return cls("ModelError", f"The model's process failed: {kind}: {message}")

    def error(self) -> Exception:
        """Make the error that was described."""
        if self.kind == "ValueError":
            return ValueError(self.message)
        if self.kind == "ContextOverflow" and len(self.counts) == 2:
            return ContextOverflow(*self.counts)
        found = getattr(errors, self.kind, None)
        if not (isinstance(found, type) and issubclass(found, GroundlingError)):
            found = ModelError
        error: Exception = found(self.message, hint=self.hint)
        return error


@dataclass(frozen=True)
class Logged:
    """A line of llama.cpp's log, with Python's number of its level."""

    level: int
    text: str


ToChild = Load | Request | Choice | Cancel | Encode | Tokenize | Describe | Specials
FromChild = (
    Progress | Ready | Begun | Chunk | Weights | Tokens | Texts | SpecialTexts | Fault | Logged
)


def pack(message: ToChild | FromChild, call: int = 0) -> bytes:
    """Write a frame.

    Raises:
        ValueError: something in the message is not of its type.
    """
    try:
        body = ormsgpack.packb(
            (type(message).__name__, call, message),
            default=_plain,
            option=ormsgpack.OPT_SERIALIZE_NUMPY,
        )
    except ormsgpack.MsgpackEncodeError as error:
        raise ValueError(f"this call cannot be sent to the model's process: {error}") from error
    if len(body) > _LONGEST:
        raise ValueError(f"this call has {len(body):,} bytes; at most {_LONGEST:,}")
    return _LENGTH.pack(len(body)) + body


def read_call(stream: BinaryIO) -> tuple[int, ToChild] | None:
    """Read the next frame as the child does; None at the end of the stream.

    Raises:
        Malformed: the frame is none of those that a child understands.
    """
    return _read(stream, _adapters(ToChild))


def read_answer(stream: BinaryIO) -> tuple[int, FromChild] | None:
    """Read the next frame as the parent does; None at the end of the stream.

    Raises:
        Malformed: the frame is none of those that a parent understands.
    """
    return _read(stream, _adapters(FromChild))


def _read(stream: BinaryIO, kinds: Mapping[str, TypeAdapter[Any]]) -> tuple[int, Any] | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:
        raise Malformed(f"a frame of {length:,} bytes")
    body = stream.read(length)
    if len(body) < length:
        return None
    call = 0
    try:
        kind, call, fields = ormsgpack.unpackb(body)
        if not isinstance(call, int):
            call = 0
            raise TypeError("the number of a call is no number")
        return call, kinds[kind].validate_python(fields)
    except (ValueError, TypeError, KeyError, GroundlingError) as error:
        raise Malformed(f"{type(error).__name__}: {error}", call) from error


@cache
def _adapters(union: UnionType) -> dict[str, TypeAdapter[Any]]:
    return {kind.__name__: TypeAdapter(kind) for kind in get_args(union)}


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not sent")


def _printable(text: str) -> str:
    # A path may hold bytes that are no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()
