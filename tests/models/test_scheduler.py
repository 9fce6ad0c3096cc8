"""The order of calls, and that no order changes an answer.

A toy stands in for the model: its next token follows from the tokens that its sequence
holds, so that one cell shared or forgotten by mistake changes the text. What the real model
does is in test_batching.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.models.adapters import NO_ADAPTERS, AdapterSet
from groundling.models.calls import (
    Adapter,
    Answer,
    Choice,
    Chunk,
    EngineSettings,
    Job,
    Priority,
    Request,
    Weights,
)
from groundling.models.context import Context, Span
from groundling.models.engine import Engine
from groundling.models.prefix import PrefixCache
from groundling.models.scheduler import Scheduler
from groundling.models.tasks import Weighing, Writing

WORDS = 6
LENGTH = 48


class Toy:
    """A context whose scores are a digest of the last tokens and of the whole sequence."""

    divisible, length = True, LENGTH

    def __init__(self, cells: int, batch: int) -> None:
        self.cells, self.batch, self.outputs, self.sequences = cells, batch, 16, 8
        self.held: dict[int, list[int]] = {n: [] for n in range(self.sequences)}
        self.owner: dict[int, AdapterSet] = {}
        self.scores: list[np.ndarray] = []
        self.passes: list[list[Span]] = []
        self.spoilt: set[int] = set()  # numbers of passes whose outcome is no numbers
        self.vocabulary = SimpleNamespace(
            size=WORDS, ends=lambda token: False, piece=lambda token, markup: b"%d " % token
        )

    def decode(self, spans: list[Span], adapters: AdapterSet) -> list[int]:
        assert sum(len(span.tokens) for span in spans) <= self.batch
        self.passes.append(spans)
        self.scores, rows = [], []
        for span in spans:
            held = self.held[span.sequence]
            assert len(held) == span.start, "positions follow each other"
            first = len(self.scores)
            for token in span.tokens:
                held.append(int(token))
                text = repr((held, adapters.key)).encode()
                digest = hashlib.blake2b(text, digest_size=WORDS).digest()
                # Few different tails make texts repeat, so that there is something to guess.
                tail = hashlib.blake2b(repr(held[-2:]).encode(), digest_size=WORDS).digest()
                score = np.frombuffer(tail, np.uint8) + np.frombuffer(digest, np.uint8) / 256 * 40
                self.scores.append(score.astype(np.float32))
            rows.append({"none": -1, "last": len(self.scores) - 1, "all": first}[span.outputs])
        wanted = [span for span in spans if span.outputs != "none"]
        assert sum(len(s.tokens) if s.outputs == "all" else 1 for s in wanted) <= self.outputs
        return rows

    def copy(self, source: int, target: int, count: int) -> None:
        assert not self.held[target]
        self.held[target] = self.held[source][:count]

    def trim(self, sequence: int, count: int) -> bool:
        del self.held[sequence][count:]
        return True

    def resolve(self, adapters: tuple[Adapter, ...]) -> AdapterSet:
        key = tuple(((str(one.path), 0, 0, 0), one.scale) for one in adapters)
        return AdapterSet(key) if key else NO_ADAPTERS

    def sampler(self, sampling: object, prompt: object) -> SimpleNamespace:
        return SimpleNamespace(
            sample=lambda row: int(self.scores[row].argmax()), close=lambda: None
        )

    def log_probabilities(self, row: int) -> np.ndarray:
        return self.scores[row].astype(np.float64)

    def sound(self, row: int) -> bool:
        return len(self.passes) not in self.spoilt

    def wipe(self) -> None:
        for held in self.held.values():
            held.clear()

    def resume(self) -> None:
        """Nothing was stopped."""


class Served:
    """An engine's loop over a toy, without its thread."""

    def __init__(self, cells: int = 200, batch: int = 16, guesses: int = 6, parallel: int = 4):
        self.toy = Toy(cells, batch)
        self.engine = Engine(Path("toy.gguf"), EngineSettings(speculate=guesses))
        self.cache = PrefixCache(self.toy, cells=cells, sequences=self.toy.sequences, length=LENGTH)
        self.scheduler = Scheduler(
            self.cache, batch=batch, outputs=self.toy.outputs, parallel=parallel, guesses=guesses
        )
        self.heard: dict[int, list[Answer]] = {}
        self.jobs: dict[int, Job] = {}

    def submit(self, request: Request | Choice) -> int:
        number = len(self.heard)
        self.heard[number] = []
        job = self.jobs[number] = Job()
        sink = self.heard[number].append
        if isinstance(request, Request):
            guesses = self.engine.settings.speculate
            task: Any = Writing(request, sink, job, length=LENGTH, speculate=guesses)
        else:
            task = Weighing(request, sink, job, self.engine._inbox.put)
        self.engine._inbox.put(task)
        return number

    def step(self) -> bool:
        if not any(True for _ in self.scheduler.tasks()) and self.engine._inbox.empty():
            return False
        self.engine._serve(cast("Context", self.toy), self.cache, self.scheduler)
        return True

    def finish(self) -> None:
        for _ in range(3_000):
            if not self.step():
                return
        pytest.fail("it never ends")

    def text(self, number: int) -> str:
        chunks = [answer for answer in self.heard[number] if isinstance(answer, Chunk)]
        assert chunks[-1].finish_reason is not None
        return "".join(chunk.text for chunk in chunks)


TOKENS = st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=30)
ADAPTERS = st.sampled_from([(), (Adapter(Path("one.gguf")),)])
REQUESTS = st.builds(
    Request,
    tokens=TOKENS,
    max_tokens=st.integers(1, 20),
    priority=st.sampled_from(list(Priority)),
    adapters=ADAPTERS,
)
OPTIONS = st.lists(
    st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=12), min_size=1, max_size=5
)
CHOICES = st.builds(Choice, tokens=TOKENS, options=OPTIONS, adapters=ADAPTERS)


def outcome(served: Served, number: int) -> object:
    last = served.heard[number][-1]
    if isinstance(last, Weights):
        return pytest.approx(last.logarithms)
    return served.text(number)


@given(
    calls=st.lists(st.one_of(REQUESTS, CHOICES), min_size=1, max_size=6),
    pauses=st.lists(st.integers(0, 4), min_size=10, max_size=10),
    cells=st.integers(LENGTH, 160),
    batch=st.integers(4, 24),
    guesses=st.integers(0, 6),
    spoilt=st.sets(st.integers(1, 30), max_size=2),
)
@settings(max_examples=40)
def test_no_company_no_lack_of_room_and_no_new_beginning_changes_an_answer(
    calls: list[Request | Choice], pauses: list[int], cells: int, batch: int, guesses: int,
    spoilt: set[int],
) -> None:  # fmt: skip
    together = Served(cells, batch, guesses)
    together.toy.spoilt = spoilt
    numbers = []
    for call, pause in zip(calls, pauses, strict=False):
        numbers.append(together.submit(call))
        for _ in range(pause):
            together.step()
    together.finish()
    for call, number in zip(calls, numbers, strict=True):
        alone = Served(200, 24, guesses=0)
        alone.submit(call)
        alone.finish()
        found, wanted = together.heard[number][-1], alone.heard[0][-1]
        if isinstance(wanted, Weights):
            assert isinstance(found, Weights)
            assert found.logarithms == pytest.approx(wanted.logarithms)
        else:
            assert together.text(number) == alone.text(0)
    assert not any(sequence.busy for sequence in together.cache._sequences)


@given(calls=st.lists(REQUESTS, min_size=2, max_size=8), data=st.data())
@settings(max_examples=25)
def test_cancelled_calls_end_and_take_nobody_along(
    calls: list[Request], data: st.DataObject
) -> None:
    served = Served(cells=100)
    numbers = [served.submit(call) for call in calls]
    unwanted = data.draw(st.sets(st.sampled_from(numbers)))
    for _ in range(data.draw(st.integers(0, 12))):
        served.step()
    for number in unwanted:
        served.jobs[number].cancel()
    served.finish()
    for number, heard in served.heard.items():
        ends = [
            one for one in heard if isinstance(one, Exception) or cast("Chunk", one).finish_reason
        ]
        assert len(ends) == 1
        assert heard[-1] is ends[0]
        if number not in unwanted:
            assert isinstance(ends[0], Chunk)


def test_texts_and_prompts_take_turns() -> None:
    served = Served(guesses=0)
    writer = served.submit(Request([1, 2, 3], max_tokens=20))
    served.step()
    served.submit(Request([4] * 40, max_tokens=1))
    served.engine._speed = 0.0  # texts wait for 16 tokens of prompts at most
    for _ in range(5):
        served.engine._speed = 0.0
        served.step()
    sizes = [[len(span.tokens) for span in spans] for spans in served.toy.passes[1:]]
    assert all(max(size) <= 16 for size in sizes)
    assert [size for size in sizes if size == [1]] == [[1], [1]]
    assert sum(map(sum, sizes)) == 40 + 2
    assert len(served.heard[writer]) == 3


def test_a_short_prompt_passes_a_long_one_but_not_for_ever() -> None:
    served = Served(batch=4, guesses=0, parallel=8)
    long = served.submit(Request([5] * 40, max_tokens=1))
    order = [served.submit(Request([n % 5, 1, 2, 3], max_tokens=1)) for n in range(3)]
    ends: list[int] = []
    late: list[int] = []
    while not served.heard[long]:
        if len(late) < 60:
            late.append(served.submit(Request([0, 1, len(late) % 6, 3, 3, 3], max_tokens=1)))
        served.step()
        ends += [n for n, heard in served.heard.items() if heard and n not in ends]
    assert set(order) < set(ends)
    assert any(not served.heard[number] for number in late)


def test_adapters_take_turns_and_share_no_pass() -> None:
    served = Served(guesses=0)
    adapted = (Adapter(Path("one.gguf")),)
    for adapters in ((), adapted, (), adapted):
        served.submit(Request([1, 2, 3], max_tokens=6, adapters=adapters))
    served.finish()
    assert served.text(0) == served.text(2) != served.text(1) == served.text(3)
    assert served.cache.shared(np.array([1, 2, 3, 4], np.int32), NO_ADAPTERS) == 3


def test_a_guess_is_checked_in_one_pass() -> None:
    plain, guessing = Served(guesses=0), Served(guesses=6)
    for served in (plain, guessing):
        served.submit(Request([1, 2, 1, 2, 1, 2], max_tokens=36))
        served.finish()
    assert plain.text(0) == guessing.text(0)
    assert len(guessing.toy.passes) < len(plain.toy.passes)
    last = guessing.heard[0][-1]
    assert isinstance(last, Chunk)
    assert last.usage is not None
    assert len(plain.toy.passes) - len(guessing.toy.passes) == last.usage.accepted_tokens
