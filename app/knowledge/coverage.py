"""How much of what a question names occurs in passages: a sign of "not in these documents".

Each content word of the question counts by its idf: rare words say more about where the
answer stands than common ones, and a word that no document has says most. A Korean word
counts by the share of its bigrams that occur, weighted likewise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from groundling.knowledge.analyser import analyse, content_words


def coverage(
    question: str,
    texts: Sequence[str],
    chunk_counts: Callable[[Sequence[str]], dict[str, int]],
    chunks: int,
) -> float:
    """Return the idf-weighted share of the question's content terms that the texts have.

    Args:
        question: in any language the analyser knows.
        texts: the passages, together with their titles and headings.
        chunk_counts: in how many chunks of the collection each of some terms occurs.
        chunks: how many chunks the collection has.

    Returns:
        0 to 1; 0 for a question without any content word.
    """
    words = content_words(question)
    counts = chunk_counts([term for word in words for term in word])
    present = {term for text in texts for term in analyse(text)}

    def weight(term: str) -> float:
        count = min(counts.get(term, 0), chunks)
        return math.log(1 + (chunks - count + 0.5) / (count + 0.5))

    total = found = 0.0
    for word in words:
        # A word of many bigrams is one word: its terms share its weight.
        weights = [weight(term) / len(word) for term in word]
        total += sum(weights)
        found += sum(w for w, term in zip(weights, word, strict=True) if term in present)
    return found / total if total else 0.0
