"""Vectors as they are committed: by the hash of their text, and a log of what changed.

A text that moved, or that stands in two documents, is embedded once. What FAISS holds is
made from these rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from groundling.knowledge.connection import Connection
from groundling.knowledge.rows import Waiting

_KEPT_FROM = "changes_kept_from"


class VectorRows:
    """The vectors of one knowledge base; a space is named by `models.embedder.space`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def waiting(self, space: str) -> list[Waiting]:
        """Return the chunks with no vector in a space, each text once, by document."""
        rows = self._connection.all(
            "SELECT c.document_id, c.start, c.end, c.heading, d.title, c.index_hash"
            " FROM chunks c JOIN documents d ON d.id = c.document_id"
            " WHERE NOT EXISTS (SELECT 1 FROM vectors v"
            " WHERE v.space = ? AND v.index_hash = c.index_hash)"
            " GROUP BY c.index_hash ORDER BY c.document_id, c.start",
            space,
        )
        return [Waiting(*row) for row in rows]

    def put(self, space: str, hashes: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Commit the vectors of texts, one row for each hash."""
        pairs = zip(hashes, vectors, strict=True)
        with self._connection.transaction():
            self._connection.many(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)",
                [(space, text_hash, vector.astype("<f4").tobytes()) for text_hash, vector in pairs],
            )
            self._connection.many(
                "INSERT INTO changes (chunk_id) SELECT id FROM chunks WHERE index_hash = ?",
                [(text_hash,) for text_hash in hashes],
            )

    def delete_unused(self, hashes: Sequence[bytes]) -> None:
        """Remove vectors whose text stands nowhere any more; part of a transaction."""
        self._connection.many(
            "DELETE FROM vectors WHERE index_hash = ?1"
            " AND NOT EXISTS (SELECT 1 FROM chunks WHERE index_hash = ?1)",
            [(text_hash,) for text_hash in hashes],
        )

    def changed(self, chunk_ids: Sequence[int]) -> None:
        """Log that chunks came or went; part of the caller's transaction."""
        self._connection.many(
            "INSERT INTO changes (chunk_id) VALUES (?)", [(chunk_id,) for chunk_id in chunk_ids]
        )

    def count(self, space: str) -> int:
        """Return how many chunks have a vector in the space."""
        row = self._connection.one(
            "SELECT count(*) FROM chunks c WHERE EXISTS"
            " (SELECT 1 FROM vectors v WHERE v.index_hash = c.index_hash AND v.space = ?)",
            space,
        )
        return int(row[0])

    def ids(self, space: str) -> NDArray[np.int64]:
        """Return the ids of the chunks that have a vector in the space, in order."""
        rows = self._connection.all(
            "SELECT c.id FROM chunks c JOIN vectors v ON v.index_hash = c.index_hash"
            " WHERE v.space = ? ORDER BY c.id",
            space,
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def get(self, space: str, chunk_ids: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return (chunk id, vector as little-endian float32) for the ids that have one."""
        return self._connection.all(
            "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.index_hash = c.index_hash"
            " WHERE v.space = ? AND c.id IN (SELECT value FROM json_each(?))",
            *(space, json.dumps(list(chunk_ids))),
        )

    def batches(self, space: str, size: int) -> Iterator[list[tuple[int, bytes]]]:
        """Yield all of a space by chunk id, so many at a time."""
        last = -1
        while rows := self._connection.all(
            "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.index_hash = c.index_hash"
            " WHERE c.id > ? AND v.space = ? ORDER BY c.id LIMIT ?",
            *(last, space, size),
        ):
            yield rows
            last = rows[-1][0]

    def drop_other_spaces(self, space: str) -> None:
        """Let go of the vectors of other embedders."""
        self._connection.run("DELETE FROM vectors WHERE space <> ?", space)

    # the log

    def sequence(self) -> int:
        """Return the number of the newest change; 0 before the first."""
        row = self._connection.one("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
        return int(row[0]) if row else 0

    def since(self, sequence: int) -> list[int] | None:
        """Return the chunks that changed after a change; None if that is no longer known."""
        if sequence < int(self._connection.get(_KEPT_FROM) or 0):
            return None
        rows = self._connection.all(
            "SELECT DISTINCT chunk_id FROM changes WHERE sequence > ?", sequence
        )
        return [row[0] for row in rows]

    def forget(self, sequence: int) -> None:
        """Drop the log up to a change, which an index on the disk holds."""
        with self._connection.transaction():
            self._connection.run("DELETE FROM changes WHERE sequence <= ?", sequence)
            self._connection.put(_KEPT_FROM, str(sequence))
