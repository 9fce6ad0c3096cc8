"""How far a smaller file of a model is from the larger one: perplexity, divergence, speed.

    rows = compare(reference, [("Q8_0", q8), ("Q4_K_M", q4)], text, tell=print)

The definitions are those of llama.cpp's `llama-perplexity --kl-divergence`
(tools/perplexity/perplexity.cpp): windows of 512 tokens, each begun with the model's
begin-of-text token where it wants one; judged is the prediction of the tokens of a window's
second half; divergence is that of Kullback and Leibler, from the reference's distribution of
the next token to the file's, in nats. Where fewer tokens are asked for than the text has, the
windows are spread over it, and not taken from its beginning. Intervals are bootstrap
intervals of 95 % over tokens; those of `llama-perplexity` are one standard error.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import IO

import numpy as np
import numpy.typing as npt

from groundling.errors import DiskFull, ModelError
from groundling.models.calls import EngineSettings
from groundling.models.context import Context, Span
from groundling.models.files.disk import show_bytes
from groundling.models.memory import OUTPUTS

WINDOW = 512  # tokens that are read from an empty cache
FEWEST = 64  # judged tokens
MOST = 510  # judged tokens of two windows
ROUNDS = 3  # each file's speed is measured once in each
_RESAMPLES = 2_000
_READ, _WRITTEN = 128, 16  # tokens read and written to measure the speed
Tell = Callable[[str, int, int], None]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's length, which stands after a ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Speed:
    """Tokens a second: the median of the rounds, and the slowest and the fastest."""

    median: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Compared:
    """A file, held against the reference.

    Args:
        bytes: its size.
        tokens: how many were judged.
        perplexity: of the text; lower is better.
        ratio: perplexity divided by the reference's, token by token, so that its interval is
            far smaller than theirs.
        divergence: from the reference, in nats a token; 0 is none.
        agreement: share of tokens whose likeliest one is the reference's.
        drift: root mean square of the change in the right token's probability.
        read, written: how fast; see `speeds`.
    """

    name: str
    bytes: int
    tokens: int
    perplexity: Interval
    ratio: Interval
    divergence: Interval
    agreement: Interval
    drift: float
    read: Speed
    written: Speed


@dataclass(frozen=True)
class Window:
    """Tokens that are read from an empty cache; those after `first` are judged."""

    tokens: list[int]
    first: int

    @property
    def judged(self) -> int:
        return len(self.tokens) - 1 - self.first


@dataclass
class _Truth:
    """What the reference said of each judged token.

    Its distributions are kept in half precision and made to add up to 1 again: a divergence
    errs by some millionths by that.
    """

    losses: list[float] = field(default_factory=list)
    likeliest: list[int] = field(default_factory=list)


def compare(
    reference: Path,
    others: Sequence[tuple[str, Path]],
    text: str,
    *,
    name: str = "reference",
    most: int = MOST,
    threads: int | None = None,
    tell: Tell = lambda *_: None,
) -> list[Compared]:
    """Compare files of one model; the reference comes first in what is returned.

    Args:
        reference: the file that the others were made of.
        others: their names and files.
        text: what is predicted; some pages of the languages that matter.
        name: of the reference.
        most: tokens that are judged; a text that has fewer is judged as far as it goes.
        threads: default: all cores.

    Raises:
        ModelError: the text is too short, or a file is of another model.
        DiskFull: the reference's distributions do not fit into the temporary folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "reference"
        windows, truth, first = _reference(name, reference, text, most, threads, kept, tell)
        rows = [first]
        distributions = np.memmap(kept, np.float16, mode="r").reshape(first.tokens, -1)
        for called, file in others:
            rows.append(_other(called, file, windows, truth, distributions, threads, tell))
        del distributions
    files = [reference, *(file for _, file in others)]
    measured = speeds(files, windows[0].tokens, threads=threads, tell=tell)
    return [
        replace(row, read=read, written=written)
        for row, (read, written) in zip(rows, measured, strict=True)
    ]


def speeds(
    files: Sequence[Path],
    tokens: Sequence[int],
    *,
    threads: int | None = None,
    rounds: int = ROUNDS,
    tell: Tell = lambda *_: None,
) -> list[tuple[Speed, Speed]]:
    """Measure how fast each file reads and writes, side by side.

    Each round measures every file once, every other round backwards, so that other work on
    the machine disturbs all of them alike. Weights are as in the file, not repacked.
    """
    found: list[list[tuple[float, float]]] = [[] for _ in files]
    for turn in range(rounds):
        order = range(len(files)) if turn % 2 == 0 else reversed(range(len(files)))
        for done, place in enumerate(order):
            with _opened(files[place], threads) as context:
                found[place].append(_speed(context, tokens[:_READ]))
            tell("speed", turn * len(files) + done + 1, rounds * len(files))
    return [
        (_rounds([read for read, _ in each]), _rounds([written for _, written in each]))
        for each in found
    ]


def unsteadiness(rows: Sequence[Compared]) -> float:
    """Return how much faster one file was in its fastest round than in its slowest."""
    return max(each.fastest / each.slowest for row in rows for each in (row.read, row.written))


def windows_of(tokens: Sequence[int], most: int, begin: Sequence[int] = ()) -> list[Window]:
    """Choose the windows of a text that are read.

    Args:
        tokens: of the text, with the begin-of-text token where the model wants one.
        most: tokens that are judged.
        begin: that token, or nothing.
    """
    length = min(WINDOW, len(tokens))
    first = length // 2
    judged = length - 1 - first
    if judged < 1:
        return []
    whole = len(tokens) // length
    wanted = min(whole, -(-most // judged))
    windows = []
    for place in range(wanted):
        start = place * whole // wanted * length
        end = start + first + 1 + min(judged, most - place * judged)
        windows.append(Window([*begin, *tokens[start + len(begin) : end]], first))
    return windows


_NO_SPEED = Speed(0.0, 0.0, 0.0)


def _reference(
    name: str,
    file: Path,
    text: str,
    most: int,
    threads: int | None,
    kept: Path,
    tell: Tell,
) -> tuple[list[Window], _Truth, Compared]:
    truth = _Truth()
    with _opened(file, threads) as context:
        vocabulary = context.vocabulary
        begin = vocabulary.tokenize("", begin=True)
        windows = windows_of(vocabulary.tokenize(text, begin=True), most, begin)
        judged = sum(window.judged for window in windows)
        if judged < FEWEST:
            raise ModelError(
                f"The text has {judged} tokens to judge by; {FEWEST} are the least.",
                hint=f"Give a longer one with --text: the second half of each {WINDOW} tokens "
                "is judged.",
            )
        need = judged * vocabulary.size * 2
        if need > shutil.disk_usage(kept.parent).free:
            raise DiskFull(
                f"What the reference says of {judged:,} tokens takes {show_bytes(need)}; "
                f"{kept.parent.parent} has less.",
                hint="Free some room there, judge fewer tokens (--tokens), or name another "
                "folder in TMPDIR.",
            )
        with kept.open("wb") as out:
            _keep(context, windows, truth, out, lambda done: tell(name, done, judged))
    losses = np.asarray(truth.losses)
    nothing, all_of_them = Interval(0.0, 0.0, 0.0), Interval(1.0, 1.0, 1.0)
    found = Compared(
        name, file.stat().st_size, judged, _exponential(losses), all_of_them, nothing,
        all_of_them, 0.0, _NO_SPEED, _NO_SPEED,
    )  # fmt: skip
    return windows, truth, found


def _keep(
    context: Context,
    windows: Sequence[Window],
    truth: _Truth,
    out: IO[bytes],
    tell: Callable[[int], None],
) -> None:
    for logs, target in _predicted(context, windows):
        out.write(logs.astype(np.float16).tobytes())
        truth.losses.append(-float(logs[target]))
        truth.likeliest.append(int(logs.argmax()))
        tell(len(truth.losses))


def _other(
    name: str,
    file: Path,
    windows: Sequence[Window],
    truth: _Truth,
    distributions: npt.NDArray[np.float16],
    threads: int | None,
    tell: Tell,
) -> Compared:
    losses: list[float] = []
    divergences: list[float] = []
    same: list[float] = []
    with _opened(file, threads) as context:
        count, size = distributions.shape
        if context.vocabulary.size != size:
            raise ModelError(
                f"{file.name} has {context.vocabulary.size:,} tokens and the reference "
                f"{size:,}: it is another model.",
                hint="Compare files that were made of one.",
            )
        for row, (logs, target) in enumerate(_predicted(context, windows)):
            divergences.append(divergence(distributions[row], logs))
            same.append(float(truth.likeliest[row] == logs.argmax()))
            losses.append(-float(logs[target]))
            tell(name, row + 1, count)
    mine, theirs = np.asarray(losses), np.asarray(truth.losses)
    return Compared(
        name,
        file.stat().st_size,
        count,
        _exponential(mine),
        _exponential(mine - theirs),
        _interval(np.asarray(divergences)),
        _interval(np.asarray(same)),
        float(np.sqrt(np.square(np.exp(-mine) - np.exp(-theirs)).mean())),
        _NO_SPEED,
        _NO_SPEED,
    )


def divergence(wanted: npt.NDArray[np.float16], logs: Floats) -> float:
    """Return the Kullback-Leibler divergence of one distribution from another, in nats.

    Args:
        wanted: log-probabilities, in half precision.
        logs: log-probabilities of what is compared with it.
    """
    truth = wanted.astype(np.float64)
    weights = np.exp(truth)
    total = float(weights.sum())
    return max(0.0, float((weights * (truth - logs)).sum()) / total - float(np.log(total)))


class _opened:
    """A context of one sequence, closed after use."""

    def __init__(self, file: Path, threads: int | None) -> None:
        settings = EngineSettings(context=WINDOW, threads=threads, parallel=1)
        self._context = Context(file, settings)

    def __enter__(self) -> Context:
        return self._context

    def __exit__(self, *_: object) -> None:
        self._context.close()


def _predicted(context: Context, windows: Sequence[Window]) -> Iterator[tuple[Floats, int]]:
    """Yield the log-probabilities before each judged token, and the token."""
    for window in windows:
        tokens, last = window.tokens, len(window.tokens) - 1
        context.trim(0, 0)
        context.decode([Span(0, 0, tokens[: window.first], "none")])
        for start in range(window.first, last, OUTPUTS):
            part = tokens[start : min(start + OUTPUTS, last)]
            (row,) = context.decode([Span(0, start, part, "all")])
            for place in range(len(part)):
                yield context.log_probabilities(row + place), tokens[start + place + 1]


def _speed(context: Context, tokens: Sequence[int]) -> tuple[float, float]:
    context.decode([Span(0, 0, tokens[:1], "last")])  # the weights are in memory after it
    context.trim(0, 0)
    began = time.perf_counter()
    context.decode([Span(0, 0, tokens, "last")])
    read = time.perf_counter() - began
    began = time.perf_counter()
    for step in range(_WRITTEN):
        context.decode([Span(0, len(tokens) + step, [tokens[step]], "last")])
    return len(tokens) / read, _WRITTEN / (time.perf_counter() - began)


def _rounds(found: Sequence[float]) -> Speed:
    return Speed(median(found), min(found), max(found))


def _exponential(values: Floats) -> Interval:
    """Return e to the mean: a perplexity of losses, a ratio of two of their differences."""
    found = _interval(values)
    return Interval(*(float(np.exp(value)) for value in (found.mean, found.low, found.high)))


def _interval(values: Floats) -> Interval:
    random = np.random.default_rng(0)
    count = len(values)
    means = [values[random.integers(0, count, count)].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
