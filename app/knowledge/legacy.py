"""Bringing over an index that LangChain's FAISS store saved.

    import_faiss("old_index", into=home.knowledge("handbook"))

`FAISS.save_local` writes documents to `index.pkl` and vectors to `index.faiss`. LangChain
loads the first only where it is told that running what is in it is not dangerous; here it is
read without running anything (see `legacy_documents`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings

from groundling.errors import KnowledgeError
from groundling.knowledge.base import Knowledge
from groundling.knowledge.legacy_documents import read_documents
from groundling.knowledge.legacy_vectors import Matrix, count_vectors, read_vectors
from groundling.knowledge.texts import TextEntry
from groundling.knowledge.vectorstore import GroundlingVectorStore
from groundling.models.embedder import Embedder, Fingerprint

BATCH = 256
# So many vectors are made anew, and have to be so near to the saved ones: an embedder's own
# differ by rounding, and by its quantisation where that is another.
SAMPLE, SAME_COSINE = 3, 0.99


def import_faiss(
    folder: Path | str,
    into: Knowledge | GroundlingVectorStore,
    *,
    name: str = "index",
    trust_vectors: bool = False,
) -> int:
    """Store the documents of a saved FAISS index under their ids; return how many there are.

    Interrupted, the next call goes on from there.

    Args:
        folder: what `save_local` was given.
        into: the knowledge base or vector store that they go to.
        name: the index's name.
        trust_vectors: keep the vectors, because the same embeddings made them; a few are made
            anew to see that they did. Otherwise all texts are embedded.

    Raises:
        KnowledgeError: a file is missing, damaged or too large; the pickle asks for more than
            documents; the files do not belong together; the vectors are another embedder's.
    """
    knowledge = into.knowledge if isinstance(into, GroundlingVectorStore) else into
    faiss = Path(folder) / f"{name}.faiss"
    entries = read_documents(Path(folder) / f"{name}.pkl")
    if (count := count_vectors(faiss)) != len(entries):
        raise KnowledgeError(
            f"{faiss} has {count} vectors, the file beside it {len(entries)} documents.",
            hint="Take both files from one save_local.",
        )
    if trust_vectors:
        _put_with_vectors(knowledge, entries, read_vectors(faiss), faiss)
    else:
        for places in _missing(knowledge, entries):
            knowledge.put([entries[place] for place in places])
    return len(entries)


def _put_with_vectors(
    knowledge: Knowledge, entries: Sequence[TextEntry], vectors: Matrix, faiss: Path
) -> None:
    if knowledge.embedder is None:
        raise KnowledgeError(
            "Vectors can only be kept by a knowledge base with an embedder.",
            hint="Open it with the embeddings that made the index.",
        )
    knowing = _Knowing(knowledge.embedder)
    _check_space(knowing, entries, vectors, faiss)
    # What is stored through one of two open objects is seen through the other.
    with Knowledge.open(
        knowledge.path, knowing, create=False, chunk_characters=knowledge.chunk_characters
    ) as beside:
        for places in _missing(knowledge, entries):
            knowing.vectors = {entries[n].text: knowing.scaled(vectors[n]) for n in places}
            beside.put([entries[n] for n in places])


def _check_space(
    knowing: _Knowing, entries: Sequence[TextEntry], vectors: Matrix, faiss: Path
) -> None:
    """Raise KnowledgeError if an embedder does not make these vectors of these texts."""
    dimension = knowing.fingerprint["dimension"]
    if vectors.shape[1] != dimension:
        raise KnowledgeError(
            f"{faiss} has vectors of {vectors.shape[1]} numbers; the embedder's have {dimension}.",
            hint="Without trust_vectors the texts are embedded anew.",
        )
    if not entries:
        return
    places = np.unique(np.linspace(0, len(entries) - 1, SAMPLE).astype(int)).tolist()
    texts = [entries[place].text for place in places]
    for place, made in zip(places, knowing.embed_documents(texts), strict=True):
        saved = vectors[place]
        lengths = float(np.linalg.norm(made) * np.linalg.norm(saved))
        if not float(np.dot(made, saved)) >= SAME_COSINE * lengths:
            raise KnowledgeError(
                f"The vectors of {faiss} are not this embedder's: of document "
                f"{entries[place].key[:80]} it makes another.",
                hint="Without trust_vectors the texts are embedded anew.",
            )


class _Knowing(Embeddings):
    """An embedder that knows the vectors of some texts already."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.vectors: dict[str, list[float]] = {}

    @property
    def fingerprint(self) -> Fingerprint:
        """The embedder's own: its vectors and the known ones are of one space."""
        return self.embedder.fingerprint

    def scaled(self, vector: Matrix) -> list[float]:
        """Return a vector of the length that the embedder's have."""
        if self.fingerprint.get("normalised", True):
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        numbers: list[float] = vector.tolist()
        return numbers

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        unknown = [text for text in texts if text not in self.vectors]
        made = iter(self.embedder.embed_documents(unknown) if unknown else [])
        return [self.vectors.get(text) or next(made) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embedder.embed_query(text)


def _missing(knowledge: Knowledge, entries: Sequence[TextEntry]) -> Iterator[list[int]]:
    """Yield the places of entries that are not stored as they are, batch by batch."""
    for first in range(0, len(entries), BATCH):
        places = range(first, min(first + BATCH, len(entries)))
        taken = knowledge.take([entries[place].key for place in places])
        stored = {entry.key: entry for entry in taken}
        if missing := [n for n in places if stored.get(entries[n].key) != entries[n]]:
            yield missing
