"""Documents and chunks in SQLite, with their terms and vectors kept in step.

What is committed here is the knowledge base; the FAISS file is made from it. Each document
comes and goes in one transaction, in time proportional to that document. Knows nothing of
loaders, embedders or fusion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import Any

from groundling.knowledge.connection import Connection
from groundling.knowledge.passage import Document, Passage
from groundling.knowledge.rows import NewChunk, NewDocument
from groundling.knowledge.texts import FORMAT, PREFIX, TextEntry
from groundling.knowledge.vector_rows import VectorRows
from groundling.knowledge.words import Words

_COLUMNS = tuple(field.name for field in fields(NewDocument))
_DOCUMENT = (
    "SELECT id, source, path, title, format, pages, characters,"
    " (SELECT count(*) FROM chunks WHERE document_id = documents.id),"
    " sha256, added_at, hangul, latin FROM documents"
)
_PASSAGE = (
    "SELECT c.id, c.document_id, d.source, d.title, c.heading, c.page, c.start, c.end,"
    " substr(d.text, c.start + 1, c.end - c.start), d.path"
    " FROM chunks c JOIN documents d ON d.id = c.document_id"
)


class Store:
    """The tables of one knowledge base; see `Connection` for its arguments and errors."""

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.connection = Connection(folder, create=create)
        self.words = Words(self.connection)
        self.vectors = VectorRows(self.connection)

    def close(self) -> None:
        self.connection.close()

    # documents

    def replace_document(
        self, document: NewDocument, chunks: Iterable[NewChunk], *, whole_file: bool = True
    ) -> int:
        """Store a document in place of the one with its path, in one transaction.

        Args:
            document: its row.
            chunks: its chunks, in order.
            whole_file: the file has no other document, so that with this one it is done.
        """
        connection = self.connection
        with connection.transaction():
            old = connection.all("SELECT id FROM documents WHERE path = ?", document.path)
            before = self._delete([row[0] for row in old])
            document_id = connection.run(
                f"INSERT INTO documents ({', '.join(_COLUMNS)}, characters)"
                f" VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})",
                *(*astuple(document), len(document.text)),
            )
            self._put_chunks(document_id, list(chunks))
            # Only now: what stays of the old text keeps its vector.
            self.vectors.delete_unused(before)
            if whole_file and document.file:
                self.finish_file(document.file, document.sha256, document.prepared)
        return document_id

    def _put_chunks(self, document_id: int, chunks: Sequence[NewChunk]) -> None:
        ids = [
            self.connection.run(
                "INSERT INTO chunks (document_id, start, end, page, heading, text_hash,"
                " index_hash, terms) VALUES (?,?,?,?,?,?,?,?)",
                *(document_id, chunk.start, chunk.end, chunk.page, chunk.heading),
                *(chunk.text_hash, chunk.index_hash, len(chunk.terms)),
            )
            for chunk in chunks
        ]
        self.words.put([(i, chunk.terms) for i, chunk in zip(ids, chunks, strict=True)])
        self.vectors.changed(ids)
        self._count(len(chunks), sum(len(chunk.terms) for chunk in chunks))

    def delete_documents(self, document_ids: Sequence[int]) -> None:
        """Remove documents with their chunks, terms and vectors, in one transaction."""
        with self.connection.transaction():
            self.vectors.delete_unused(self._delete(document_ids))

    def _delete(self, document_ids: Sequence[int]) -> list[bytes]:
        """Remove documents but for their vectors; return the hashes of their chunks."""
        hashes: list[bytes] = []
        for document_id in document_ids:
            chunks = self.connection.all(
                "SELECT id, index_hash, terms FROM chunks WHERE document_id = ?", document_id
            )
            ids = [row[0] for row in chunks]
            self.words.delete(ids)
            self.connection.run(
                "DELETE FROM files WHERE path = (SELECT file FROM documents WHERE id = ?)",
                document_id,
            )
            self.connection.run("DELETE FROM documents WHERE id = ?", document_id)
            self.vectors.changed(ids)
            self._count(-len(ids), -sum(row[2] for row in chunks))
            hashes += [row[1] for row in chunks]
        return hashes

    def _count(self, chunks: int, terms: int) -> None:
        self.connection.many(
            "UPDATE totals SET value = value + ? WHERE name = ?",
            [(chunks, "chunks"), (terms, "terms")],
        )

    def documents(self) -> list[Document]:
        """Return all documents, by source."""
        return [_document(row) for row in self.connection.all(f"{_DOCUMENT} ORDER BY source")]

    def named(self, name: str) -> list[Document]:
        """Return the documents of a source, path or file, or inside of a folder or file."""
        # Each by its index: the columns lie behind the texts, which would have to be read.
        within = [("source", name.rstrip("/") + "/"), ("path", name.rstrip("/") + "/")]
        within += [("source", f"{name}!/")]
        ids = [
            row[0]
            for column in ("source", "path", "file")
            for row in self.connection.all(f"SELECT id FROM documents WHERE {column} = ?", name)
        ]
        ids += [
            row[0]
            for column, prefix in within
            for row in self.connection.all(
                f"SELECT id FROM documents WHERE {column} >= ? AND {column} < ?",
                *(prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)),
            )
        ]
        rows = self.connection.all(
            f"{_DOCUMENT} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY source",
            json.dumps(ids),
        )
        return [_document(row) for row in rows]

    def by_paths(self, paths: Sequence[str]) -> dict[str, int]:
        """Map the paths that there are to their documents' ids."""
        return dict(
            self.connection.all(
                "SELECT path, id FROM documents WHERE path IN (SELECT value FROM json_each(?))",
                json.dumps(list(paths)),
            )
        )

    def entries(self, keys: Sequence[str]) -> list[TextEntry]:
        """Return the texts of keys, in that order; unknown keys are left out."""
        rows = self.connection.all(
            "SELECT path, text, metadata, title FROM documents"
            " WHERE path IN (SELECT value FROM json_each(?))",
            json.dumps([PREFIX + key for key in keys]),
        )
        found = {
            path.removeprefix(PREFIX): (text, json.loads(metadata), title)
            for path, text, metadata, title in rows
        }
        return [TextEntry(key, *found[key]) for key in keys if key in found]

    def entry_keys(self, most: int) -> list[str]:
        """Return the keys of the texts that came from no file, oldest first; -1: all."""
        rows = self.connection.all(
            "SELECT path FROM documents WHERE file = '' ORDER BY id LIMIT ?", most
        )
        return [row[0].removeprefix(PREFIX) for row in rows]

    def prepared(self, path: str) -> str | None:
        """Return how the document of a path was prepared; None if there is none."""
        row = self.connection.one("SELECT prepared FROM documents WHERE path = ?", path)
        return None if row is None else str(row[0])

    def placed(self) -> list[tuple[int, str]]:
        """Return the id and the file of each document that has one."""
        return self.connection.all("SELECT id, file FROM documents WHERE file <> ''")

    def in_file(self, file: str) -> dict[str, tuple[int, str, str]]:
        """Map the paths of a file's documents to (id, sha256, prepared)."""
        rows = self.connection.all(
            "SELECT path, id, sha256, prepared FROM documents WHERE file = ?", file
        )
        return {row[0]: row[1:] for row in rows}

    def sources(self) -> dict[str, str]:
        """Map each source to the file it names, which for a file of several is that file's."""
        return dict(self.connection.all("SELECT source, file FROM documents"))

    def rename(self, document_id: int, source: str) -> None:
        """Give a document another source."""
        self.connection.run("UPDATE documents SET source = ? WHERE id = ?", source, document_id)

    def text(self, document_id: int, start: int, end: int | None) -> str | None:
        """Return a span of a document's text; None if there is no such document."""
        length = -1 if end is None else max(0, end - start)
        row = self.connection.one(
            "SELECT CASE ?2 WHEN -1 THEN substr(text, ?1) ELSE substr(text, ?1, ?2) END"
            " FROM documents WHERE id = ?3",
            *(start + 1, length, document_id),
        )
        return None if row is None else str(row[0])

    def metadata(self, document_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Map documents to their own metadata over source, title and format."""
        rows = self.connection.all(
            "SELECT id, source, title, format, metadata FROM documents"
            " WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(list(document_ids)),
        )
        named = ("source", "title", "format")
        return {
            row[0]: {
                **(dict(zip(named, row[1:4], strict=True)) if row[3] != FORMAT else {}),
                **json.loads(row[4]),
            }
            for row in rows
        }

    def letters(self) -> tuple[int, int]:
        """Return how many Hangul and how many Latin letters all documents have."""
        row = self.connection.one("SELECT sum(hangul), sum(latin) FROM documents")
        return row[0] or 0, row[1] or 0

    # files

    def files(self) -> dict[str, tuple[str, str]]:
        """Map each file that is stored to the end to (sha256, prepared)."""
        rows = self.connection.all("SELECT path, sha256, prepared FROM files")
        return {row[0]: row[1:] for row in rows}

    def finish_file(self, path: str, sha256: str, prepared: str) -> None:
        """Note that all documents of a file are stored as it is now."""
        self.connection.run("REPLACE INTO files VALUES (?, ?, ?)", path, sha256, prepared)

    # chunks

    def count(self) -> int:
        """Return how many chunks there are."""
        return self._total("chunks")

    def mean_terms(self) -> float:
        """Return how many terms a chunk has on average; at least 1."""
        return max(1.0, self._total("terms") / max(1, self.count()))

    def _total(self, name: str) -> int:
        return int(self.connection.one("SELECT value FROM totals WHERE name = ?", name)[0])

    def text_hashes(self, chunk_ids: Sequence[int]) -> dict[int, bytes]:
        """Map chunks to the hash of their text."""
        rows = self.connection.all(
            "SELECT id, text_hash FROM chunks WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(list(chunk_ids)),
        )
        return dict(rows)

    def passages(self, scored: Sequence[tuple[int, float]]) -> list[Passage]:
        """Return the passages of chunk ids, in the order given; unknown ids are left out."""
        rows = self.connection.all(
            f"{_PASSAGE} WHERE c.id IN (SELECT value FROM json_each(?))",
            json.dumps([chunk_id for chunk_id, _ in scored]),
        )
        by_id = {row[0]: row for row in rows}
        return [_passage(by_id[i], score) for i, score in scored if i in by_id]

    def chunks(self, document_id: int) -> list[Passage]:
        """Return all passages of a document, in order."""
        rows = self.connection.all(f"{_PASSAGE} WHERE d.id = ? ORDER BY c.start", document_id)
        return [_passage(row, 0.0) for row in rows]

    # checks

    def problems(self) -> list[str]:
        """Return what is wrong inside the file; nothing if all is well."""
        connection = self.connection
        found = [row[0] for row in connection.all("PRAGMA quick_check") if row[0] != "ok"]
        found += self.words.problems()
        chunks, terms = connection.one("SELECT count(*), coalesce(sum(terms), 0) FROM chunks")
        for name, there in (("chunks", chunks), ("terms", terms)):
            if self._total(name) != there:
                found.append(f"{self._total(name)} {name} are counted, {there} are there")
        orphans = connection.one(
            "SELECT count(*) FROM vectors v WHERE NOT EXISTS"
            " (SELECT 1 FROM chunks c WHERE c.index_hash = v.index_hash)"
        )[0]
        if orphans:
            found.append(f"{orphans} vectors belong to no passage")
        wrong = connection.all("SELECT source FROM documents WHERE length(text) <> characters")
        found += [f"{row[0]}: its text is not as long as it was stored" for row in wrong]
        return found


def _document(row: tuple[Any, ...]) -> Document:
    return Document(*row[:-2], shares(*row[-2:]))  # type: ignore[call-arg]


def _passage(row: tuple[Any, ...], score: float) -> Passage:
    return replace(Passage(*row[:-1]), score=score, key=row[-1].removeprefix(PREFIX))


def shares(hangul: int, latin: int) -> dict[str, float]:
    """Return the share of letters by script: "ko" for Hangul, "en" for Latin."""
    total = hangul + latin
    if not total:
        return {}
    return {"ko": round(hangul / total, 4), "en": round(latin / total, 4)}
