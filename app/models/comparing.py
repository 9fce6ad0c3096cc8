"""How far a smaller file of a model is from the larger one: perplexity, divergence, speed.

    rows = compare(reference, [q8, q4], text, tell=print)

Perplexity of one text says little between near neighbours; the Kullback-Leibler divergence
of the next-token distributions from the reference's says more with fewer tokens (as
llama.cpp's own `llama-perplexity --kl-divergence` has it). Each token is predicted with at
least `WARM` tokens before it. Intervals are bootstrap intervals over tokens.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundling.errors import ModelError
from groundling.models.calls import EngineSettings
from groundling.models.context import Context, Span
from groundling.models.memory import OUTPUTS

WINDOW = 256  # tokens of a stretch of text that is read from its beginning
WARM = 64  # of them, tokens that are read and not judged
FEWEST = 64  # judged tokens
_RESAMPLES = 2_000
_WRITTEN = 24  # tokens written to measure the speed
Tell = Callable[[str, int, int], None]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """A file, held against the reference.

    Args:
        bytes: its size.
        perplexity: of the text; lower is better.
        divergence: from the reference, in nats a token; 0 is none.
        agreement: share of tokens whose likeliest one is the reference's.
        read, written: tokens a second.
    """

    name: str
    bytes: int
    tokens: int
    perplexity: Interval
    divergence: Interval
    agreement: float
    read: float
    written: float


def compare(
    reference: Path,
    others: Sequence[tuple[str, Path]],
    text: str,
    *,
    most: int = 512,
    threads: int | None = None,
    tell: Tell = lambda *_: None,
) -> list[Compared]:
    """Compare files of one model; the reference comes first in what is returned.

    Args:
        reference: the file that the others were made of.
        others: their names and files.
        text: what is predicted; some pages of the language that matters.
        most: tokens that are judged.
        threads: default: all cores.

    Raises:
        ModelError: the text is too short, or a file is of another model.
    """
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "reference.npy"
        first, tokens = _reference(reference, text, most, threads, kept, tell)
        rows = [first]
        truth = np.load(kept, mmap_mode="r")
        for name, file in others:
            rows.append(_other(name, file, tokens, truth, threads, tell))
        del truth
    return rows


def _reference(
    file: Path, text: str, most: int, threads: int | None, kept: Path, tell: Tell
) -> tuple[Compared, list[list[int]]]:
    with _opened(file, threads) as context:
        windows = _windows(context.vocabulary.tokenize(text), most)
        judged = sum(len(window) - WARM for window in windows)
        if judged < FEWEST:
            raise ModelError(
                f"The text has {judged} tokens to judge by; {FEWEST} are the least.",
                hint="Give a longer one with --text.",
            )
        size = context.vocabulary.size
        # Half precision is enough for a divergence of some thousandths, and half as large.
        stored: Any = np.lib.format.open_memmap(
            kept, mode="w+", dtype=np.float16, shape=(judged, size)
        )
        losses: list[float] = []
        for row, (logs, target) in enumerate(_predicted(context, windows)):
            stored[row] = logs
            losses.append(-float(logs[target]))
            tell(file.name, row + 1, judged)
        stored.flush()
        del stored
        read, written = _speed(context, windows[0])
    nothing = Interval(0.0, 0.0, 0.0)
    size = file.stat().st_size
    found = Compared("reference", size, judged, _perplexity(losses), nothing, 1.0, read, written)
    return found, windows


def _other(
    name: str,
    file: Path,
    windows: list[list[int]],
    truth: npt.NDArray[np.float16],
    threads: int | None,
    tell: Tell,
) -> Compared:
    losses: list[float] = []
    divergences: list[float] = []
    same = 0
    with _opened(file, threads) as context:
        if context.vocabulary.size != truth.shape[1]:
            raise ModelError(
                f"{file.name} has {context.vocabulary.size:,} tokens and the reference "
                f"{truth.shape[1]:,}: it is another model.",
                hint="Compare files that were made of one.",
            )
        for row, (logs, target) in enumerate(_predicted(context, windows)):
            wanted = truth[row].astype(np.float64)
            weights = np.exp(wanted)
            weights /= weights.sum()
            divergences.append(max(0.0, float((weights * (np.log(weights + 1e-30) - logs)).sum())))
            same += int(wanted.argmax() == logs.argmax())
            losses.append(-float(logs[target]))
            tell(name, row + 1, len(truth))
        read, written = _speed(context, windows[0])
    return Compared(
        name,
        file.stat().st_size,
        len(losses),
        _perplexity(losses),
        _interval(np.asarray(divergences)),
        same / len(losses),
        read,
        written,
    )


class _opened:
    """A context of one sequence, closed after use."""

    def __init__(self, file: Path, threads: int | None) -> None:
        settings = EngineSettings(context=WINDOW + _WRITTEN, threads=threads, parallel=1)
        self._context = Context(file, settings)

    def __enter__(self) -> Context:
        return self._context

    def __exit__(self, *_: object) -> None:
        self._context.close()


def _windows(tokens: Sequence[int], most: int) -> list[list[int]]:
    windows: list[list[int]] = []
    judged = 0
    for start in range(0, len(tokens), WINDOW):
        window = list(tokens[start : start + min(WINDOW, WARM + most - judged)])
        if len(window) <= WARM + 1 or judged >= most:
            break
        windows.append(window)
        judged += len(window) - WARM
    return windows


def _predicted(context: Context, windows: Sequence[Sequence[int]]) -> Iterator[tuple[Floats, int]]:
    """Yield the log-probabilities before each judged token, and the token."""
    for window in windows:
        context.trim(0, 0)
        context.decode([Span(0, 0, window[: WARM - 1], "none")])
        for start in range(WARM - 1, len(window) - 1, OUTPUTS):
            part = window[start : min(start + OUTPUTS, len(window) - 1)]
            (first,) = context.decode([Span(0, start, part, "all")])
            for place in range(len(part)):
                yield context.log_probabilities(first + place), window[start + place + 1]


def _speed(context: Context, window: Sequence[int]) -> tuple[float, float]:
    context.trim(0, 0)
    began = time.perf_counter()
    context.decode([Span(0, 0, window, "last")])
    read = time.perf_counter() - began
    began = time.perf_counter()
    for step in range(_WRITTEN):
        context.decode([Span(0, len(window) + step, [window[step]], "last")])
    return len(window) / read, _WRITTEN / (time.perf_counter() - began)


def _perplexity(losses: Sequence[float]) -> Interval:
    found = _interval(np.asarray(losses))
    return Interval(*(float(np.exp(value)) for value in (found.mean, found.low, found.high)))


def _interval(values: Floats) -> Interval:
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
