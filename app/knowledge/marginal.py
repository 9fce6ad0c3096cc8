"""Maximal marginal relevance: results that are good and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def marginal_relevance(
    query: Sequence[float], vectors: Sequence[Sequence[float]], k: int, weight: float
) -> list[int]:
    """Return the places of the `k` vectors to take, best first.

    One after the other, the one is taken whose cosine to the query, less its greatest cosine
    to those taken already, is highest (Carbonell & Goldstein 1998, doi:10.1145/290941.291025).

    Args:
        query: of length one.
        vectors: of length one.
        k: how many at most.
        weight: 1 looks at the query alone, 0 at the differences alone.
    """
    if not vectors:
        return []
    rows = np.asarray(vectors, dtype=np.float32)
    relevance = rows @ np.asarray(query, dtype=np.float32)
    likeness = np.full(len(rows), -np.inf, dtype=np.float32)
    chosen: list[int] = []
    while len(chosen) < min(k, len(rows)):
        gain = weight * relevance - (1 - weight) * likeness if chosen else relevance.copy()
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        likeness = np.maximum(likeness, rows @ rows[best])
    return chosen
