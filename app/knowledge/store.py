"""The SQLite side: documents, chunks, terms and vectors in one file.

What is committed here is the knowledge base; the FAISS file is made from it. Knows nothing
of loaders, embedders or fusion. Safe for threads (one connection, one lock) and for several
processes (WAL; writers take `Store.writing`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundling.database import WAIT_SECONDS, NewerLayout, connect, migrate
from groundling.errors import KnowledgeError
from groundling.knowledge.migrations import MIGRATIONS
from groundling.knowledge.passage import Document, Passage

DATABASE = "knowledge.sqlite"
LOCK = "write.lock"
# SQLite takes 32,766 parameters; a query longer than this is not a question.
MAX_QUERY_TERMS = 256


@dataclass(frozen=True)
class NewDocument:
    """A document's row before it has an id."""

    path: str
    source: str
    title: str
    format: str
    pages: int
    sha256: str
    added_at: str
    chunking: str
    hangul: int
    latin: int
    text: str


@dataclass(frozen=True)
class NewChunk:
    """A chunk's row before it has an id; `terms` is what full text finds it by."""

    start: int
    end: int
    page: int | None
    heading: str
    text_hash: bytes
    index_hash: bytes
    terms: Sequence[str]


@dataclass(frozen=True)
class Waiting:
    """A chunk that has no vector yet."""

    document_id: int
    start: int
    end: int
    heading: str
    title: str
    index_hash: bytes


class Store:
    """One `knowledge.sqlite`.

    Args:
        folder: where the file is.
        create: make it if it is not there.

    Raises:
        KnowledgeError: it is not there and not to be made; it is damaged; SQLite has no FTS5.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.folder = folder
        self.file = folder / DATABASE
        self._lock = RLock()
        if not self.file.exists():
            if not create:
                raise KnowledgeError(
                    f"There is no knowledge base at {folder}.",
                    hint="groundling knowledge add FOLDER",
                )
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._db = connect(self.file)
            migrate(self._db, MIGRATIONS)
        except NewerLayout as newer:
            raise KnowledgeError(
                f"The knowledge base was written by a newer version of Groundling ({newer}).",
                hint="Update Groundling.",
            ) from newer
        except sqlite3.OperationalError as error:
            if "fts5" in str(error):
                raise KnowledgeError(
                    "This Python's SQLite was built without full-text search (FTS5).",
                    hint="Use a Python from python.org, uv or conda.",
                ) from error
            raise KnowledgeError(f"{self.file} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise KnowledgeError(
                f"{self.file} is damaged: {error}",
                hint=f"Move {folder} away and add the documents again.",
            ) from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self, timeout: float = WAIT_SECONDS) -> Iterator[None]:
        """Hold the right to write, across processes and threads.

        Raises:
            KnowledgeError: another writer kept it for longer than `timeout` seconds.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / LOCK, timeout=timeout):
                yield
        except Timeout as error:
            raise KnowledgeError(
                f"Another process is writing to {self.folder}.",
                hint="Wait until it has ended, then run this again; finished work is kept.",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is done inside, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # meta

    def get(self, key: str) -> str | None:
        row = self._one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        with self._lock:
            self._db.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))

    # documents

    def replace_document(self, document: NewDocument, chunks: Iterable[NewChunk]) -> int:
        """Store a document in place of the one with its path, in one transaction."""
        with self.transaction():
            if old := self._one("SELECT id FROM documents WHERE path = ?", document.path):
                self._delete(old[0])
            document_id = self._db.execute(
                "INSERT INTO documents (path, source, title, format, pages, characters, sha256,"
                " added_at, chunking, hangul, latin, text) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    document.path,
                    document.source,
                    document.title,
                    document.format,
                    document.pages,
                    len(document.text),
                    document.sha256,
                    document.added_at,
                    document.chunking,
                    document.hangul,
                    document.latin,
                    document.text,
                ),
            ).lastrowid
            assert document_id is not None
            for chunk in chunks:
                row = self._db.execute(
                    "INSERT INTO chunks (document_id, start, end, page, heading, text_hash,"
                    " index_hash) VALUES (?,?,?,?,?,?,?)",
                    (
                        document_id,
                        chunk.start,
                        chunk.end,
                        chunk.page,
                        chunk.heading,
                        chunk.text_hash,
                        chunk.index_hash,
                    ),
                ).lastrowid
                self._db.execute(
                    "INSERT INTO terms (rowid, body) VALUES (?, ?)", (row, " ".join(chunk.terms))
                )
            return document_id

    def delete_document(self, document_id: int) -> None:
        """Remove a document with its chunks, terms and vectors, in one transaction."""
        with self.transaction():
            self._delete(document_id)

    def _delete(self, document_id: int) -> None:
        chunks = self._all("SELECT id, index_hash FROM chunks WHERE document_id = ?", document_id)
        self._db.executemany("DELETE FROM terms WHERE rowid = ?", [(row[0],) for row in chunks])
        self._db.execute("DELETE FROM documents WHERE id = ?", (document_id,))
        # A text that stands in another document too keeps its vector.
        self._db.executemany(
            "DELETE FROM vectors WHERE index_hash = ?1"
            " AND NOT EXISTS (SELECT 1 FROM chunks WHERE index_hash = ?1)",
            [(row[1],) for row in chunks],
        )

    def documents(self) -> list[Document]:
        rows = self._all(
            "SELECT id, source, path, title, format, pages, characters,"
            " (SELECT count(*) FROM chunks WHERE document_id = documents.id),"
            " sha256, added_at, hangul, latin FROM documents ORDER BY source"
        )
        return [Document(*(*row[:10], shares(*row[10:]))) for row in rows]

    def states(self) -> dict[str, tuple[int, str, str, str]]:
        """Map each document's path to its id, source, sha256 and chunking."""
        rows = self._all("SELECT path, id, source, sha256, chunking FROM documents")
        return {row[0]: row[1:] for row in rows}

    def rename(self, document_id: int, source: str) -> None:
        with self._lock:
            self._db.execute("UPDATE documents SET source = ? WHERE id = ?", (source, document_id))

    def text(self, document_id: int, start: int, end: int | None) -> str | None:
        """Return a span of a document's text; None if there is no such document."""
        length = -1 if end is None else max(0, end - start)
        row = self._one(
            "SELECT CASE ?2 WHEN -1 THEN substr(text, ?1) ELSE substr(text, ?1, ?2) END"
            " FROM documents WHERE id = ?3",
            *(start + 1, length, document_id),
        )
        return None if row is None else str(row[0])

    def letters(self) -> tuple[int, int]:
        """Return how many Hangul and how many Latin letters all documents have."""
        row = self._one("SELECT sum(hangul), sum(latin) FROM documents")
        return row[0] or 0, row[1] or 0

    # chunks

    def count(self) -> int:
        row = self._one("SELECT count(*) FROM chunks")
        return int(row[0])

    def text_hashes(self, chunk_ids: Sequence[int]) -> dict[int, bytes]:
        rows = self._all(
            "SELECT id, text_hash FROM chunks WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(list(chunk_ids)),
        )
        return dict(rows)

    def passages(self, scored: Sequence[tuple[int, float]]) -> list[Passage]:
        """Return the passages of chunk ids, in the order given; unknown ids are left out."""
        rows = self._all(
            "SELECT c.id, c.document_id, d.source, d.title, c.heading, c.page, c.start, c.end,"
            " substr(d.text, c.start + 1, c.end - c.start)"
            " FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE c.id IN (SELECT value FROM json_each(?))",
            json.dumps([chunk_id for chunk_id, _ in scored]),
        )
        by_id = {row[0]: row for row in rows}
        return [Passage(*(*by_id[i], score)) for i, score in scored if i in by_id]

    # full text

    def lexical(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """Return the chunks with any of the terms and their BM25, best first.

        BM25 is that of FTS5 (k1 = 1.2, b = 0.75). Its idf is all but 0 for a term that half
        of the chunks have, so such a term hardly counts, in a tiny collection too.
        """
        wanted = list(dict.fromkeys(terms))
        if len(wanted) > MAX_QUERY_TERMS:
            counts = self.chunk_counts(wanted)
            wanted = sorted((t for t in wanted if t in counts), key=lambda t: counts[t])
            wanted = wanted[:MAX_QUERY_TERMS]
        if not wanted:
            return []
        match = " OR ".join('"' + term.replace('"', '""') + '"' for term in wanted)
        rows = self._all(
            "SELECT rowid, -rank FROM terms WHERE terms MATCH ? ORDER BY rank LIMIT ?", match, k
        )
        return [(row[0], row[1]) for row in rows]

    def chunk_counts(self, terms: Sequence[str]) -> dict[str, int]:
        """Map each of the terms that occurs to the number of chunks it occurs in."""
        rows = self._all(
            "SELECT term, doc FROM term_counts WHERE term IN (SELECT value FROM json_each(?))",
            json.dumps(list(terms)),
        )
        return dict(rows)

    # vectors

    def without_vector(self, space: str) -> list[Waiting]:
        """Return the chunks with no vector in a space, each text once, by document."""
        rows = self._all(
            "SELECT c.document_id, c.start, c.end, c.heading, d.title, c.index_hash"
            " FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE NOT EXISTS (SELECT 1 FROM vectors v"
            " WHERE v.space = ? AND v.index_hash = c.index_hash)"
            " GROUP BY c.index_hash ORDER BY c.document_id, c.start",
            space,
        )
        return [Waiting(*row) for row in rows]

    def put_vectors(
        self, space: str, hashes: Sequence[bytes], vectors: NDArray[np.float32]
    ) -> None:
        with self.transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)",
                [
                    (space, text_hash, vector.astype("<f4").tobytes())
                    for text_hash, vector in zip(hashes, vectors, strict=True)
                ],
            )

    def vector_ids(self, space: str) -> list[int]:
        """Return the ids of the chunks that have a vector in the space, in order."""
        rows = self._all(
            "SELECT c.id FROM chunks c JOIN vectors v ON v.index_hash = c.index_hash"
            " WHERE v.space = ? ORDER BY c.id",
            space,
        )
        return [row[0] for row in rows]

    def vectors(self, space: str, chunk_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return (chunk id, vector as little-endian float32) for the ids that have one."""
        return self._all(
            "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.index_hash = c.index_hash"
            " WHERE v.space = ? AND c.id IN (SELECT value FROM json_each(?))",
            *(space, json.dumps(list(chunk_ids))),
        )

    def drop_other_spaces(self, space: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM vectors WHERE space <> ?", (space,))

    def data_version(self) -> int:
        """Return a number that changes when another connection commits."""
        row = self._one("PRAGMA data_version")
        return int(row[0])

    # checks

    def problems(self) -> list[str]:
        """Return what is wrong inside the file; nothing if all is well."""
        found = [row[0] for row in self._all("PRAGMA quick_check") if row[0] != "ok"]
        try:
            with self._lock:
                self._db.execute("INSERT INTO terms (terms) VALUES ('integrity-check')")
        except sqlite3.DatabaseError as error:
            found.append(f"full text: {error}")
        for query, what in (
            ("SELECT id FROM chunks EXCEPT SELECT rowid FROM terms", "not in full text"),
            ("SELECT rowid FROM terms EXCEPT SELECT id FROM chunks", "in full text alone"),
        ):
            if rows := self._all(query):
                found.append(f"{len(rows)} passages are {what}")
        return found

    def _one(self, statement: str, *values: object) -> Any:
        with self._lock:
            return self._db.execute(statement, values).fetchone()

    def _all(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def shares(hangul: int, latin: int) -> dict[str, float]:
    """Return the share of letters by script: "ko" for Hangul, "en" for Latin."""
    total = hangul + latin
    if not total:
        return {}
    return {"ko": round(hangul / total, 4), "en": round(latin / total, 4)}
