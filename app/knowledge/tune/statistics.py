"""How sure a mean is, and a difference between two ways that answered the same questions.

Percentile bootstrap (Efron 1979). For a difference the questions are drawn in pairs: both
ways find some questions hard, and that part of the noise falls out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 5_000
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of values, one for each question, with its interval.

    Raises:
        ValueError: there are none.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("there are no values to estimate a mean from")
    draws = np.random.default_rng(SEED).integers(len(sample), size=(RESAMPLES, len(sample)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sample[draws].mean(axis=1), [tail, 1 - tail])
    return Estimate(float(sample.mean()), float(low), float(high))


def difference(before: Sequence[float], after: Sequence[float]) -> Estimate:
    """Return by how much `after` is higher; both list the same questions in the same order.

    Raises:
        ValueError: there are none, or not as many of both.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} values before, {len(after)} after")
    return estimate([new - old for old, new in zip(before, after, strict=True)])
