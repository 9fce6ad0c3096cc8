"""Searching one person's facts in the file: terms and vectors in, rankings out."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundling.database import transaction
from groundling.knowledge.fusion import dense_weight, reciprocal_rank
from groundling.memory.recall import (
    Vectors,
    dense,
    fact_terms,
    lexical,
    overlap,
    question_terms,
    unit,
)
from groundling.memory.topics import MARK
from groundling.models.embedder import Embedder, languages, space
from groundling.models.prompts import language_of

LONGEST_QUESTION = 2000  # characters of it that are searched with
NEAR_WORDS, NEAR_MEANING = 0.5, 0.55  # from which two facts may be about the same


@dataclass(frozen=True, slots=True)
class Similar:
    """A fact that may say the same as a new one: by words and by meaning, 0 to 1."""

    id: int
    text: str
    kind: str
    words: float
    meaning: float


class Searcher:
    """Finds facts; the caller holds the lock of the connection."""

    def __init__(self, db: sqlite3.Connection, embedder: Embedder | None) -> None:
        self._db = db
        self._embedder = embedder

    def search(self, user: str, query: str, k: int) -> list[tuple[int, float]]:
        """Return the numbers of the facts that fit best, with scores up to 1."""
        query = query[:LONGEST_QUESTION]
        if k < 1 or not query.strip():
            return []
        facts = self._facts(user)
        by_words = lexical(question_terms(query), facts)
        weight = self._weight(query)
        if not facts or not weight or self._embedder is None:
            return reciprocal_rank([(by_words, 1.0)])[:k]
        numbers, vectors = self._vectors(user, self._embedder)
        by_meaning = dense(unit(self._embedder.embed_query(query)), numbers, vectors)
        return reciprocal_rank([(by_words, 1.0), (by_meaning, weight)])[:k]

    def similar(self, user: str, text: str, kind: str, k: int) -> list[Similar]:
        """Return the facts nearest to another one, and those of its topics; nearest first."""
        terms = fact_terms(text, kind)
        topics = {term for term in terms if term.startswith(MARK)}
        facts = self._facts(user)
        cosines: dict[int, float] = {}
        if facts and self._embedder is not None and self._weight(text):
            numbers, vectors = self._vectors(user, self._embedder)
            [vector] = self._embedder.embed_documents([text])
            cosines = dict(dense(unit(vector), numbers, vectors))
        near: list[tuple[float, int, float, float]] = []
        for number, held in facts.items():
            words, meaning = overlap(terms, held), cosines.get(number, 0.0)
            alike = not topics.isdisjoint(held)
            if words >= NEAR_WORDS or meaning >= NEAR_MEANING or alike:
                near.append((max(words, meaning) + alike / 2, number, words, meaning))
        chosen = sorted(near, key=lambda one: (-one[0], -one[1]))[:k]
        texts = {
            number: (text, kind)
            for number, text, kind in self._db.execute(
                "SELECT id, text, kind FROM memories WHERE user = ?", (user,)
            )
        }
        return [
            Similar(number, *texts[number], words=words, meaning=meaning)
            for _, number, words, meaning in chosen
            if number in texts
        ]

    def _weight(self, text: str) -> float:
        if self._embedder is None:
            return 0.0
        model = str(self._embedder.fingerprint.get("model", ""))
        return dense_weight(language_of(text), languages(self._embedder), model=model)

    def _facts(self, user: str) -> dict[int, list[str]]:
        return {
            number: terms.split()
            for number, terms in self._db.execute(
                "SELECT id, terms FROM memories WHERE user = ? AND superseded_by IS NULL", (user,)
            )
        }

    def _vectors(self, user: str, embedder: Embedder) -> tuple[Sequence[int], Vectors]:
        """Return the vectors of a person's facts, making those that are missing."""
        name = space(embedder.fingerprint)
        held = (
            "FROM memories LEFT JOIN vectors ON memory_id = id AND space = ?"
            " WHERE user = ? AND superseded_by IS NULL"
        )
        missing = self._db.execute(
            f"SELECT id, text {held} AND vector IS NULL", (name, user)
        ).fetchall()
        if missing:
            made = embedder.embed_documents([text for _, text in missing])
            fresh = [
                (name, unit(vector).tobytes(), number, text)
                for (number, text), vector in zip(missing, made, strict=True)
            ]
            with transaction(self._db):
                # Not of one that another process has changed or forgotten since.
                self._db.executemany(
                    "INSERT OR REPLACE INTO vectors (memory_id, space, vector)"
                    " SELECT id, ?, ? FROM memories WHERE id = ? AND text = ?",
                    fresh,
                )
        rows = self._db.execute(
            f"SELECT id, vector {held} AND vector IS NOT NULL ORDER BY id", (name, user)
        ).fetchall()
        if not rows:
            return [], np.zeros((0, 0), dtype=np.float32)
        packed = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32)
        return [number for number, _ in rows], packed.reshape(len(rows), -1)
