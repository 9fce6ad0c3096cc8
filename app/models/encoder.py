"""One encoder, many callers: texts in, one pooled vector for each out.

A worker thread owns the model. For each forward pass it takes texts from all calls that
wait, in turn, so that a question does not wait for the ten thousand passages that are being
indexed. The model is loaded at the first call and may be unloaded between any two; the next
one loads it again. Knows nothing of what texts are for: prefixes and scaling are above it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from groundling.errors import ModelError
from groundling.models.encoding import (
    MOST_SEQUENCES,
    EncoderContext,
    EncoderSettings,
    Item,
    Pooling,
    Vectors,
    dimension_of,
    longest_text,
    pooling_of,
)
from groundling.models.gguf import read_gguf


@dataclass(eq=False)
class _Call:
    """Texts that somebody waits for, and the vectors of those that were read."""

    items: Sequence[Item]
    future: Future[Vectors] = field(default_factory=Future)
    rows: list[Vectors] = field(default_factory=list)
    split: list[int] | None = None  # the next text's tokens, when a pass had no room for them

    def next_tokens(self, context: EncoderContext, taken: int) -> list[int] | None:
        """Return the tokens of the next text but `taken`, or None where there is none."""
        at = len(self.rows) + taken
        if self.future.done() or at >= len(self.items):
            return None
        if self.split is None:
            self.split = context.tokens(self.items[at])
        return self.split


class Encoder:
    """A GGUF encoder; `encoder_for` shares one for each file and each way to run it.

    Args:
        path: of the GGUF file.
        settings: how to run it.

    Raises:
        ModelFileError: the file is no whole GGUF, or names no way to make one vector of a
            text's.
    """

    def __init__(self, path: Path, settings: EncoderSettings | None = None) -> None:
        self.path = path
        self.settings = settings or EncoderSettings()
        self.header = read_gguf(path)
        self.pooling: Pooling = pooling_of(self.header, self.settings)
        self.max_tokens = longest_text(self.header, self.settings)
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._context: EncoderContext | None = None
        self._busy = False
        self._used = time.monotonic()
        self._closed = False
        self._worker: threading.Thread | None = None

    @property
    def dimension(self) -> int:
        """How many numbers a vector has; of a reranker, how many scores a pair gets."""
        return dimension_of(self.header, self.pooling)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory now."""
        return self._context is not None

    def submit(self, items: Sequence[Item]) -> Future[Vectors]:
        """Queue texts, or pairs of a question and a text; any thread may.

        Returns:
            The vectors as rows, in order. `cancel` on it works until it is done: no further
            pass is made for it.

        Raises:
            ModelError: the encoder is closed, or belongs to another process.
        """
        if os.getpid() != self._process:
            raise ModelError(
                f"{self.header.name} was loaded in another process; it does not survive a fork.",
                hint='Start the process with multiprocessing\'s "spawn" method.',
            )
        call = _Call(items)
        with self._changed:
            if self._closed:
                raise ModelError(f"{self.header.name} was closed.")
            if self._worker is None:
                self._worker = threading.Thread(
                    target=self._work, name=f"encoder {self.path.name}", daemon=True
                )
                self._worker.start()
            self._calls.append(call)
            self._changed.notify()
        return call.future

    def encode(self, items: Sequence[Item]) -> Vectors:
        """Return the vectors of texts or pairs, in order; see `submit`.

        Raises:
            ModelFileError: llama.cpp cannot load the file.
            ModelTooBig: the model does not fit into the free memory.
        """
        future = self.submit(items)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def unload(self, idle: float = 0.0) -> bool:
        """Free the model if nobody has used it for so many seconds; the next call loads it.

        Returns:
            Whether it was freed.
        """
        with self._changed:
            resting = time.monotonic() - self._used
            if self._context is None or self._busy or self._calls or resting < idle:
                return False
            self._context.close()
            self._context = None
            return True

    def close(self) -> None:
        """End waiting calls and free the model; safe from any thread."""
        with self._changed:
            self._closed = True
            worker = self._worker
            self._changed.notify()
        if worker is not None and os.getpid() == self._process:
            worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._calls and not self._closed:
                    self._changed.wait()
                if self._closed:
                    break
                self._busy = True
            try:
                self._step()
            except Exception as error:
                self._fail(error)
            finally:
                with self._changed:
                    self._busy = False
                    self._used = time.monotonic()
        self._fail(ModelError(f"{self.header.name} was closed."))
        if self._context is not None:
            self._context.close()
            self._context = None

    def _step(self) -> None:
        """Make one forward pass, and give the calls that it completes their vectors."""
        if self._context is None:
            self._context = EncoderContext(self.header, self.settings)
        context = self._context
        taken = self._fill(context)
        if taken:
            rows = context.forward([tokens for _, tokens in taken])
            for (call, _), row in zip(taken, rows, strict=True):
                call.rows.append(row)
        with self._changed:
            over = [
                call
                for call in self._calls
                if call.future.done() or len(call.rows) == len(call.items)
            ]
            for call in over:
                self._calls.remove(call)
            self._calls.rotate(-1)
        for call in over:
            shape = (len(call.items), context.dimension)
            if len(call.rows) == len(call.items):
                _answer(call, np.array(call.rows, np.float32).reshape(shape))

    def _fill(self, context: EncoderContext) -> list[tuple[_Call, list[int]]]:
        """Take one text of each call in turn, until the pass is full."""
        with self._changed:
            turns = deque(self._calls)
        taken: list[tuple[_Call, list[int]]] = []
        counts: dict[int, int] = {}
        room = context.batch
        while turns and len(taken) < MOST_SEQUENCES:
            call = turns.popleft()
            tokens = call.next_tokens(context, counts.get(id(call), 0))
            if tokens is None:
                continue
            if len(tokens) > room:
                break
            taken.append((call, tokens))
            counts[id(call)] = counts.get(id(call), 0) + 1
            room -= len(tokens)
            call.split = None
            turns.append(call)
        return taken

    def _fail(self, error: Exception) -> None:
        with self._changed:
            for call in self._calls:
                _answer(call, error)
            self._calls.clear()


def _answer(call: _Call, answer: Vectors | Exception) -> None:
    with contextlib.suppress(InvalidStateError):  # nobody waits any more
        if isinstance(answer, Exception):
            call.future.set_exception(answer)
        else:
            call.future.set_result(answer)
