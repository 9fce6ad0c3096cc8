"""Reads the header of a GGUF file: what the model is, how big, and whether it is whole.

Follows https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing native is loaded,
and a header that lies about its lengths costs neither memory nor a crash: every length is
compared with the bytes that are left before it is used. Vocabulary arrays are skipped.
"""

from __future__ import annotations

import math
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from groundling.errors import ModelFileError

Value = str | int | float | bool | tuple[int | float | bool, ...]

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
_KEPT_ITEMS = 4096  # a per-layer array; a vocabulary is longer and is skipped
_DEEPEST_ARRAY = 4
_MOST_KEYS = 100_000
_MOST_TENSORS = 1_000_000

# ggml type: (elements in a block, bytes of a block).
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True)
class Tensor:
    """A tensor's shape, the fastest-running dimension first, and its ggml type."""

    shape: tuple[int, ...]
    type: int


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says about its model; sizes in bytes, lengths in tokens.

    `types` are the GGUF value types of the keys in `metadata`: native code that expects
    another one ends the process.
    """

    path: Path
    version: int
    file_bytes: int
    tensor_bytes: int
    tensor_count: int
    metadata: dict[str, Value] = field(repr=False)
    vocabulary: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict, repr=False)
    types: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def name(self) -> str:
        return str(self.metadata.get("general.name", self.path.stem))

    @property
    def chat_template(self) -> str | None:
        template = self.metadata.get("tokenizer.chat_template")
        return template if isinstance(template, str) else None

    @property
    def file_type(self) -> int | None:
        """The quantisation, as llama.cpp numbers it (15 is Q4_K_M)."""
        value = self.metadata.get("general.file_type")
        return value if isinstance(value, int) else None

    @property
    def context_length(self) -> int:
        """The context that the model was trained with; 0 where the file does not tell."""
        return self._number("context_length")

    @property
    def block_count(self) -> int:
        return self._number("block_count")

    @property
    def embedding_length(self) -> int:
        return self._number("embedding_length")

    @property
    def head_count(self) -> int:
        return max(self._per_layer("attention.head_count"), default=0)

    @property
    def head_count_kv(self) -> tuple[int, ...]:
        """Key-value heads of each layer."""
        return self._per_layer("attention.head_count_kv") or self._per_layer("attention.head_count")

    @property
    def key_length(self) -> int:
        """The size of one key of one head."""
        default = self.embedding_length // self.head_count if self.head_count else 0
        return self._number("attention.key_length", default)

    @property
    def value_length(self) -> int:
        """The size of one value of one head."""
        default = self.embedding_length // self.head_count if self.head_count else 0
        return self._number("attention.value_length", default)

    @property
    def split_count(self) -> int:
        """How many files the model was split into; 1 for a whole one."""
        value = self.metadata.get("split.count")
        return value if isinstance(value, int) and value > 1 else 1

    def _number(self, key: str, default: int = 0) -> int:
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        return max(0, value) if isinstance(value, int) else default

    def _per_layer(self, key: str) -> tuple[int, ...]:
        value = self.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, int):
            return (max(0, value),) * min(self.block_count, _KEPT_ITEMS)
        if isinstance(value, tuple):
            return tuple(max(0, int(item)) for item in value if math.isfinite(item))
        return ()


def read_gguf(path: Path) -> GgufHeader:
    """Read and check a GGUF header; of a split model, the first file and its siblings.

    Raises:
        ModelFileError: no such file, not a GGUF, cut short (with the bytes missing), a
            header that contradicts itself, or a split model with parts missing.
    """
    header = _read_one(path)
    if header.split_count == 1:
        return header
    match = _SPLIT.search(path.name)
    if match is None or int(match[1]) != 1:
        raise ModelFileError(
            f"{path} is one part of a model in {header.split_count} files.",
            hint="Give the first part, whose name ends in -00001-of-….gguf.",
        )
    stem, total = path.name[: match.start()], int(match[2])
    if total > _KEPT_ITEMS:
        raise ModelFileError(f"{path} claims to have {total} parts.")
    parts = [path.with_name(f"{stem}-{n:05}-of-{total:05}.gguf") for n in range(2, total + 1)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ModelFileError(
            f"{path} is part 1 of {total}; missing beside it: {', '.join(missing)}.",
            hint="Fetch the other parts into the same folder.",
        )
    rest = [_read_one(part) for part in parts]
    return GgufHeader(
        path=path,
        version=header.version,
        file_bytes=header.file_bytes + sum(part.file_bytes for part in rest),
        tensor_bytes=header.tensor_bytes + sum(part.tensor_bytes for part in rest),
        tensor_count=header.tensor_count + sum(part.tensor_count for part in rest),
        metadata=header.metadata,
        vocabulary=header.vocabulary,
        tensors=header.tensors | {name: t for part in rest for name, t in part.tensors.items()},
        types=header.types,
    )


def _read_one(path: Path) -> GgufHeader:
    try:
        with path.open("rb") as file:
            return _Reader(path, file).header()
    except FileNotFoundError as error:
        raise ModelFileError(
            f"There is no model file {path}.", hint="groundling model list"
        ) from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


class _Reader:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._data = b""
        self._start = 0  # where _data begins in the file
        self._at = 0  # the next byte, in _data

    def header(self) -> GgufHeader:
        if self._size < 4 or self._take(4) != b"GGUF":
            raise ModelFileError(
                f"{self._path} is not a GGUF file (it is {self._size} bytes long).",
                hint="groundling model list shows models that are; "
                "groundling model pull fetches one.",
            )
        version = self._number("I")
        if version not in (2, 3):
            raise self._broken(f"GGUF version {version}; versions 2 and 3 can be read")
        tensors, keys = self._number("Q"), self._number("Q")
        if tensors > _MOST_TENSORS or keys > _MOST_KEYS:
            raise self._broken(f"{tensors} tensors and {keys} keys")
        metadata: dict[str, Value] = {}
        types: dict[str, int] = {}
        vocabulary = 0
        for _ in range(keys):
            key, kind = self._string(), self._number("I")
            value, items = self._value(kind)
            if value is not None:
                metadata[key], types[key] = value, kind
            if key == "tokenizer.ggml.tokens":
                vocabulary = items
        found, end, total = self._tensors(tensors)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._broken(f"alignment {alignment!r}")
        needed = -(-self._tell() // alignment) * alignment + end if tensors else self._tell()
        if needed > self._size:
            raise self._cut_short(needed - self._size)
        return GgufHeader(
            self._path, version, self._size, total, tensors, metadata, vocabulary, found, types
        )

    def _tensors(self, count: int) -> tuple[dict[str, Tensor], int, int]:
        """Return the tensors, where the last ends from the start of the data, and their sum."""
        tensors: dict[str, Tensor] = {}
        end = total = 0
        for _ in range(count):
            name = self._string()
            dimensions = self._number("I")
            if dimensions > 8:
                raise self._broken(f"a tensor of {dimensions} dimensions")
            shape = tuple(self._number("Q") for _ in range(dimensions))
            elements = math.prod(shape)
            kind, offset = self._number("I"), self._number("Q")
            tensors[name] = Tensor(shape, kind)
            block, size = _BLOCKS.get(kind, (1, 0))
            length = -(-elements // block) * size
            end, total = max(end, offset + length), total + length
        return tensors, end, total

    def _value(self, kind: int, depth: int = 0) -> tuple[Value | None, int]:
        """Read one value; of an array, also its length, and None where it is skipped."""
        if kind in _SCALARS:
            value: Value = struct.unpack("<" + _SCALARS[kind], self._take(_width(kind)))[0]
            return value, 1
        if kind == _STRING:
            return self._string(), 1
        if kind != _ARRAY or depth >= _DEEPEST_ARRAY:
            raise self._broken(f"a value of type {kind}")
        item, count = self._number("I"), self._number("Q")
        if item in _SCALARS:
            length = self._length(count * _width(item))
            if count <= _KEPT_ITEMS:
                return struct.unpack(f"<{count}{_SCALARS[item]}", self._take(length)), count
            self._skip(length)
            return None, count
        # Each string takes eight bytes at least, so this also bounds the loop.
        self._length(count * 8)
        if item == _STRING:
            self._skip_strings(count)
        else:
            for _ in range(count):
                self._value(item, depth + 1)
        return None, count

    def _skip_strings(self, count: int) -> None:
        # A vocabulary has hundreds of thousands: the inner loop stays inside the buffer.
        while count:
            data, at, size = self._data, self._at, len(self._data)
            while count and at + 8 <= size:
                after = at + 8 + _LENGTH.unpack_from(data, at)[0]
                if after > size:
                    break
                at, count = after, count - 1
            self._at = at
            if count:
                self._skip(self._length(self._number("Q")))
                count -= 1

    def _string(self) -> str:
        return self._take(self._length(self._number("Q"))).decode("utf-8", "replace")

    def _number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self._take(struct.calcsize(code)))[0])

    def _length(self, length: int) -> int:
        left = self._size - self._tell()
        if length > left:
            raise self._cut_short(length - left)
        return length

    def _take(self, length: int) -> bytes:
        self._length(length)
        if self._at + length > len(self._data):
            self._fill(length)
        piece = self._data[self._at : self._at + length]
        self._at += length
        return piece

    def _fill(self, length: int) -> None:
        self._start, self._at, rest = self._tell(), 0, self._data[self._at :]
        self._data = rest + self._file.read(max(length, 1 << 20) - len(rest))
        if len(self._data) < length:
            raise self._cut_short(length - len(self._data))

    def _skip(self, length: int) -> None:
        if self._at + length <= len(self._data):
            self._at += length
            return
        self._start, self._at, self._data = self._tell() + length, 0, b""
        self._file.seek(self._start)

    def _tell(self) -> int:
        return self._start + self._at

    def _broken(self, what: str) -> ModelFileError:
        return ModelFileError(
            f"{self._path} has a damaged header: {what}.", hint="groundling model verify"
        )

    def _cut_short(self, missing: int) -> ModelFileError:
        return ModelFileError(
            f"{self._path} is cut short or damaged: at least {missing:,} bytes are missing.",
            hint="groundling model verify tells which file; groundling model pull fetches it again",
        )


def _width(kind: int) -> int:
    return struct.calcsize("<" + _SCALARS[kind])
