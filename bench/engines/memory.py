"""How fast this machine reads memory, and how much of it a written token reads."""

from __future__ import annotations

import time

import numpy as np

from bench.engines.stage import at_once
from groundling.models.gguf import GgufHeader

_WORDS = 1 << 28  # a gigabyte for each thread: more than any cache


def bandwidth(threads: int, rounds: int = 3) -> float:
    """Return the most bytes per second that so many threads read together."""
    parts = [np.ones(_WORDS, np.uint32) for _ in range(threads)]
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        at_once([part.max for part in parts])
        best = min(best, time.perf_counter() - begun)
    return 4 * _WORDS * threads / best


def bytes_per_token(header: GgufHeader, context: int) -> int:
    """Return what one decoded token reads at least: all weights, and keys and values.

    The table of token vectors is read in one row only, unless it also makes the output.

    Args:
        header: of the model's file.
        context: tokens whose keys and values are read, as 16-bit floats.
    """
    heads = sum(header.head_count_kv) * (header.key_length + header.value_length)
    weights = header.tensor_bytes
    if "output.weight" in header.tensors and "token_embd.weight" in header.tensors:
        table = header.tensors["token_embd.weight"]
        weights -= int(np.prod(table.shape)) // 2  # about four bits each, as the file's others
    return weights + 2 * heads * context
