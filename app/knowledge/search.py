"""Search: two rankings, one list, and the reasons.

Words (`words`, weighed anew by `rescoring`) and meaning (`dense`) each give a ranking;
`fusion` makes one of them, and passages that say the same are shown once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from groundling.knowledge import fusion
from groundling.knowledge.analyser import Analyser
from groundling.knowledge.dense import Dense
from groundling.knowledge.diversity import diversify
from groundling.knowledge.passage import Passage
from groundling.knowledge.preparation import letters
from groundling.knowledge.rescoring import rescore
from groundling.knowledge.store import Store, shares
from groundling.models.embedder import languages

Ranking = Sequence[tuple[int, float]]
# Passages found by words that are weighed anew: about 25 microseconds each.
CANDIDATES = 200
# Passages that the best are chosen from, in multiples of how many are wanted.
DIVERSE = 4


@dataclass(frozen=True)
class Found:
    """A passage, and why it was found.

    Args:
        passage: `score` is the fused one.
        word_rank: its place by words, from 1; None where no word of the question is in it.
        word_score: its BM25.
        words: the question's terms that are in it.
        meaning_rank: its place by meaning, from 1; None where meaning was not asked, or
            did not reach it.
        cosine: between its vector and the question's.
        dense_weight: what the ranking by meaning counted, the one by words counting 1.
    """

    passage: Passage
    word_rank: int | None
    word_score: float | None
    words: tuple[str, ...]
    meaning_rank: int | None
    cosine: float | None
    dense_weight: float


class Search:
    """Searches one knowledge base.

    Args:
        store: the words and passages.
        dense: the vectors.
        analyser: makes terms of questions.
        tuned: weights of the dense side by language, instead of the measured defaults.
    """

    def __init__(
        self,
        store: Store,
        dense: Dense,
        analyser: Analyser,
        tuned: Mapping[str, float] | None = None,
    ) -> None:
        self._store = store
        self._dense = dense
        self._analyser = analyser
        self._tuned = tuned

    def both(self, query: str, k: int, *, distinct: bool = True) -> list[Found]:
        """Return the best passages by words and by meaning."""
        depth = fusion.depth(k)
        weight = self.dense_weight(query)
        lexical = self._lexical(query, depth)
        alone = not lexical and self._stands_in(query)
        dense = self._dense.search(query, depth) if weight or alone else []
        return self._found(query, lexical, dense, weight if lexical else 1.0, k, distinct)

    def words(self, query: str, k: int, *, distinct: bool = True) -> list[Found]:
        """Return the best passages by words."""
        return self._found(query, self._lexical(query, fusion.depth(k)), [], 0.0, k, distinct)

    def meaning(self, query: str, k: int, *, distinct: bool = True) -> list[Found]:
        """Return the best passages by meaning."""
        return self._found(query, [], self._dense.search(query, fusion.depth(k)), 1.0, k, distinct)

    def dense_weight(self, query: str) -> float:
        """Return how much the dense side counts for a query, the lexical one counting 1."""
        embedder = self._dense.embedder
        if embedder is None:
            return 0.0
        return fusion.dense_weight(
            _language(query),
            languages(embedder),
            self._tuned,
            model=str(embedder.fingerprint.get("model", "")),
        )

    def _stands_in(self, query: str) -> bool:
        embedder = self._dense.embedder
        known = languages(embedder) if embedder is not None else frozenset()
        return fusion.stands_in(_language(query), known)

    def _lexical(self, query: str, depth: int) -> Ranking:
        words = self._analyser.content_words(query) or [(t,) for t in self._analyser.terms(query)]
        terms = [term for word in words for term in word]
        index = self._store.words
        found = index.search(terms, max(CANDIDATES, depth))
        bodies = index.bodies([chunk_id for chunk_id, _ in found])
        return rescore(words, bodies, index.counts(terms), self._store.count())[:depth]

    def _found(
        self,
        query: str,
        lexical: Ranking,
        dense: Ranking,
        weight: float,
        k: int,
        distinct: bool,
    ) -> list[Found]:
        fused = fusion.fuse(lexical, dense, weight)
        passages = self._store.passages(fused[: DIVERSE * k if distinct else k])
        if distinct:
            passages = diversify(passages, k)
        by_words, by_meaning = _ranks(lexical), _ranks(dense)
        terms = dict.fromkeys(self._analyser.query_terms(query))
        bodies = self._store.words.bodies([passage.chunk_id for passage in passages])
        found = []
        for passage in passages:
            word_rank, word_score = by_words.get(passage.chunk_id, (None, None))
            meaning_rank, cosine = by_meaning.get(passage.chunk_id, (None, None))
            held = terms.keys() & set(bodies.get(passage.chunk_id, ()))
            why = tuple(term for term in terms if term in held)
            found.append(Found(passage, word_rank, word_score, why, meaning_rank, cosine, weight))
        return found


def _language(query: str) -> str:
    return fusion.language(shares(*letters(query)))


def _ranks(ranking: Ranking) -> dict[int, tuple[int, float]]:
    return {chunk_id: (rank, score) for rank, (chunk_id, score) in enumerate(ranking, start=1)}
