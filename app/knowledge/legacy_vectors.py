"""The vectors of a FAISS file, read by numpy.

FAISS's own reader trusts what its file says of sizes. A flat index, the kind that LangChain
makes, is a header and then the numbers (faiss/impl/index_write.cpp), so it is checked against
the file's length and mapped into memory.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundling.errors import KnowledgeError

Matrix = NDArray[np.float32]

# Every index: kind, dimension, number of vectors, two unused numbers, trained, metric.
_HEADER = struct.Struct("<4siqqq?i")
# A flat one: how many floats follow.
_LENGTH = struct.Struct("<Q")
# By inner product, and by distance.
_FLAT = (b"IxFI", b"IxF2")


def count_vectors(file: Path) -> int:
    """Return how many vectors a FAISS file says it has.

    Raises:
        KnowledgeError: it is missing or too short.
    """
    return _header(file)[2]


def read_vectors(file: Path) -> Matrix:
    """Return the vectors of a flat index, a row each, mapped and not read.

    Raises:
        KnowledgeError: it is missing, damaged, or no flat index.
    """
    kind, dimension, count = _header(file)
    if kind not in _FLAT:
        raise KnowledgeError(
            f"{file} is an index of kind {kind.decode('latin-1')!r}; vectors are kept of flat "
            "ones alone.",
            hint="Without trust_vectors the texts are embedded anew.",
        )
    begin = _HEADER.size + _LENGTH.size
    with file.open("rb") as stream:
        stream.seek(_HEADER.size)
        stated = stream.read(_LENGTH.size)
    floats = _LENGTH.unpack(stated)[0] if len(stated) == _LENGTH.size else -1
    if floats != dimension * count or file.stat().st_size != begin + 4 * floats:
        raise KnowledgeError(f"{file} is damaged: it is not as long as its header says.")
    if not count:
        return np.zeros((0, dimension), dtype=np.float32)
    return np.memmap(file, dtype="<f4", mode="r", offset=begin, shape=(count, dimension))


def _header(file: Path) -> tuple[bytes, int, int]:
    """Return kind, dimension and number of vectors."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_HEADER.size)
    except OSError as error:
        raise KnowledgeError(
            f"{file} cannot be read: {error.strerror}.",
            hint="Name the folder that save_local was given, and its index_name.",
        ) from error
    if len(data) < _HEADER.size:
        raise KnowledgeError(f"{file} is no FAISS index: it is too short.")
    kind, dimension, count, *_ = _HEADER.unpack(data)
    if dimension < 1 or count < 0:
        raise KnowledgeError(f"{file} is no FAISS index.")
    return kind, dimension, count
