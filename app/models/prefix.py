"""What the context holds, and for whom: sequences that share their common beginnings.

llama.cpp keeps keys and values in cells; a cell may belong to several sequences at once, so
that copying the beginning of one sequence to another costs no cell and no forward pass.
Together the sequences form a prefix tree: every common beginning is kept once, and each
branch ends in a sequence, running or merely remembered. What is remembered longest without
use is forgotten first, from its end, so that a system prompt outlives the conversations
that began with it (vLLM, arXiv:2309.06180, and SGLang's RadixAttention, arXiv:2312.07104,
do the same with blocks and with an explicit tree).

This module only keeps the books; `Memory` is the real thing.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from typing import Protocol

import numpy as np
import numpy.typing as npt

from groundling.models.adapters import AdapterSet


class Memory(Protocol):
    """The context's own bookkeeping of which cell belongs to which sequence."""

    def copy(self, source: int, target: int, count: int) -> None:
        """Give the first `count` cells of one sequence to another, empty one as well."""

    def trim(self, sequence: int, count: int) -> bool:
        """Take all but the first `count` cells away; False where the model cannot do that."""


class Sequence:
    """One run of tokens in the context, which a call is using or has left behind."""

    def __init__(self, id: int, length: int, adapters: AdapterSet) -> None:
        self.id = id
        self.adapters = adapters
        self.busy = True
        self.last_used = 0
        self.length = 0
        self._tokens = np.zeros(length, np.int32)
        self._cells = np.zeros(length, np.int32)

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """The tokens that were read, in order."""
        return self._tokens[: self.length]

    @property
    def cells(self) -> npt.NDArray[np.int32]:
        """A number for each token's cell; equal numbers mean that the cell is shared."""
        return self._cells[: self.length]

    def append(self, tokens: npt.ArrayLike, cells: npt.NDArray[np.int32]) -> None:
        end = self.length + len(cells)
        self._tokens[self.length : end] = tokens
        self._cells[self.length : end] = cells
        self.length = end


class PrefixCache:
    """The books of one context.

    Args:
        memory: carries out what is decided here.
        cells: tokens that the context holds in all.
        sequences: how many it tells apart.
        length: the longest sequence.
        divisible: whether a part of a sequence can be shared or kept; recurrent models hold
            nothing but the state at the end.
    """

    def __init__(
        self, memory: Memory, *, cells: int, sequences: int, length: int, divisible: bool = True
    ) -> None:
        self._memory = memory
        self._length = min(length, cells)
        self._divisible = divisible
        self._holders = np.zeros(cells, np.int32)
        self._free = list(range(cells - 1, -1, -1))
        self._ids = list(range(sequences - 1, -1, -1))
        self._sequences: list[Sequence] = []
        self._clock = 0

    @property
    def free(self) -> int:
        """The cells that hold nothing."""
        return len(self._free)

    @property
    def remembered(self) -> list[Sequence]:
        """Sequences that no call is using, the longest unused first."""
        idle = [sequence for sequence in self._sequences if not sequence.busy]
        return sorted(idle, key=lambda sequence: sequence.last_used)

    def shared(
        self, tokens: npt.NDArray[np.int32], adapters: AdapterSet, most: int | None = None
    ) -> int:
        """Return how many of the tokens, from the first, would not be read again.

        The last one is never counted: what follows the prompt is told by reading it. For
        the same reason `most` bounds the count where earlier scores are wanted, too.
        """
        return self._best(tokens, adapters, most)[1]

    def begin(
        self, tokens: npt.NDArray[np.int32], adapters: AdapterSet, most: int | None = None
    ) -> Sequence | None:
        """Open a sequence that already holds what is known of the tokens' beginning.

        Returns:
            The sequence; None where every one is in use.
        """
        source, count = self._best(tokens, adapters, most)
        self._clock += 1
        if source is not None and not source.busy and source.length == count:
            source.busy = True
            return source
        if not self._ids:
            spare = next((one for one in self.remembered if one is not source), None)
            if spare is None:
                return None
            self.drop(spare)
        opened = Sequence(self._ids.pop(), self._length, adapters)
        self._sequences.append(opened)
        if source is not None:
            source.last_used = self._clock
            self._memory.copy(source.id, opened.id, count)
            cells = source.cells[:count]
            opened.append(source.tokens[:count], cells)
            self._holders[cells] += 1
        return opened

    def room(self, count: int) -> bool:
        """Make sure that so many cells are free, forgetting what was not used for longest."""
        while len(self._free) < count:
            idle = self.remembered
            if not idle:
                return False
            self._forget(idle[0], count - len(self._free))
        return True

    def extend(self, sequence: Sequence, tokens: Tokens[int] | npt.NDArray[np.int32]) -> None:
        """Note that a sequence has read these tokens; `room` was made for them before."""
        taken = np.array([self._free.pop() for _ in tokens], np.int32)
        self._holders[taken] = 1
        sequence.append(tokens, taken)

    def shorten(self, sequence: Sequence, count: int) -> int:
        """Take all but the first `count` tokens away; return how many are left."""
        if count >= sequence.length:
            return sequence.length
        if not self._memory.trim(sequence.id, count):
            self._memory.trim(sequence.id, 0)
            count = 0
        cells = sequence.cells[count:]
        self._holders[cells] -= 1
        self._free.extend(int(cell) for cell in cells[self._holders[cells] == 0])
        sequence.length = count
        return count

    def release(self, sequence: Sequence) -> None:
        """Remember a sequence after its call has ended."""
        self._clock += 1
        sequence.busy = False
        sequence.last_used = self._clock
        if not sequence.length or self._is_prefix(sequence):
            self.drop(sequence)

    def drop(self, sequence: Sequence) -> None:
        """Forget a sequence and give its id back."""
        self.shorten(sequence, 0)
        self._sequences.remove(sequence)
        self._ids.append(sequence.id)

    def clear(self) -> None:
        """Forget everything that no call is using."""
        for sequence in self.remembered:
            self.drop(sequence)

    def _best(
        self, tokens: npt.NDArray[np.int32], adapters: AdapterSet, limit: int | None
    ) -> tuple[Sequence | None, int]:
        best: Sequence | None = None
        most = 0
        limit = len(tokens) - 1 if limit is None else min(limit, len(tokens) - 1)
        for sequence in self._sequences:
            if sequence.adapters != adapters:
                continue
            count = min(common(sequence.tokens, tokens), limit)
            if not self._divisible and count < sequence.length:
                continue
            # Of equals, one that ends there needs no copy and no id.
            better = count == most and best is not None and not sequence.busy
            if count > most or (better and sequence.length == count > 0):
                best, most = sequence, count
        return best, most

    def _forget(self, sequence: Sequence, wanted: int) -> None:
        own = int((self._holders[sequence.cells] == 1).sum())
        if own > wanted and self._divisible:
            self.shorten(sequence, sequence.length - wanted)
        else:
            self.drop(sequence)

    def _is_prefix(self, sequence: Sequence) -> bool:
        """Tell whether another sequence holds every cell of this one."""
        return self._divisible and bool((self._holders[sequence.cells] > 1).all())


def common(left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> int:
    """Return the length of the common beginning."""
    length = min(len(left), len(right))
    different = left[:length] != right[:length]
    first = int(different.argmax()) if length else 0
    return first if length and different[first] else length
