"""The lexical side: which chunks hold a question's terms, by BM25.

SQLite's FTS5 holds the terms that the analyser made, separated by spaces. It weighs every
chunk that holds any of the terms, about a microsecond each, so a common word would make a
large collection slow: chunks are looked up by the rarest terms, as many as `MOST_POSTINGS`
allows, and the others only count for the chunks found (`rescoring`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from groundling.knowledge.connection import Connection

# SQLite takes 32,766 parameters; a query longer than this is not a question.
MOST_TERMS = 256
# Chunks weighed for one question, about a microsecond each.
MOST_POSTINGS = 12_000


class Words:
    """The full-text index of one knowledge base."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts: dict[str, int] = {}
        self._counted_at: object = None

    def put(self, rows: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Store the terms of chunks by their ids; part of the caller's transaction."""
        self._connection.many(
            "INSERT INTO terms (rowid, body) VALUES (?, ?)",
            [(chunk_id, " ".join(terms)) for chunk_id, terms in rows],
        )

    def delete(self, chunk_ids: Sequence[int]) -> None:
        """Remove chunks; part of the caller's transaction."""
        self._connection.many("DELETE FROM terms WHERE rowid = ?", [(i,) for i in chunk_ids])

    def search(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """Return the chunks with the terms and their BM25, best first; k1 = 1.2, b = 0.75.

        Its idf is all but 0 for a term that half of the chunks have, so such a term hardly
        counts, in a tiny collection too.
        """
        counts = self.counts(list(dict.fromkeys(terms)))
        if not (wanted := rarest(counts)):
            return []
        match = " OR ".join(quoted(term) for term in wanted)
        if counts[wanted[0]] > MOST_POSTINGS and len(counts) > 1:
            # All are common: where the two rarest stand together.
            match = " AND ".join(quoted(t) for t in sorted(counts, key=lambda t: counts[t])[:2])
        rows = self._connection.all(
            "SELECT rowid, -rank FROM terms WHERE terms MATCH ? ORDER BY rank LIMIT ?", match, k
        )
        return [(row[0], row[1]) for row in rows]

    def counts(self, terms: Sequence[str]) -> dict[str, int]:
        """Map each of the terms that occurs to the number of chunks it occurs in."""
        generation = self._connection.generation()
        if generation != self._counted_at or len(self._counts) > 100_000:
            self._counts, self._counted_at = {}, generation
        if unknown := [term for term in terms if term not in self._counts]:
            found = dict(
                self._connection.all(
                    "SELECT term, doc FROM term_counts"
                    " WHERE term IN (SELECT value FROM json_each(?))",
                    json.dumps(unknown),
                )
            )
            self._counts.update({term: found.get(term, 0) for term in unknown})
        return {term: self._counts[term] for term in terms if self._counts[term]}

    def bodies(self, chunk_ids: Sequence[int]) -> dict[int, list[str]]:
        """Map chunk ids to their terms, in order and with repetitions."""
        rows = self._connection.all(
            "SELECT rowid, body FROM terms WHERE rowid IN (SELECT value FROM json_each(?))",
            json.dumps(list(chunk_ids)),
        )
        return {row[0]: row[1].split(" ") for row in rows}

    def problems(self) -> list[str]:
        """Return where the index does not agree with the chunks."""
        found = []
        try:
            self._connection.run("INSERT INTO terms (terms) VALUES ('integrity-check')")
        except sqlite3.DatabaseError as error:
            found.append(f"full text: {error}")
        for query, what in (
            ("SELECT id FROM chunks EXCEPT SELECT rowid FROM terms", "not in full text"),
            ("SELECT rowid FROM terms EXCEPT SELECT id FROM chunks", "in full text alone"),
        ):
            if rows := self._connection.all(query):
                found.append(f"{len(rows)} passages are {what}")
        return found


def rarest(counts: Mapping[str, int]) -> list[str]:
    """Return the terms to look up, rarest first: at least one, and what `MOST_POSTINGS` allows."""
    chosen: list[str] = []
    room = MOST_POSTINGS
    for term in sorted(counts, key=lambda term: counts[term])[:MOST_TERMS]:
        if chosen and counts[term] > room:
            break
        chosen.append(term)
        room -= counts[term]
    return chosen


def quoted(term: str) -> str:
    """Write a term as FTS5 takes it whatever is in it."""
    return '"' + term.replace('"', '""') + '"'
