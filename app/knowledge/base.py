"""A knowledge base: documents go in, passages come out.

    with Knowledge.open(Path("knowledge/handbook"), embedder) as knowledge:
        knowledge.add([Path("documents/")])
        for passage in knowledge.search("How many days of leave?"):
            print(passage.source, passage.page, passage.text)

On the disk: `knowledge.sqlite` (all that is committed), `vectors.faiss` (made from it) and
`manifest.json` (what the vectors are, how documents are cut and searched). One object serves
many threads; several processes may open the same folder, of which one writes at a time.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from groundling.errors import IndexMismatch, KnowledgeError
from groundling.knowledge import analyser as analysers
from groundling.knowledge.analyser import Analyser
from groundling.knowledge.coverage import coverage
from groundling.knowledge.dense import Dense
from groundling.knowledge.files import Found as File
from groundling.knowledge.files import absolute, find
from groundling.knowledge.loaders.registry import Community
from groundling.knowledge.passage import Document, Passage
from groundling.knowledge.preparation import Preparation, Progress, index_text
from groundling.knowledge.recipe import Recipe
from groundling.knowledge.search import Found, Search
from groundling.knowledge.statistics import Statistics
from groundling.knowledge.store import Store, shares
from groundling.knowledge.sync import Sync, SyncReport
from groundling.knowledge.texts import PREFIX, TextEntry
from groundling.knowledge.vectors import read_manifest, write_manifest
from groundling.models.embedder import Embedder

DEFAULT_CHARACTERS = 700
TUNING = "tune"
_RECIPE = "recipe"
_ANALYSER = "analyser"


class Knowledge:
    """An open knowledge base; `open` makes one."""

    def __init__(
        self,
        path: Path,
        store: Store,
        embedder: Embedder | None,
        characters: int,
        recipe: Recipe,
        analyser: Analyser,
    ) -> None:
        self.path = path
        self.embedder = embedder
        self.recipe = recipe
        self.chunk_characters = recipe.chunk_characters or characters
        self.analyser = analyser
        self._store = store
        self._dense = Dense(store, path, embedder)
        self._search = Search(store, self._dense, self.analyser, recipe.dense_weight)

    @classmethod
    def open(
        cls,
        path: Path,
        embedder: Embedder | None,
        *,
        create: bool = True,
        chunk_characters: int = DEFAULT_CHARACTERS,
        recipe: Recipe | None = None,
        reindexing: bool = False,
    ) -> Knowledge:
        """Open a knowledge base.

        Args:
            path: its folder.
            embedder: makes the vectors; without one, search is by words alone.
            create: make it if it is not there.
            chunk_characters: the length that new chunks should have, where the recipe does
                not say.
            recipe: how it is cut and searched; default: what it keeps itself.
            reindexing: open it although it was made with another embedder, to `reindex`.

        Raises:
            KnowledgeError: it is not there, or damaged.
            IndexMismatch: its vectors are another embedder's.
        """
        store = Store(path, create=create)
        try:
            used = recipe or Recipe.read(store.connection.get(_RECIPE))
            wanted = used.analyser or "auto"
            # Questions are analysed as the documents were, until they are analysed anew.
            stored = None if reindexing else store.connection.get(_ANALYSER)
            analyser = analysers.get(stored or wanted)
            knowledge = cls(path, store, embedder, chunk_characters, used, analyser)
            if not reindexing:
                knowledge._dense.check_space()
        except (IndexMismatch, KnowledgeError):
            store.close()
            raise
        return knowledge

    # documents

    def add(
        self,
        paths: Sequence[Path | str],
        *,
        progress: Progress | None = None,
        prune: bool = False,
        loaders: Community | None = None,
    ) -> SyncReport:
        """Bring documents up to date with files and folders.

        Files with unchanged content are passed over, changed ones replaced. A file that
        cannot be read is reported and keeps what was stored of it before. Interrupted at
        any point, the next call goes on from there.

        Args:
            paths: files, and folders to be searched to the bottom.
            progress: called with what is going on, how much is done, of how much.
            prune: remove the documents of these folders whose files are gone.
            loaders: classes of `langchain_community.document_loaders`, by suffix.

        Raises:
            KnowledgeError: a path does not exist; there is nothing to read; another
                process is writing; the disk is full.
        """
        begun = time.perf_counter()
        tell = progress or _silent
        places = [Path(path) for path in paths]
        files, skipped, ignored = find(places, loaders)
        with self._writing():
            report = Sync(self._store, self._preparation, tell, loaders).run(files)
            if prune:
                report.removed += self._prune(places)
            self._dense.embed_waiting(tell)
            self._dense.refresh(persist=True)
        report.skipped[:0] = skipped
        report.ignored = ignored
        report.chunks = self._store.count()
        report.seconds = time.perf_counter() - begun
        return report

    def remove(self, name: str) -> int:
        """Remove a document, or all in a folder of sources; return how many that were.

        Raises:
            KnowledgeError: there is none of that name.
        """
        with self._store.connection.writing():
            doomed = self._store.named(name)
            if not doomed:
                raise KnowledgeError(
                    f"There is no document {name} in {self.path.name}.",
                    hint="groundling knowledge list",
                )
            self._delete([document.id for document in doomed])
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

    def chunks(self, document_id: int) -> list[Passage]:
        """Return all passages of a document, in order."""
        return self._store.chunks(document_id)

    def metadata(self, document_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Map documents to what is known of them: source, title and format of a file's."""
        return self._store.metadata(document_ids)

    def languages(self) -> dict[str, float]:
        """Return the share of Hangul ("ko") and Latin ("en") among the letters."""
        return shares(*self._store.letters())

    # texts without files

    def put(self, entries: Sequence[TextEntry]) -> None:
        """Store texts, each as one passage, in place of those with their keys."""
        with self._writing():
            for entry in entries:
                self._store.replace_document(*self._preparation.entry(entry))
            self._dense.embed_waiting(_silent)
            self._dense.refresh(persist=True)

    def take(self, keys: Sequence[str]) -> list[TextEntry]:
        """Return the texts of keys, in that order; unknown keys are left out."""
        return self._store.entries(keys)

    def drop(self, keys: Sequence[str]) -> int:
        """Remove the texts of keys; return how many there were."""
        with self._store.connection.writing():
            ids = self._store.by_paths([PREFIX + key for key in keys])
            self._store.delete_documents(list(ids.values()))
        return len(ids)

    def keys(self, limit: int | None = None) -> list[str]:
        """Return the keys of the texts, oldest first."""
        return self._store.entry_keys(-1 if limit is None else limit)

    # search

    def search(self, query: str, k: int = 6, *, distinct: bool = True) -> list[Passage]:
        """Return the best passages by words and by meaning, fused; see `fusion`.

        Nothing found is an empty list.

        Args:
            query: a question, or words.
            k: how many to return.
            distinct: of passages with almost the same text return the best alone, and few
                of one document where others have something to say; see `diversity`.
        """
        return [found.passage for found in self._search.both(query, k, distinct=distinct)]

    def explain(self, query: str, k: int = 6) -> list[Found]:
        """Search, and say of each passage why it was found."""
        return self._search.both(query, k)

    def search_lexical(self, query: str, k: int = 6, *, distinct: bool = True) -> list[Passage]:
        """Return the best passages by words (BM25); none where no word occurs."""
        return [found.passage for found in self._search.words(query, k, distinct=distinct)]

    def search_dense(self, query: str, k: int = 6, *, distinct: bool = True) -> list[Passage]:
        """Return the passages nearest in meaning (cosine); none without an embedder."""
        return [found.passage for found in self._search.meaning(query, k, distinct=distinct)]

    def search_vector(self, vector: Sequence[float], k: int = 6) -> list[Passage]:
        """Return the passages nearest to a vector, with their cosine as score."""
        nearest = self._dense.nearest(np.asarray(vector, dtype=np.float32), k)
        return self._store.passages(nearest)

    def vector(self, chunk_id: int) -> list[float] | None:
        """Return a passage's vector; None if it has none."""
        rows = self._dense.vectors([chunk_id])
        return np.frombuffer(rows[0][1], dtype="<f4").tolist() if rows else None

    def dense_weight(self, query: str) -> float:
        """Return how much the dense side counts for a query, the lexical one counting 1."""
        return self._search.dense_weight(query)

    def coverage(self, query: str, passages: Sequence[Passage]) -> float:
        """Return how much of what the query names stands in one of the passages, 0 to 1."""
        return coverage(
            query,
            [index_text(p.title, p.heading, p.text) for p in passages],
            self._store.words.counts,
            self._store.count(),
        )

    # how it is made

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the right to write, and keep by which analyser it is done."""
        with self._store.connection.writing():
            if self._store.connection.get(_ANALYSER) is None:
                self._store.connection.put(_ANALYSER, self.analyser.name)
            yield

    @property
    def _preparation(self) -> Preparation:
        return Preparation(self.chunk_characters, self.analyser)

    def set_recipe(self, recipe: Recipe) -> None:
        """Keep how this knowledge base is cut and searched from its next opening on."""
        with self._store.connection.writing():
            self._store.connection.put(_RECIPE, recipe.text())
            manifest = {**read_manifest(self.path), "recipe": dataclasses.asdict(recipe)}
            write_manifest(self.path, manifest)

    def reindex(self, *, progress: Progress | None = None) -> SyncReport:
        """Read again what was cut or analysed in another way, and make all vectors.

        Files that are gone keep what was stored of them. Until the last vector is made the
        old ones stay in use; interrupted, it goes on. Open with `reindexing=True`.

        Raises:
            KnowledgeError: it was opened without an embedder.
        """
        begun = time.perf_counter()
        tell = progress or _silent
        with self._store.connection.writing():
            self._store.connection.put(_ANALYSER, self.analyser.name)
            report = Sync(self._store, self._preparation, tell).run(self._outdated())
            self._prepare_entries()
            self._dense.reindex(tell)
        report.chunks = self._store.count()
        report.seconds = time.perf_counter() - begun
        return report

    def _outdated(self) -> list[File]:
        """Return the files that are there and were prepared in another way than now."""
        name = self._preparation.name
        sources = {file: source for source, file in self._store.sources().items()}
        return [
            File(Path(path), sources[path].partition("!/")[0])
            for path, (_, prepared) in self._store.files().items()
            if prepared != name and path in sources and Path(path).is_file()
        ]

    def _prepare_entries(self) -> None:
        for entry in self.take(self.keys()):
            row, chunks = self._preparation.entry(entry)
            if self._store.prepared(row.path) != row.prepared:
                self._store.replace_document(row, chunks)

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
            index=self._dense.kind,
            analyser=self.analyser.name,
            languages=self.languages(),
            embedder=self._dense.fingerprint,
            recipe=self.recipe,
        )

    def check(self) -> list[str]:
        """Return what does not agree between SQLite, full text and FAISS; nothing if all does."""
        return self._store.problems() + self._dense.problems()

    def _prune(self, paths: Sequence[Path]) -> int:
        roots = [f"{absolute(path)}/" for path in paths if path.is_dir()]
        gone = [
            document_id
            for document_id, file in self._store.placed()
            if any(file.startswith(root) for root in roots) and not Path(file).exists()
        ]
        if gone:
            self._delete(gone)
        return len(gone)

    def _delete(self, document_ids: Sequence[int]) -> None:
        """Remove documents, and with them what `knowledge tune` keeps of documents' texts."""
        self._store.delete_documents(document_ids)
        shutil.rmtree(self.path / TUNING, ignore_errors=True)

    def close(self) -> None:
        """Close the files; the object is of no use after that."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def exists(path: Path) -> bool:
    """Tell whether there is a knowledge base in a folder."""
    from groundling.knowledge.connection import DATABASE

    return (path / DATABASE).is_file()


def _silent(stage: str, done: int, total: int) -> None:
    pass
