"""Put the lexical and the dense ranking together, and never to the reader's harm.

Convex combination (Bruch, Gai, Ingber 2023, "An analysis of fusion functions for hybrid
retrieval", arXiv:2210.11934): the scores of each ranking are brought to 0 … 1, its last to
its first, and added with weights. On the half of the questions that nothing was chosen on,
nDCG@10 is, with MiniLM:

    XQuAD-en   words 97.0, vectors 94.1, by ranks 97.1, by scores 98.2
    SciFact    words 65.5, vectors 61.3, by ranks 68.4, by scores 68.7

Which weight the dense side gets depends on the embedder and the language of the question, as
measured (`data/fusion.toml`): a 1:1 fusion with a weak embedder takes KorQuAD from 96.0 down
to 83.8. At 0 the dense side only stands in where the words find nothing at all, and not in a
language that the embedder is known not to know.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

# Of reciprocal rank fusion.
RANK_CONSTANT = 60
# How far down a ranking is looked: in multiples of what is asked for, and at least.
DEPTH, LEAST_DEPTH = 5, 100

# A question with more Hangul than this is taken as Korean: "GPT-4 요금은" is.
KOREAN_SHARE = 0.2

Ranking = Sequence[tuple[int, float]]


def depth(k: int) -> int:
    """Return how far down each ranking to look for the best `k`."""
    return max(LEAST_DEPTH, DEPTH * k)


def language(letters: Mapping[str, float]) -> str:
    """Return "ko" or "en" for shares of Hangul and Latin letters, "" for neither."""
    if letters.get("ko", 0.0) > KOREAN_SHARE:
        return "ko"
    return "en" if letters.get("en", 0.0) else ""


def dense_weight(
    question_language: str,
    good_at: frozenset[str],
    tuned: Mapping[str, float] | None = None,
    *,
    model: str = "",
) -> float:
    """Return the dense ranking's weight; the lexical one's is 1.

    What was tuned on a person's own documents goes before what was measured on public
    ones, and that before what the embedder is said to be good at.

    Args:
        question_language: "ko", "en" or "".
        good_at: the languages that the embedder's entry in the catalogue names.
        tuned: weights by language.
        model: the sha256 of the embedder's weights, its fingerprint's "model".
    """
    for known in (tuned or {}, measured_weights(model)):
        if question_language in known:
            return known[question_language]
    return float(_table()["declared"]["weight"]) if question_language in good_at else 0.0


def stands_in(question_language: str, good_at: frozenset[str]) -> bool:
    """Tell whether vectors may answer alone where no word of a question is found.

    Not in a language that the embedder is known not to know: what is nearest then is chance.
    """
    return not question_language or not good_at or question_language in good_at


def measured_weights(model: str) -> dict[str, float]:
    """Return the measured weights of an embedder by language; none if it is not known."""
    rows = _table()["measured"]
    return {row["language"]: float(row["weight"]) for row in rows if row["sha256"] == model}


def fuse(lexical: Ranking, dense: Ranking, weight: float) -> list[tuple[int, float]]:
    """Return chunk ids with their fused scores, best first; 1.0 is first in both rankings.

    Without any lexical result the dense ranking stands alone, whatever its weight.
    """
    sides = [(lexical, 1.0), (dense, weight if lexical else 1.0)]
    sides = [(side, weight) for side, weight in sides if side and weight > 0]
    total = sum(weight for _, weight in sides)
    scores: dict[int, float] = {}
    for side, weight in sides:
        for chunk_id, score in scaled(side):
            scores[chunk_id] = scores.get(chunk_id, 0.0) + weight * score / total
    return _ranked(scores)


def scaled(ranking: Ranking) -> list[tuple[int, float]]:
    """Bring scores to 0 … 1, the least to 0 and the most to 1; equal ones are all 1."""
    values = [score for _, score in ranking]
    least, most = min(values, default=0.0), max(values, default=0.0)
    if most <= least:
        return [(chunk_id, 1.0) for chunk_id, _ in ranking]
    return [(chunk_id, (score - least) / (most - least)) for chunk_id, score in ranking]


def reciprocal_rank(rankings: Iterable[tuple[Ranking, float]]) -> list[tuple[int, float]]:
    """Fuse weighted rankings by ranks alone, where their scores cannot be compared.

    Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): the score is the sum over the
    rankings of weight / (60 + rank), scaled so that first in all of them makes 1.0.
    """
    sides = [(side, weight) for side, weight in rankings if side and weight > 0]
    best = sum(weight for _, weight in sides) / (RANK_CONSTANT + 1)
    scores: dict[int, float] = {}
    for side, weight in sides:
        for rank, (chunk_id, _) in enumerate(side, start=1):
            share = weight / (RANK_CONSTANT + rank) / best
            scores[chunk_id] = scores.get(chunk_id, 0.0) + share
    return _ranked(scores)


def _ranked(scores: Mapping[int, float]) -> list[tuple[int, float]]:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


@cache
def _table() -> dict[str, Any]:
    file = resources.files("groundling.data") / "fusion.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
