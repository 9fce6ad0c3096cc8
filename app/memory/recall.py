"""Which facts fit a question: by words and topics (BM25), by meaning (cosine), or both.

A person has some hundred short facts: they are weighed one by one, without an index, so
that nothing of a forgotten fact can stay behind in one. Rankings are fused by reciprocal
rank, with the dense one left out where the embedder does not know the question's language
(see `groundling.knowledge.fusion`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from groundling.knowledge.analyser import analyse, query_terms
from groundling.memory.topics import MARK, topic_terms

K1, B = 1.2, 0.3  # facts are of one length: a short one is hardly better for it
TOPIC_WEIGHT = 0.6  # of a topic beside a word that is in both
MIN_COSINE = 0.25  # below it two texts have nothing to do with each other
Ranking = list[tuple[int, float]]
Vectors = NDArray[np.float32]


def fact_terms(text: str, kind: str) -> list[str]:
    """Return the terms that a fact is found by."""
    return [*analyse(text), *topic_terms(text, kind)]


def question_terms(question: str) -> list[str]:
    """Return the terms that a question looks for."""
    return list(dict.fromkeys([*query_terms(question), *topic_terms(question)]))


def lexical(wanted: Sequence[str], facts: Mapping[int, Sequence[str]]) -> Ranking:
    """Rank facts by BM25 over their terms (Robertson and Zaragoza 2009), best first.

    Args:
        wanted: the question's terms, each once.
        facts: the terms of each fact by its number.

    Returns:
        The numbers of the facts that have any of them, with their scores; of equal ones the
        newer first.
    """
    asked = set(wanted)
    hits = {
        number: found
        for number, terms in facts.items()
        if (found := [term for term in terms if term in asked])
    }
    if not hits:
        return []
    spread: dict[str, int] = {}
    for found in hits.values():
        for term in set(found):
            spread[term] = spread.get(term, 0) + 1
    count = len(facts)
    weights = {
        term: math.log(1 + (count - held + 0.5) / (held + 0.5))
        * (TOPIC_WEIGHT if term.startswith(MARK) else 1.0)
        for term, held in spread.items()
    }
    mean = sum(map(len, facts.values())) / count
    scores: dict[int, float] = {}
    for number, found in hits.items():
        norm = K1 * (1 - B + B * len(facts[number]) / mean)
        scores[number] = sum(
            weights[term] * (times := found.count(term)) * (K1 + 1) / (times + norm)
            for term in dict.fromkeys(found)
        )
    return sorted(scores.items(), key=lambda item: (-item[1], -item[0]))


def dense(question: Vectors, numbers: Sequence[int], vectors: Vectors) -> Ranking:
    """Rank facts by the cosine of their vectors with the question's, best first.

    Args:
        question: of shape (dimension,), of length 1.
        numbers: the facts, in the order of the rows.
        vectors: of shape (facts, dimension), each row of length 1.
    """
    if not len(numbers):
        return []
    cosines = vectors @ question
    order = np.argsort(-cosines, kind="stable")
    return [(numbers[i], float(cosines[i])) for i in order if cosines[i] >= MIN_COSINE]


def unit(vector: Sequence[float]) -> Vectors:
    """Return a vector of length 1 as float32; zeros stay zeros."""
    array = np.asarray(vector, dtype=np.float32)
    return array / (float(np.linalg.norm(array)) or 1.0)


def overlap(left: Sequence[str], right: Sequence[str]) -> float:
    """Return the share of words that two facts have in common, of the shorter one's; 0 to 1."""
    one = {term for term in left if not term.startswith(MARK)}
    other = {term for term in right if not term.startswith(MARK)}
    return len(one & other) / min(len(one), len(other)) if one and other else 0.0
