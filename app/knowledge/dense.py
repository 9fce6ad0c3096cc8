"""The dense side of a knowledge base: makes vectors, and searches them.

Vectors are committed to SQLite by the hash of their text. The FAISS index in memory follows
what this or any other process commits, in time proportional to what changed; the one on the
disk is written when enough has changed, and whoever opens it follows the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock, RLock

import numpy as np
from numpy.typing import NDArray

from groundling.errors import IndexMismatch, KnowledgeError
from groundling.knowledge.chunking import CHUNKER_VERSION
from groundling.knowledge.preparation import Progress, index_text
from groundling.knowledge.rows import Waiting
from groundling.knowledge.store import Store
from groundling.knowledge.vectors import INDEX, WIDER, VectorIndex
from groundling.models.embedder import Embedder, Fingerprint, space

# Texts embedded between two commits: what an interruption may lose. Many, because texts of
# similar length are embedded together.
EMBED_BATCH = 256
# Rows read from SQLite at a time when the index is made: 6 MB of 384 float32.
READ_BATCH = 4096
# The file is written anew when so many vectors, or such a share of them, have changed.
_SAVE_AFTER, _SAVE_SHARE = 1000, 0.05

_FINGERPRINT = "fingerprint"


class Dense:
    """The vectors of one knowledge base.

    Args:
        store: holds the vectors.
        folder: holds the FAISS file.
        embedder: makes the vectors; without one none are made or searched.
    """

    def __init__(self, store: Store, folder: Path, embedder: Embedder | None) -> None:
        self.store = store
        self.rows = store.vectors
        self.folder = folder
        self.embedder = embedder
        self._index: VectorIndex | None = None
        self._sequence = 0  # the last change that the index in memory has
        self._saved = -1  # and the one on the disk; -1: there is none
        self._indexing = RLock()
        self._embedding = Lock()

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What the stored vectors are; None before there are any."""
        stored = self.store.connection.get(_FINGERPRINT)
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
                f"The vectors of {self.folder.name} were made in another way "
                f"({_differing(stored, present)}) than the configured embedder makes them "
                f"({_differing(present, stored)}).",
                hint=f"groundling knowledge reindex {self.folder.name}",
            )

    def count(self) -> int:
        """Return how many passages have a vector."""
        fingerprint = self.fingerprint
        return self.rows.count(space(fingerprint)) if fingerprint else 0

    @property
    def kind(self) -> str:
        """The kind of the index; empty where there is none."""
        index = self.refresh()
        return index.kind if index is not None else ""

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """Return the chunk ids nearest in meaning and their cosine, best first."""
        if self.embedder is None or not query.strip():
            return []
        index = self.refresh()
        if index is None or not len(index):
            return []
        with self._embedding:
            vector = np.asarray(self.embedder.embed_query(query), dtype=np.float32)
        return self.nearest(vector, k)

    def nearest(self, vector: NDArray[np.float32], k: int) -> list[tuple[int, float]]:
        """Return the chunk ids nearest to a vector and their cosine, best first."""
        index = self.refresh()
        if index is None:
            return []
        with self._indexing:
            found = index.search(vector, k if index.exact else WIDER * k)
        return found if index.exact else self._weighed(vector, found)[:k]

    def _weighed(
        self, vector: NDArray[np.float32], found: Sequence[tuple[int, float]]
    ) -> list[tuple[int, float]]:
        """Order what an inexact index found by the exact vectors."""
        scored = [
            (chunk_id, float(np.frombuffer(row, dtype="<f4") @ vector))
            for chunk_id, row in self.vectors([chunk_id for chunk_id, _ in found])
        ]
        return sorted(scored, key=lambda pair: -pair[1])

    def vectors(self, chunk_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return the vectors of the ids that have one, as little-endian float32."""
        fingerprint = self.fingerprint
        return self.rows.get(space(fingerprint), chunk_ids) if fingerprint else []

    def embed_waiting(self, tell: Progress) -> None:
        """Make the vectors that are missing; the caller holds the right to write."""
        if self.embedder is None:
            return
        self.check_space()
        if self.fingerprint is None:
            self.store.connection.put(_FINGERPRINT, json.dumps(self.embedder.fingerprint))
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
        with self.store.connection.transaction():
            self.store.connection.put(_FINGERPRINT, json.dumps(self.embedder.fingerprint))
            self.rows.drop_other_spaces(space(self.embedder.fingerprint))
        with self._indexing:
            self._index, self._saved = None, -1
            self.refresh(persist=True)

    def refresh(self, *, persist: bool = False) -> VectorIndex | None:
        """Return the index, brought up to date with what was committed, by whomever.

        Args:
            persist: also write it to the disk if enough has changed; the caller holds the
                right to write.
        """
        with self._indexing:
            newest = self.rows.sequence()
            if self._index is not None and newest == self._sequence and not persist:
                return self._index
            fingerprint = self.fingerprint
            if fingerprint is None:
                return None
            self.check_space()
            name = space(fingerprint)
            if self._index is None:
                self._open(name, int(fingerprint["dimension"]))
            assert self._index is not None
            self._follow(self._index, name, newest)
            if not self._index.suits(len(self._index)):
                self._index = self._made(name, self._index.dimension)
                self._saved = -1
            self._sequence = newest
            if persist and self._worth_saving(len(self._index)):
                self._save(self._index, fingerprint, name)
            return self._index

    def problems(self) -> list[str]:
        """Return where FAISS and SQLite do not agree."""
        index = self.refresh()
        fingerprint = self.fingerprint
        if index is None or fingerprint is None:
            return []
        name = space(fingerprint)
        with self._indexing:
            ids, held = self.rows.ids(name), index.ids()
            if not np.array_equal(ids, held):
                missing, extra = np.setdiff1d(ids, held), np.setdiff1d(held, ids)
                return [f"FAISS lacks {len(missing)} vectors and has {len(extra)} too many"]
            wrong = sum(
                not _agrees(index.vector(chunk_id), vector)
                for batch in self.rows.batches(name, READ_BATCH)
                for chunk_id, vector in batch
            )
        return [f"{wrong} vectors in FAISS differ from those in SQLite"] if wrong else []

    def _open(self, name: str, dimension: int) -> None:
        """Read the file, or make the index where it cannot be used."""
        read = VectorIndex.read(self.folder, name, dimension)
        if read is not None:
            self._index, self._sequence = read
            self._saved = self._sequence
        else:
            self._sequence = self.rows.sequence()
            self._index = self._made(name, dimension)

    def _made(self, name: str, dimension: int) -> VectorIndex:
        return VectorIndex.make(
            dimension, self.rows.count(name), lambda: self.rows.batches(name, READ_BATCH)
        )

    def _follow(self, index: VectorIndex, name: str, newest: int) -> None:
        """Give the index the vectors that SQLite has, and no others."""
        if newest == self._sequence:
            return
        changed = self.rows.since(self._sequence)
        if changed is None:  # the log no longer reaches back so far
            held, wanted = index.ids(), self.rows.ids(name)
            changed = np.setxor1d(held, wanted).tolist()
        for batch in _batches(changed):
            index.remove(batch)
            index.add(self.rows.get(name, batch))

    def _worth_saving(self, vectors: int) -> bool:
        behind = self._sequence - self._saved
        return self._saved < 0 or behind > max(_SAVE_AFTER, _SAVE_SHARE * vectors)

    def _save(self, index: VectorIndex, fingerprint: Fingerprint, name: str) -> None:
        about = {
            "embedder": fingerprint,
            "space": name,
            "chunker": CHUNKER_VERSION,
            "sequence": self._sequence,
        }
        index.save(self.folder, about)
        self._saved = self._sequence
        self.rows.forget(self._sequence)

    def _make(self, embedder: Embedder, tell: Progress) -> None:
        name = space(embedder.fingerprint)
        waiting = self.rows.waiting(name)
        texts = self._texts(waiting)
        for done in range(0, len(waiting), EMBED_BATCH):
            tell("embedding", done, len(waiting))
            batch = waiting[done : done + EMBED_BATCH]
            with self._embedding:
                vectors = embedder.embed_documents([next(texts) for _ in batch])
            matrix = np.asarray(vectors, dtype=np.float32)
            self.rows.put(name, [row.index_hash for row in batch], matrix)
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


def _agrees(held: NDArray[np.float32] | None, stored: bytes) -> bool:
    return held is None or np.array_equal(held, np.frombuffer(stored, dtype="<f4"))


def _differing(one: Fingerprint, other: Fingerprint) -> str:
    """Name what two fingerprints of spaces do not have in common, as the first has it."""
    keys = sorted({*one, *other} - {"languages"})
    return ", ".join(
        f"{key} {str(one.get(key, 'none'))[:12]}" for key in keys if one.get(key) != other.get(key)
    )
