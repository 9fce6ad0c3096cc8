"""What others do by default, to measure beside: whitespace BM25, plain vectors, 4000/200.

LangChain's text splitters cut at 4,000 characters with an overlap of 200 unless told
otherwise, and `rank_bm25`, which its BM25 retriever uses, is given words split at spaces.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings

from groundling.models.embedder import Embedder, Fingerprint, space

# A document, and where in it a shown text begins and ends.
Span = tuple[str, int, int]


class WhitespaceBM25:
    """Okapi BM25 (k1 = 1.5, b = 0.75, as in rank_bm25) over words split at spaces."""

    def __init__(self, texts: Sequence[str], k1: float = 1.5, b: float = 0.75) -> None:
        counts = [Counter(text.lower().split()) for text in texts]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths)
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, count in enumerate(counts):
            damping = k1 * (1 - b + b * lengths[number] / mean)
            for word, n in count.items():
                self._postings[word].append((number, n * (k1 + 1) / (n + damping)))
        self._total = len(texts)

    def search(self, question: str, k: int) -> list[int]:
        """Return the numbers of the best texts."""
        scores: dict[int, float] = defaultdict(float)
        for word in question.lower().split():
            found = self._postings.get(word, [])
            idf = math.log(1 + (self._total - len(found) + 0.5) / (len(found) + 0.5))
            for number, weight in found:
                scores[number] += idf * weight
        return heapq.nlargest(k, scores, key=lambda number: (scores[number], -number))


class PlainVectors:
    """The nearest texts by cosine, exactly."""

    def __init__(self, texts: Sequence[str], embedder: Embedder) -> None:
        self._embedder = embedder
        matrix = np.asarray(embedder.embed_documents(list(texts)), dtype=np.float32)
        self._matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)

    def search(self, question: str, k: int) -> list[int]:
        """Return the numbers of the nearest texts."""
        cosines = self._matrix @ np.asarray(self._embedder.embed_query(question), np.float32)
        return [int(number) for number in np.argsort(-cosines, kind="stable")[:k]]


def split_by_default(documents: Mapping[str, str]) -> tuple[list[str], list[Span]]:
    """Cut documents as LangChain's recursive splitter does unless told otherwise."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(add_start_index=True)
    texts, spans = [], []
    for name, text in documents.items():
        for part in splitter.create_documents([text]):
            start = part.metadata["start_index"]
            texts.append(part.page_content)
            spans.append((name, start, start + len(part.page_content)))
    return texts, spans


class CachedEmbedder(Embeddings):
    """An embedder that keeps its vectors in a file between runs; times mean nothing then."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._embedder = embedder
        self._db = sqlite3.connect(folder / f"{space(embedder.fingerprint)}.sqlite")
        self._db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")

    @property
    def fingerprint(self) -> Fingerprint:
        return self._embedder.fingerprint

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        keys = [_key("document", text) for text in texts]
        held = {key: self._read(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if held[key] is None}
        if missing:
            made = self._embedder.embed_documents(list(missing.values()))
            held.update({key: self._keep(key, v) for key, v in zip(missing, made, strict=True)})
            self._db.commit()
        return [held[key] or [] for key in keys]

    def embed_query(self, text: str) -> list[float]:
        key = _key("question", text)
        held = self._read(key)
        if held is None:
            held = self._keep(key, self._embedder.embed_query(text))
            self._db.commit()
        return held

    def close(self) -> None:
        self._db.close()

    def _read(self, key: bytes) -> list[float] | None:
        row = self._db.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype="<f4").tolist()

    def _keep(self, key: bytes, vector: list[float]) -> list[float]:
        packed = np.asarray(vector, dtype="<f4").tobytes()
        self._db.execute("REPLACE INTO vectors VALUES (?, ?)", (key, packed))
        return vector


def _key(role: str, text: str) -> bytes:
    return hashlib.sha256(f"{role}\0{text}".encode()).digest()
