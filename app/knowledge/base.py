"""A knowledge base: documents go in, passages come out.

    with Knowledge.open(Path("knowledge/handbook"), embedder) as knowledge:
        knowledge.add([Path("documents/")])
        for passage in knowledge.search("How many days of leave?"):
            print(passage.source, passage.page, passage.text)

On the disk: `knowledge.sqlite` (all that is committed), `vectors.faiss` (made from it) and
`manifest.json` (what the vectors are). One object serves many threads; several processes
may open the same folder, of which one writes at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from groundling.errors import IndexMismatch, KnowledgeError
from groundling.knowledge import fusion, sync
from groundling.knowledge.analyser import query_terms
from groundling.knowledge.coverage import coverage
from groundling.knowledge.dense import Dense
from groundling.knowledge.files import absolute, find
from groundling.knowledge.passage import Document, Passage
from groundling.knowledge.store import DATABASE, Store, shares
from groundling.knowledge.sync import Progress, SyncReport
from groundling.knowledge.vectors import VectorIndex
from groundling.models.embedder import Embedder, Fingerprint, languages


@dataclass(frozen=True)
class Statistics:
    """The size of a knowledge base; `waiting` passages have no vector yet."""

    documents: int
    passages: int
    vectors: int
    waiting: int
    characters: int
    bytes: int
    index: str
    languages: dict[str, float]
    embedder: Fingerprint | None


class Knowledge:
    """An open knowledge base; `open` makes one."""

    def __init__(
        self, path: Path, store: Store, embedder: Embedder | None, characters: int
    ) -> None:
        self.path = path
        self.embedder = embedder
        self.chunk_characters = characters
        self._store = store
        self._dense = Dense(store, path, embedder)

    @classmethod
    def open(
        cls,
        path: Path,
        embedder: Embedder | None,
        *,
        create: bool = True,
        chunk_characters: int = 700,
        reindexing: bool = False,
    ) -> Knowledge:
        """Open a knowledge base.

        Args:
            path: its folder.
            embedder: makes the vectors; without one, search is by words alone.
            create: make it if it is not there.
            chunk_characters: the length that new chunks should have.
            reindexing: open it although it was made with another embedder, to `reindex`.

        Raises:
            KnowledgeError: it is not there, or damaged.
            IndexMismatch: its vectors are another embedder's.
        """
        store = Store(path, create=create)
        knowledge = cls(path, store, embedder, chunk_characters)
        if not reindexing:
            try:
                knowledge._dense.check_space()
            except IndexMismatch:
                store.close()
                raise
        return knowledge

    # documents

    def add(
        self, paths: Sequence[Path | str], *, progress: Progress | None = None, prune: bool = False
    ) -> SyncReport:
        """Bring documents up to date with files and folders.

        Files with unchanged content are passed over, changed ones replaced. A file that
        cannot be read is reported and keeps what was stored of it before. Interrupted at
        any point, the next call goes on from there.

        Args:
            paths: files, and folders to be searched to the bottom.
            progress: called with what is going on, how much is done, of how much.
            prune: remove the documents of these folders whose files are gone.

        Raises:
            KnowledgeError: a path does not exist; there is nothing to read; another
                process is writing.
        """
        begun = time.perf_counter()
        tell = progress or _silent
        places = [Path(path) for path in paths]
        files, skipped, ignored = find(places)
        report = SyncReport(skipped=skipped, ignored=ignored)
        with self._store.writing():
            sync.store_files(self._store, files, self.chunk_characters, report, tell)
            if prune:
                report.removed = self._prune(places)
            self._dense.embed_waiting(tell)
            self._dense.refresh(persist=True)
        report.chunks = self._store.count()
        report.seconds = time.perf_counter() - begun
        return report

    def remove(self, source: str) -> int:
        """Remove a document, or all in a folder of sources; return how many that were.

        Raises:
            KnowledgeError: there is none of that name.
        """
        inside = source.rstrip("/") + "/"
        with self._store.writing():
            doomed = [
                document
                for document in self.documents()
                if source in (document.source, document.path)
                or document.source.startswith(inside)
                or document.path.startswith(inside)
            ]
            if not doomed:
                raise KnowledgeError(
                    f"There is no document {source} in {self.path.name}.",
                    hint="groundling knowledge list",
                )
            for document in doomed:
                self._store.delete_document(document.id)
            self._dense.refresh(persist=True)
        return len(doomed)

    def documents(self) -> list[Document]:
        """Return all documents, by source."""
        return self._store.documents()

    def text(self, document_id: int, start: int | None = None, end: int | None = None) -> str:
        """Return a document's stored text, or the span `start` to `end` of it.

        Raises:
            KnowledgeError: there is no such document.
        """
        text = self._store.text(document_id, max(0, start or 0), end)
        if text is None:
            raise KnowledgeError(
                f"There is no document with id {document_id} in {self.path.name}.",
                hint="groundling knowledge list",
            )
        return text

    def passages(self, chunk_ids: Sequence[int]) -> list[Passage]:
        """Return the passages of chunk ids, in that order; removed ones are left out."""
        return self._store.passages([(chunk_id, 0.0) for chunk_id in chunk_ids])

    def languages(self) -> dict[str, float]:
        """Return the share of Hangul ("ko") and Latin ("en") among the letters."""
        return shares(*self._store.letters())

    # search

    def search(self, query: str, k: int = 6) -> list[Passage]:
        """Return the best passages by words and by meaning, fused; see `fusion`.

        Of passages with the same text the best is returned. Nothing found is an empty list.
        """
        depth = fusion.depth(k)
        weight = self.dense_weight(query)
        lexical = self._lexical(query, depth)
        dense = self._dense.search(query, depth) if weight or not lexical else []
        return self._distinct(fusion.fuse(lexical, dense, weight), k)

    def search_lexical(self, query: str, k: int = 6) -> list[Passage]:
        """Return the best passages by words (BM25); none where no word occurs."""
        return self._distinct(self._lexical(query, fusion.depth(k)), k)

    def search_dense(self, query: str, k: int = 6) -> list[Passage]:
        """Return the passages nearest in meaning (cosine); none without an embedder."""
        return self._distinct(self._dense.search(query, fusion.depth(k)), k)

    def dense_weight(self, query: str) -> float:
        """Return how much the dense side counts for a query, the lexical one counting 1."""
        if self.embedder is None:
            return 0.0
        written_in = fusion.language(shares(*sync.letters(query)))
        return fusion.dense_weight(written_in, languages(self.embedder))

    def coverage(self, query: str, passages: Sequence[Passage]) -> float:
        """Return how much of what the query names stands in one of the passages, 0 to 1."""
        return coverage(
            query,
            [sync.index_text(p.title, p.heading, p.text) for p in passages],
            self._store.chunk_counts,
            self._store.count(),
        )

    def _lexical(self, query: str, depth: int) -> list[tuple[int, float]]:
        return self._store.lexical(query_terms(query), depth)

    def _distinct(self, ranked: Sequence[tuple[int, float]], k: int) -> list[Passage]:
        hashes = self._store.text_hashes([chunk_id for chunk_id, _ in ranked])
        first: dict[bytes, tuple[int, float]] = {}
        for chunk_id, score in ranked:
            if chunk_id in hashes:
                first.setdefault(hashes[chunk_id], (chunk_id, score))
        return self._store.passages(list(first.values())[:k])

    # vectors

    def reindex(self, *, progress: Progress | None = None) -> SyncReport:
        """Make all vectors with the present embedder, then let go of the others.

        Until the last one is made the old ones stay in use; interrupted, it goes on.

        Raises:
            KnowledgeError: it was opened without an embedder.
        """
        begun = time.perf_counter()
        with self._store.writing():
            self._dense.reindex(progress or _silent)
        return SyncReport(chunks=self._store.count(), seconds=time.perf_counter() - begun)

    # health

    def statistics(self) -> Statistics:
        """Count what is stored."""
        documents = self.documents()
        passages, vectors = self._store.count(), self._dense.count()
        return Statistics(
            documents=len(documents),
            passages=passages,
            vectors=vectors,
            waiting=passages - vectors,
            characters=sum(document.characters for document in documents),
            bytes=sum(file.stat().st_size for file in self.path.iterdir() if file.is_file()),
            index=VectorIndex.kind,
            languages=self.languages(),
            embedder=self._dense.fingerprint,
        )

    def check(self) -> list[str]:
        """Return what does not agree between SQLite, full text and FAISS; nothing if all does."""
        problems = self._store.problems()
        for document in self.documents():
            text = self.text(document.id)
            if len(text) != document.characters:
                problems.append(f"{document.source}: its text is not as long as it was stored")
        return problems + self._dense.problems()

    def _prune(self, paths: Sequence[Path]) -> int:
        roots = [f"{absolute(path)}/" for path in paths if path.is_dir()]
        gone = [
            document
            for document in self.documents()
            if any(document.path.startswith(root) for root in roots)
            and not Path(document.path).exists()
        ]
        for document in gone:
            self._store.delete_document(document.id)
        return len(gone)

    def close(self) -> None:
        """Close the files; the object is of no use after that."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def exists(path: Path) -> bool:
    """Tell whether there is a knowledge base in a folder."""
    return (path / DATABASE).is_file()


def _silent(stage: str, done: int, total: int) -> None:
    pass
