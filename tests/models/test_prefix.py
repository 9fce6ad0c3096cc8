"""The books of the context, against a memory that keeps every cell in plain sight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from groundling.models.adapters import NO_ADAPTERS, AdapterSet
from groundling.models.prefix import PrefixCache, Sequence, common

CELLS, SEQUENCES, LENGTH = 40, 6, 24
OTHER = AdapterSet(key=((("adapter.gguf", 1, 1, 1), 1.0),))


class PlainMemory:
    """What each sequence holds, token by token, as llama.cpp would."""

    def __init__(self, *, divisible: bool = True) -> None:
        self.held: dict[int, list[object]] = {n: [] for n in range(SEQUENCES)}
        self.divisible = divisible

    def copy(self, source: int, target: int, count: int) -> None:
        assert not self.held[target], "only an empty sequence is copied to"
        assert count <= len(self.held[source])
        assert self.divisible or count == len(self.held[source])
        self.held[target] = self.held[source][:count]

    def trim(self, sequence: int, count: int) -> bool:
        if not self.divisible and 0 < count < len(self.held[sequence]):
            return False
        del self.held[sequence][count:]
        return True

    def read(self, sequence: Sequence, tokens: list[int]) -> None:
        self.held[sequence.id] += [object() for _ in tokens]

    @property
    def used(self) -> int:
        return len({id(cell) for held in self.held.values() for cell in held})


def array(tokens: list[int]) -> np.ndarray:
    return np.array(tokens, np.int32)


def books(**fields: object) -> tuple[PrefixCache, PlainMemory]:
    memory = PlainMemory(divisible=bool(fields.get("divisible", True)))
    sizes = {"cells": CELLS, "sequences": SEQUENCES, "length": LENGTH, **fields}
    return PrefixCache(memory, **sizes), memory  # type: ignore[arg-type]


def read(
    cache: PrefixCache, memory: PlainMemory, tokens: list[int], **kind: AdapterSet
) -> Sequence:
    """Serve a whole call, but do not release its sequence."""
    sequence = cache.begin(array(tokens), kind.get("adapters", NO_ADAPTERS))
    assert sequence is not None
    rest = tokens[sequence.length :]
    assert cache.room(len(rest))
    memory.read(sequence, rest)
    cache.extend(sequence, rest)
    return sequence


class Books(RuleBasedStateMachine):
    """Any order of calls: the books agree with the memory, and lose nothing that is used."""

    divisible = True

    def __init__(self) -> None:
        super().__init__()
        self.cache, self.memory = books(divisible=self.divisible)
        self.busy: list[tuple[Sequence, list[int]]] = []

    @rule(
        tokens=st.lists(st.integers(0, 2), min_size=1, max_size=LENGTH),
        adapters=st.sampled_from([NO_ADAPTERS, OTHER]),
    )
    def begin(self, tokens: list[int], adapters: AdapterSet) -> None:
        known = self.cache.shared(array(tokens), adapters)
        sequence = self.cache.begin(array(tokens), adapters)
        if sequence is None:
            assert len(self.busy) >= SEQUENCES - 1
            return
        assert sequence.length == known < len(tokens)
        self.busy.append((sequence, tokens))

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        sequence, tokens = data.draw(st.sampled_from(self.busy))
        rest = tokens[sequence.length :]
        rest = rest[: data.draw(st.integers(0, len(rest)))]
        if rest and self.cache.room(len(rest)):
            self.memory.read(sequence, rest)
            self.cache.extend(sequence, rest)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def shorten(self, data: st.DataObject) -> None:
        sequence, _ = data.draw(st.sampled_from(self.busy))
        wanted = data.draw(st.integers(0, sequence.length))
        left = self.cache.shorten(sequence, wanted)
        assert left == wanted or (not self.divisible and left == 0)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.busy))
        self.busy.remove(entry)
        self.cache.release(entry[0])

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        assert not self.cache.remembered

    @invariant()
    def agree(self) -> None:
        assert self.cache.free == CELLS - self.memory.used
        for sequence, tokens in self.busy:
            assert list(sequence.tokens) == tokens[: sequence.length]
            assert len(self.memory.held[sequence.id]) == sequence.length
        for sequence in self.cache.remembered:
            assert len(self.memory.held[sequence.id]) == sequence.length > 0


class WholeBooks(Books):
    """The same for a model that keeps nothing but its last state."""

    divisible = False


TestBooks = Books.TestCase
TestWholeBooks = WholeBooks.TestCase


def test_a_common_beginning_is_kept_once() -> None:
    cache, memory = books()
    first = read(cache, memory, [1, 2, 3, 4, 5])
    second = read(cache, memory, [1, 2, 3, 9])
    assert list(second.cells[:3]) == list(first.cells[:3])
    assert cache.free == CELLS - 6


def test_the_last_token_is_always_read() -> None:
    cache, memory = books()
    cache.release(read(cache, memory, [1, 2, 3]))
    assert cache.shared(array([1, 2, 3]), NO_ADAPTERS) == 2


def test_adapters_share_nothing_with_the_base() -> None:
    cache, memory = books()
    cache.release(read(cache, memory, [1, 2, 3, 4]))
    assert cache.shared(array([1, 2, 3, 4]), OTHER) == 0


def test_the_longest_unused_is_forgotten_first_and_from_its_end() -> None:
    cache, memory = books()
    old, new = [1] * 20, [2] * 20
    cache.release(read(cache, memory, old))
    cache.release(read(cache, memory, new))
    assert cache.room(5)
    assert cache.shared(array([*old, 0]), NO_ADAPTERS) == 15
    assert cache.shared(array([*new, 0]), NO_ADAPTERS) == 20


def test_what_runs_is_never_forgotten() -> None:
    cache, memory = books()
    read(cache, memory, [1] * 24)
    cache.release(read(cache, memory, [2] * 10))
    assert not cache.room(20)
    assert cache.room(16)


def test_a_beginning_outlives_the_conversations_that_began_with_it() -> None:
    cache, memory = books()
    system = [7, 7, 7, 7]
    for turn in range(12):
        cache.release(read(cache, memory, [*system, *[turn] * 6]))
    assert cache.shared(array([*system, 99]), NO_ADAPTERS) == 4


def test_going_on_where_one_ended_takes_its_place() -> None:
    cache, memory = books()
    first = read(cache, memory, [1, 2, 3])
    cache.release(first)
    again = cache.begin(array([1, 2, 3, 4]), NO_ADAPTERS)
    assert again is first


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_common_is_the_longest_common_beginning(left: list[int], right: list[int]) -> None:
    count = common(array(left), array(right))
    assert left[:count] == right[:count]
    assert count == min(len(left), len(right)) or left[count] != right[count]


def test_no_sequence_left_is_told() -> None:
    cache, memory = books(sequences=2)
    read(cache, memory, [1])
    read(cache, memory, [2])
    assert cache.begin(array([3]), NO_ADAPTERS) is None


@pytest.mark.parametrize("divisible", [True, False])
def test_clear_keeps_what_runs(divisible: bool) -> None:
    cache, memory = books(divisible=divisible)
    running = read(cache, memory, [1, 2, 3])
    cache.release(read(cache, memory, [4, 5, 6]))
    cache.clear()
    assert list(running.tokens) == [1, 2, 3]
    assert cache.free == CELLS - 3
