"""The dense side of a knowledge base: makes vectors, and searches them.

Vectors are stored in SQLite by the hash of their text, so a text that moved or stands twice
is embedded once. The FAISS index in memory follows what this or any other process commits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock, RLock

import numpy as np

from groundling.errors import IndexMismatch, KnowledgeError
from groundling.knowledge.chunking import CHUNKER_VERSION
from groundling.knowledge.store import Store, Waiting
from groundling.knowledge.sync import Progress, index_text
from groundling.knowledge.vectors import INDEX, VectorIndex
from groundling.models.embedder import Embedder, Fingerprint, space

# Texts embedded between two commits: what an interruption may lose.
EMBED_BATCH = 64
# Rows read from SQLite at a time when the index is made: 6 MB of 384 float32.
READ_BATCH = 4096

_FINGERPRINT = "fingerprint"


class Dense:
    """The vectors of one knowledge base.

    Args:
        store: holds the vectors.
        folder: holds the FAISS file.
        embedder: makes the vectors; without one none are made or searched, though those
            of removed documents still go.
    """

    def __init__(self, store: Store, folder: Path, embedder: Embedder | None) -> None:
        self.store = store
        self.folder = folder
        self.embedder = embedder
        self._index: VectorIndex | None = None
        self._saved = False
        self._seen = -1
        self._indexing = RLock()
        self._embedding = Lock()

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What the stored vectors are; None before there are any."""
        stored = self.store.get(_FINGERPRINT)
        if stored is None:
            return None
        fingerprint: Fingerprint = json.loads(stored)
        return fingerprint

    def check_space(self) -> None:
        """Raise IndexMismatch if the stored vectors are another embedder's."""
        stored = self.fingerprint
        if self.embedder is None or stored is None:
            return
        present = self.embedder.fingerprint
        if space(stored) != space(present):
            raise IndexMismatch(
                f"The vectors of {self.folder.name} were made by another embedder "
                f"({_describe(stored)}) than the one now configured ({_describe(present)}).",
                hint=f"groundling knowledge reindex {self.folder.name}",
            )

    def count(self) -> int:
        """Return how many passages have a vector."""
        fingerprint = self.fingerprint
        return len(self.store.vector_ids(space(fingerprint))) if fingerprint else 0

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """Return the chunk ids nearest in meaning and their cosine, best first."""
        if self.embedder is None or not query.strip():
            return []
        index = self.refresh()
        if index is None or not len(index):
            return []
        with self._embedding:
            vector = np.asarray(self.embedder.embed_query(query), dtype=np.float32)
        with self._indexing:
            return index.search(vector, k)

    def embed_waiting(self, tell: Progress) -> None:
        """Make the vectors that are missing; the caller holds the right to write."""
        if self.embedder is None:
            return
        self.check_space()
        if self.fingerprint is None:
            self.store.put(_FINGERPRINT, json.dumps(self.embedder.fingerprint))
        self._make(self.embedder, tell)

    def reindex(self, tell: Progress) -> None:
        """Make all vectors anew, then drop the others; the caller holds the right to write.

        Raises:
            KnowledgeError: there is no embedder.
        """
        if self.embedder is None:
            raise KnowledgeError(
                "Vectors can only be made with an embedder.",
                hint="groundling model pull minilm-l6, then groundling knowledge reindex",
            )
        self._make(self.embedder, tell)
        # The old file must not stand beside the new space, however this ends.
        (self.folder / INDEX).unlink(missing_ok=True)
        with self.store.transaction():
            self.store.put(_FINGERPRINT, json.dumps(self.embedder.fingerprint))
            self.store.drop_other_spaces(space(self.embedder.fingerprint))
        with self._indexing:
            self._index = None
            self.refresh(persist=True)

    def refresh(self, *, persist: bool = False) -> VectorIndex | None:
        """Return the index, brought up to date with what was committed, by whomever.

        Args:
            persist: also write it to the disk; the caller holds the right to write.
        """
        with self._indexing:
            seen = self.store.data_version()
            if self._index is not None and seen == self._seen and not persist:
                return self._index
            fingerprint = self.fingerprint
            if fingerprint is None:
                return None
            self.check_space()
            name = space(fingerprint)
            if self._index is None:
                dimension = int(fingerprint["dimension"])
                self._index = VectorIndex.read(self.folder, name, dimension)
                self._saved = self._index is not None
                self._index = self._index or VectorIndex(dimension)
            if self._follow(self._index, name):
                self._saved = False
            self._seen = seen
            if persist and not self._saved:
                about = {"embedder": fingerprint, "space": name, "chunker": CHUNKER_VERSION}
                self._index.save(self.folder, about)
                self._saved = True
            return self._index

    def problems(self) -> list[str]:
        """Return where FAISS and SQLite do not agree."""
        index = self.refresh()
        fingerprint = self.fingerprint
        if index is None or fingerprint is None:
            return []
        name = space(fingerprint)
        with self._indexing:
            ids, held = self.store.vector_ids(name), set(index.ids())
            problems = []
            if set(ids) != held:
                problems.append(f"FAISS has {len(held)} vectors, SQLite has {len(ids)}")
            wrong = sum(
                not np.array_equal(np.frombuffer(vector, dtype="<f4"), index.vector(chunk_id))
                for batch in _batches(ids)
                for chunk_id, vector in self.store.vectors(name, batch)
                if chunk_id in held
            )
            if wrong:
                problems.append(f"{wrong} vectors in FAISS differ from those in SQLite")
            return problems

    def _follow(self, index: VectorIndex, name: str) -> bool:
        """Give the index the vectors that SQLite has, and no others; tell if it changed."""
        wanted, held = set(self.store.vector_ids(name)), set(index.ids())
        if wanted == held:
            return False
        if gone := held - wanted:
            index.remove(sorted(gone))
        for batch in _batches(sorted(wanted - held)):
            index.add(self.store.vectors(name, batch))
        return True

    def _make(self, embedder: Embedder, tell: Progress) -> None:
        name = space(embedder.fingerprint)
        waiting = self.store.without_vector(name)
        texts = self._texts(waiting)
        for done in range(0, len(waiting), EMBED_BATCH):
            tell("embedding", done, len(waiting))
            batch = waiting[done : done + EMBED_BATCH]
            with self._embedding:
                vectors = embedder.embed_documents([next(texts) for _ in batch])
            matrix = np.asarray(vectors, dtype=np.float32)
            self.store.put_vectors(name, [row.index_hash for row in batch], matrix)
        if waiting:
            tell("embedding", len(waiting), len(waiting))

    def _texts(self, waiting: Sequence[Waiting]) -> Iterator[str]:
        """Yield what each chunk is found by; the rows come document by document."""
        current, text = -1, ""
        for row in waiting:
            if row.document_id != current:
                current, text = row.document_id, self.store.text(row.document_id, 0, None) or ""
            yield index_text(row.title, row.heading, text[row.start : row.end])


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(ids), READ_BATCH):
        yield ids[first : first + READ_BATCH]


def _describe(fingerprint: Fingerprint) -> str:
    return f"{str(fingerprint.get('model', '?'))[:12]}, {fingerprint.get('dimension', '?')} numbers"
