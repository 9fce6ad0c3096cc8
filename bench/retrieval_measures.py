"""nDCG@10, recall@10, and how far they can be trusted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

SEED, RESAMPLES = 7, 2000

Figures = dict[str, float]
# From a question to the names of documents, best first.
Ranker = Callable[[str], list[str]]


def ndcg(found: Sequence[str], relevant: set[str]) -> float:
    gain = sum(1 / math.log2(i + 2) for i, name in enumerate(found[:10]) if name in relevant)
    return gain / sum(1 / math.log2(i + 2) for i in range(min(10, len(relevant))))


def recall(found: Sequence[str], relevant: set[str]) -> float:
    return len(relevant & set(found[:10])) / len(relevant)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, in per cent."""
    draw = np.random.default_rng(SEED)
    sample = np.asarray(values)[draw.integers(len(values), size=(RESAMPLES, len(values)))]
    low, high = np.percentile(100 * sample.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def measure(rank: Ranker, questions: Sequence[tuple[str, set[str]]]) -> Figures:
    gains, recalls, seconds = [], [], []
    for question, relevant in questions:
        begun = time.perf_counter()
        found = rank(question)
        seconds.append(time.perf_counter() - begun)
        gains.append(ndcg(found, relevant))
        recalls.append(recall(found, relevant))
    low, high = interval(gains)
    held_out = gains[len(gains) // 2 :]
    figures = {
        "ndcg@10": 100 * sum(gains) / len(gains),
        "low": low,
        "high": high,
        "held out": 100 * sum(held_out) / len(held_out),
        "recall@10": 100 * sum(recalls) / len(recalls),
        "p50 ms": 1000 * sorted(seconds)[len(seconds) // 2],
    }
    return {name: round(value, 2) for name, value in figures.items()}
