"""A knowledge base as LangChain's vector store.

    store = GroundlingVectorStore.open("index", embeddings)
    store.add_texts(["Everybody has 15 days of leave."], [{"topic": "leave"}])
    store.similarity_search("휴가는 며칠인가요?", k=4, filter={"topic": "leave"})

Any LangChain embeddings will do. What is added is one passage as a whole, is on the disk when
the call returns, and is also found by `Knowledge.search` and everything built on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from groundling.errors import KnowledgeError
from groundling.knowledge.base import Knowledge
from groundling.knowledge.foreign import ForeignEmbedder, as_embedder
from groundling.knowledge.marginal import marginal_relevance
from groundling.knowledge.matching import Filter, Look, Metadata, matching
from groundling.knowledge.passage import Passage
from groundling.knowledge.retriever import Mode, search
from groundling.knowledge.texts import TextEntry
from groundling.models.embedder import Embedder


class GroundlingVectorStore(VectorStore):
    """Texts, their metadata and their vectors in a folder.

    Safe for threads; several processes may use one folder. Coroutines run in a thread.

    Args:
        knowledge: an open knowledge base; files that were added to it are searched, too.
        mode: what `similarity_search` looks for: "dense" (cosine, as every vector store
            does), "words" (BM25) or "hybrid" (both, fused). The latter two return one of
            several texts that say the same, chosen before a filter is looked at.
    """

    def __init__(self, knowledge: Knowledge, mode: Mode = "dense") -> None:
        self.knowledge = knowledge
        self.mode = mode

    @classmethod
    def open(cls, folder: Path | str, embedding: Embeddings | None, mode: Mode = "dense") -> Self:
        """Open a folder, and make it if it is not there.

        Args:
            folder: where it is kept.
            embedding: makes the vectors; None is enough to search by words.
            mode: see the class.

        Raises:
            IndexMismatch: its vectors are another embedder's.
            KnowledgeError: it is damaged.
        """
        embedder = None if embedding is None else as_embedder(embedding)
        return cls(Knowledge.open(Path(folder), embedder), mode)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[Metadata] | None = None,
        *,
        ids: list[str] | None = None,
        folder: Path | str | None = None,
        mode: Mode = "dense",
        **kwargs: Any,
    ) -> Self:
        """Open a folder and add texts to it; see `open` and `add_texts`.

        Raises:
            KnowledgeError: no folder is named.
        """
        _refuse(kwargs)
        if folder is None:
            raise KnowledgeError(
                f"A {cls.__name__} is kept in a folder, and none is named.",
                hint=f'{cls.__name__}.from_texts(texts, embedding, folder="index")',
            )
        store = cls.open(folder, embedding, mode)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings it was opened with."""
        embedder = self.knowledge.embedder
        if isinstance(embedder, ForeignEmbedder):
            return embedder.embeddings
        return embedder if isinstance(embedder, Embeddings) else None

    def close(self) -> None:
        """Close the folder; the object is of no use after that."""
        self.knowledge.close()

    # writing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[Metadata] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts, in place of those that have the same ids; return the ids.

        Args:
            texts: each is found and returned as a whole.
            metadatas: one for each text, of JSON values.
            ids: one for each text; a random one where there is none.
            kwargs: passed over; LangChain's indexing gives a batch size.

        Raises:
            KnowledgeError: there are not as many of each, or metadata is not JSON.
        """
        texts = list(texts)
        keys = [key or str(uuid4()) for key in (ids if ids is not None else [None] * len(texts))]
        metadatas = metadatas if metadatas is not None else [{} for _ in texts]
        if not len(texts) == len(keys) == len(metadatas):
            raise KnowledgeError(
                f"There are {len(texts)} texts, {len(keys)} ids and {len(metadatas)} metadata.",
                hint="Give one of each for every text.",
            )
        for key, metadata in zip(keys, metadatas, strict=True):
            _check_json(key, metadata)
        self.knowledge.put(
            [TextEntry(*entry) for entry in zip(keys, texts, metadatas, strict=True)]
        )
        return keys

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove texts; ids that are not there are passed over.

        Args:
            ids: None removes all texts, as LangChain has it; files stay.
            kwargs: passed over.
        """
        self.knowledge.drop(self.knowledge.keys() if ids is None else ids)
        return True

    # reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the texts of ids, in that order; those that are not there are left out."""
        return [
            Document(id=entry.key, page_content=entry.text, metadata=entry.metadata)
            for entry in self.knowledge.take(ids)
        ]

    def similarity_search(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the best documents for a query, best first.

        Args:
            query: a question or keywords.
            k: how many.
            filter: what their metadata must be; as many are looked at as it takes.
            kwargs: none is known.
        """
        found = self.similarity_search_with_score(query, k, filter=filter, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the best documents and their scores, higher is better.

        In mode "dense" the score is the cosine; other modes' compare within one query only.
        """
        _refuse(kwargs)
        if self.mode == "dense":
            if not query.strip() or self.knowledge.embedder is None:
                return []
            return self._near(self.knowledge.embedder.embed_query(query), k, filter)

        def ranked(depth: int) -> list[Passage]:
            # Texts that are alike may differ in what is filtered by.
            return search(self.knowledge, self.mode, query, depth, distinct=False)

        return self._documents(ranked, k, filter)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return the documents nearest to a vector of the same embeddings."""
        _refuse(kwargs)
        return [document for document, _ in self._near(embedding, k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return documents that are near to a query and unlike each other."""
        if not query.strip():
            return []
        return self.max_marginal_relevance_search_by_vector(
            self._embedder().embed_query(query), k, fetch_k, lambda_mult, filter=filter, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Return documents that are near to a vector and unlike each other."""
        _refuse(kwargs)
        query = _unit(embedding)
        found = [
            (vector, document)
            for passage, document in matching(self.knowledge, self._nearest(query), fetch_k, filter)
            if (vector := self.knowledge.vector(passage.chunk_id)) is not None
        ]
        chosen = marginal_relevance(query, [vector for vector, _ in found], k, lambda_mult)
        return [found[place][1] for place in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self.mode != "dense":
            raise KnowledgeError(
                f'Scores of mode "{self.mode}" compare within one query only: they cannot be '
                "held against a threshold.",
                hint='GroundlingVectorStore(knowledge, mode="dense")',
            )
        return _relevance

    def _near(
        self, embedding: Sequence[float], k: int, filter: Filter | None
    ) -> list[tuple[Document, float]]:
        return self._documents(self._nearest(_unit(embedding)), k, filter)

    def _nearest(self, vector: Sequence[float]) -> Look:
        self._embedder()
        return lambda depth: self.knowledge.search_vector(vector, depth)

    def _documents(self, look: Look, k: int, filter: Filter | None) -> list[tuple[Document, float]]:
        found = matching(self.knowledge, look, k, filter)
        return [(document, passage.score) for passage, document in found]

    def _embedder(self) -> Embedder:
        if self.knowledge.embedder is None:
            raise KnowledgeError(
                "Vectors cannot be searched without embeddings.",
                hint='GroundlingVectorStore.open(folder, embedding), or mode="words"',
            )
        return self.knowledge.embedder


def _check_json(key: str, metadata: Metadata) -> None:
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise KnowledgeError(
            f"The metadata of {key} is not JSON: {error}.",
            hint="Write dates and numbers of other libraries as text or as Python's own numbers.",
        ) from error


def _unit(vector: Sequence[float]) -> list[float]:
    row = np.asarray(vector, dtype=np.float32)
    scaled: list[float] = (row / max(float(np.linalg.norm(row)), 1e-12)).tolist()
    return scaled


def _relevance(cosine: float) -> float:
    """Return a cosine as LangChain's relevance, 0 to 1."""
    return min(1.0, max(0.0, cosine))


def _refuse(unknown: Mapping[str, Any]) -> None:
    """Raise for options that would otherwise be ignored: a misspelt filter lets all through."""
    if unknown:
        raise TypeError(f"GroundlingVectorStore knows no option {', '.join(sorted(unknown))}.")
