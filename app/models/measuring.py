"""Runs a model in each way that may be the quickest on this machine, and times it.

Two things differ between machines and are not told by their names: whether weights repacked
into llama.cpp's own layout pay, which write quicker and read prompts slower on some CPUs, and
how many threads are best where cores have hyper-threads. Flash attention is no candidate:
what a call writes must not depend on who shares its forward pass, and only with flash
attention it does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from groundling.errors import ModelTooBig
from groundling.models.calibration import (
    Calibration,
    Key,
    Row,
    choose,
    needed_memory,
    thread_counts,
)
from groundling.models.calls import EngineSettings
from groundling.models.context import Context, OnProgress, Span
from groundling.models.cpu import extra_buffers_safe, read_build, read_cpu
from groundling.models.memory import available_memory

_TOGETHER = 8  # rows of the pass that several callers share
_CELLS = 512  # of the cache while measuring; what is left of it is not read


def measure(
    path: Path,
    settings: EngineSettings,
    on_progress: OnProgress | None = None,
    *,
    rounds: int = 3,
    prompt: int = 128,
    tokens: int = 8,
    seconds: float = 12.0,
) -> Calibration:
    """Run a model in each way that this machine has, and time it.

    First thread counts compete, where there are several, then repacked weights with the ones
    in the file. The candidates of a race are loaded side by side and take turns, so that
    other work on the machine slows all of them down, and the median of the turns counts. A
    turn reads a prompt, writes tokens one by one, then makes one pass of eight rows.

    A model of 1.5 billion parameters takes about 10 s on two cores. Ctrl-C stops within one
    forward pass.

    Args:
        path: of the GGUF file.
        settings: how it will be run; `repack` is not looked at, `threads` only where set.
        on_progress: called with the share that is done; what it raises stops the measurement.
        rounds: turns of each candidate; fewer where the time is over, but at least one.
        prompt: tokens read in a turn, at most one forward pass.
        tokens: written one by one in a turn.
        seconds: after these only the first turns of a race begin.

    Raises:
        ModelFileError: not a GGUF, cut short, of an unknown architecture.
        ModelTooBig: not even the safe default fits into the free memory.
    """
    key = Key.of(path, settings.threads)
    reason = _reason_against_repack(path, settings)
    candidates = [_Candidate(False, threads) for threads in key.threads]
    alone = len(candidates) > 1 or reason is not None
    races = alone + (reason is None)
    course = _Course(path, settings, _Turn(prompt, tokens), rounds, on_progress, races)
    skipped = [reason] if reason else []
    if alone:
        course.race(candidates, seconds / races)
    if reason is None:
        best = choose(course.rows()).threads if alone else candidates[0].threads
        left_out = course.race([_Candidate(False, best), _Candidate(True, best)], seconds / races)
        skipped += [f"repacked weights: {error}" for error in left_out]
    # Threads that wait for a GPU want no processor.
    share = 1.0 if _on_gpu(settings) else course.share
    rows = tuple(course.rows())
    return Calibration(key=key, rows=rows, share=share, skipped=tuple(skipped))


def worth_measuring(path: Path, settings: EngineSettings) -> bool:
    """Tell whether this machine has more than one way to run a model.

    Raises:
        ModelFileError: the file is no GGUF.
    """
    several = settings.threads is None and len(thread_counts()) > 1
    return several or _reason_against_repack(path, settings) is None


class _Candidate(NamedTuple):
    repack: bool
    threads: int


class _Turn(NamedTuple):
    prompt: int
    tokens: int


class _Course:
    """Where candidates race; keeps the seconds per token of each turn of each of them."""

    def __init__(
        self,
        path: Path,
        settings: EngineSettings,
        turn: _Turn,
        rounds: int,
        on_progress: OnProgress | None,
        races: int,
    ) -> None:
        self._path, self._settings = path, settings
        self._turn, self._rounds = turn, rounds
        self._on_progress, self._races = on_progress, races
        self._done = 0.0
        self._wanted = self._got = 0.0
        self._turns: dict[_Candidate, list[tuple[float, float, float]]] = {}

    def race(self, candidates: Sequence[_Candidate], seconds: float) -> list[ModelTooBig]:
        """Let candidates take turns; return why some were not loaded.

        Raises:
            ModelTooBig: the first one was not.
        """
        until = time.perf_counter() + seconds
        left_out: list[ModelTooBig] = []
        step = 1 / (len(candidates) * (self._rounds + 1) * self._races)
        with ExitStack() as stack:
            contexts: dict[_Candidate, Context] = {}
            for candidate in candidates:
                try:
                    context = Context(self._path, self._small(candidate))
                except ModelTooBig as error:
                    if not contexts:
                        raise
                    left_out.append(error)
                    continue
                stack.callback(context.close)
                contexts[candidate] = context
                # The first pass reads the weights from the disk and starts the threads.
                _take_turn(context, _Turn(16, 1))
                self._advance(step)
            for number in range(self._rounds):
                if number and time.perf_counter() > until:
                    break
                for candidate, context in contexts.items():
                    wall, own = time.perf_counter(), time.process_time()
                    turn = _take_turn(context, self._turn)
                    self._wanted += (time.perf_counter() - wall) * candidate.threads
                    self._got += time.process_time() - own
                    self._turns.setdefault(candidate, []).append(turn)
                    self._advance(step)
        return left_out

    @property
    def share(self) -> float:
        """The processor time of the turns, of what their threads could have used."""
        return min(1.0, self._got / self._wanted)

    def rows(self) -> list[Row]:
        """Return what was measured so far, in the order of the first turns."""
        return [self._row(candidate) for candidate in self._turns]

    def _row(self, candidate: _Candidate) -> Row:
        medians = (median(column) for column in zip(*self._turns[candidate], strict=True))
        prefill, decode, together = (1 / max(seconds, 1e-9) for seconds in medians)
        return Row(
            repack=candidate.repack,
            threads=candidate.threads,
            prefill=prefill,
            decode=decode,
            together=together,
            memory=needed_memory(self._path, self._settings, repack=candidate.repack),
        )

    def _small(self, candidate: _Candidate) -> EngineSettings:
        return replace(
            self._settings,
            repack=candidate.repack,
            threads=candidate.threads,
            context=_CELLS,
            cache=_CELLS,
            parallel=_TOGETHER,
        )

    def _advance(self, share: float) -> None:
        self._done = min(1.0, self._done + share)
        if self._on_progress is not None:
            self._on_progress(self._done)


def _take_turn(context: Context, turn: _Turn) -> tuple[float, float, float]:
    """Return the seconds per token of reading, of writing alone and of writing together."""
    read = min(turn.prompt, context.batch)
    # Which tokens these are makes no difference to the work.
    tokens = np.arange(read + turn.tokens, dtype=np.int32) % context.vocabulary.size
    prompt = Span(0, 0, tokens[:read], "last")
    written = [Span(0, at, tokens[at : at + 1], "last") for at in range(read, len(tokens))]
    others = [Span(number, 0, tokens[:1], "last") for number in range(1, _TOGETHER + 1)]
    prefill = _seconds(context, [[prompt]])
    decode = _seconds(context, [[span] for span in written])
    together = _seconds(context, [others])
    for sequence in range(_TOGETHER + 1):
        context.trim(sequence, 0)
    return prefill / read, decode / turn.tokens, together / _TOGETHER


def _seconds(context: Context, passes: Iterable[Sequence[Span]]) -> float:
    """Time forward passes until their scores can be read."""
    started = time.perf_counter()
    for spans in passes:
        context.logits(context.decode(spans)[-1])
    return time.perf_counter() - started


def _on_gpu(settings: EngineSettings) -> bool:
    return read_build().backend != "CPU" and settings.gpu_layers != 0


def _reason_against_repack(path: Path, settings: EngineSettings) -> str | None:
    if _on_gpu(settings):
        return f"repacked weights: they are for the CPU, and {read_build().backend} computes"
    if not extra_buffers_safe(read_cpu(), read_build()):
        return "repacked weights: with this build they crash on this CPU"
    needed, free = needed_memory(path, settings, repack=True), available_memory()
    if needed > free:
        return f"repacked weights: {needed / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free"
    return None
