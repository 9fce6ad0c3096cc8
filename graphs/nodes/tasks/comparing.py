"""Similarity: how near two texts are in meaning, by words, by vectors and by judgement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundling.errors import ModelNotFound
from groundling.graphs.nodes.tasks.asking import compose, excerpt
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources
from groundling.knowledge.analyser import analyse
from groundling.models.decide import decide
from groundling.models.embedder import languages
from groundling.models.prompts import fenced, language_of

GRADES = ("0", "1", "2", "3", "4", "5")  # as in STS (Agirre et al. 2012)


async def compare(state: State, resources: Resources) -> Answer:
    """Grade from 0 (nothing in common) to 1 (the same), as the model expects it.

    `words` is the share of common terms (Jaccard), and `vectors` the cosine of the
    embeddings; None where the embedding model is not there or does not know the language.
    """
    first, second = excerpt(state["text"], resources), excerpt(state["other"], resources)
    messages, used = compose(state, resources, "compare", first, other=fenced(second))
    weights = await decide(resources.model, messages, GRADES, used.config)
    judged = sum(int(grade) * weight for grade, weight in weights.items()) / 5
    result = {
        "judged": round(judged, 3),
        "vectors": await _cosine(first, second, resources),
        "words": round(overlap(first, second), 3),
    }
    return {"result": result, "answer": f"{judged:.2f}"}


async def _cosine(first: str, second: str, resources: Resources) -> float | None:
    try:
        embedder = resources.embedder
    except ModelNotFound:
        return None
    if not {language_of(first), language_of(second)} <= languages(embedder):
        return None
    one, other = await embedder.aembed_documents([first, second])
    return round(cosine(one, other), 3)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors; 0 where one has no length."""
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0


def overlap(first: str, second: str) -> float:
    """Return the share of terms that two texts have in common, of those that either has."""
    one, other = set(analyse(first)), set(analyse(second))
    return len(one & other) / len(one | other) if one | other else 0.0
