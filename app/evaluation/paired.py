"""Two scores of each example: their difference, how sure it is, and who wins how often.

The interval is the percentile bootstrap over examples (Efron 1979); the p-value a permutation
test that flips the signs of differences (exact where that is feasible). Repetitions of an
example are averaged before: they are no independent examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 0
_EXACT = 14  # differences that are not zero: 2**14 flips are all tried
_CHUNK = 4_000_000  # numbers in memory at once
_SAME = 1e-12


@dataclass(frozen=True)
class Paired:
    """Scores of the same examples by A and by B.

    Args:
        examples: how many have both.
        difference: mean of B less mean of A.
        low: lower end of the difference's interval; `high` is the upper one.
        higher: examples where B's score is the higher one; `lower`, where it is the lower one.
        p: probability of a mean difference as large, if A and B were alike.
        p_sign: the same, of as uneven a count of `higher` and `lower`.
    """

    examples: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    higher: int
    ties: int
    lower: int
    p: float
    p_sign: float


def paired(
    a: Sequence[float],
    b: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Paired:
    """Compare the scores of examples, those of A and of B in the same order.

    Raises:
        ValueError: there are none, or not as many of A as of B.
    """
    left, right = np.asarray(a, float), np.asarray(b, float)
    if not len(left) or left.shape != right.shape:
        raise ValueError(f"{len(left)} scores of A, {len(right)} of B")
    differences = right - left
    differences[np.abs(differences) < _SAME] = 0.0
    low, high = bootstrap(differences, confidence=confidence, resamples=resamples, seed=seed)
    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    return Paired(
        len(left),
        float(left.mean()),
        float(right.mean()),
        float(differences.mean()),
        low,
        high,
        higher,
        len(left) - higher - lower,
        lower,
        permutation_p(differences, resamples=resamples, seed=seed),
        sign_p(higher, lower),
    )


def bootstrap(
    values: NDArray[np.float64],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """Return the interval of a mean; the same seed gives the same one."""
    if not values.any() or len(values) == 1:
        return float(values.mean()), float(values.mean())
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _CHUNK // len(values))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = random.integers(0, len(values), (count, len(values)))
        means[start : start + count] = values[drawn].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def permutation_p(
    differences: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = SEED
) -> float:
    """Return how often a mean this far from zero comes of flipping signs at random."""
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    seen = abs(moved.sum()) - 1e-9 * np.abs(moved).sum()
    if len(moved) <= _EXACT:
        flips = np.array(list(product((1.0, -1.0), repeat=len(moved))))
        return float((np.abs(flips @ moved) >= seen).mean())
    random = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(moved))
    count = 0
    for start in range(0, resamples, step):
        flips = random.choice((1.0, -1.0), (min(step, resamples - start), len(moved)))
        count += int((np.abs(flips @ moved) >= seen).sum())
    # The differences as they are are one of the ways to flip them.
    return (count + 1) / (resamples + 1)


def sign_p(higher: int, lower: int) -> float:
    """Return how often counts this uneven come of fair coins, both ways together."""
    n, least = higher + lower, min(higher, lower)
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(least + 1))
    return min(1.0, float(2 * tail / 2**n))
