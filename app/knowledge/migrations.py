"""The layout of `knowledge.sqlite`, one function for each version of it.

Append only: a function that has been released is never changed; see `groundling.database`.
"""

from __future__ import annotations

from sqlite3 import Connection


def m001_documents(db: Connection) -> None:
    """Documents with their text, chunks as offsets into it, terms, vectors by text."""
    statements = """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE documents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            path TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            format TEXT NOT NULL,
            pages INTEGER NOT NULL,
            characters INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            added_at TEXT NOT NULL,
            chunking TEXT NOT NULL,
            hangul INTEGER NOT NULL,
            latin INTEGER NOT NULL,
            text TEXT NOT NULL
        );
        CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
            start INTEGER NOT NULL,
            end INTEGER NOT NULL,
            page INTEGER,
            heading TEXT NOT NULL,
            text_hash BLOB NOT NULL,
            index_hash BLOB NOT NULL
        );
        CREATE INDEX chunks_document ON chunks (document_id);
        CREATE INDEX chunks_index_hash ON chunks (index_hash);
        CREATE TABLE vectors (
            space TEXT NOT NULL,
            index_hash BLOB NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (index_hash, space)
        );
        CREATE VIRTUAL TABLE terms USING fts5 (
            body, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
        );
        CREATE VIRTUAL TABLE term_counts USING fts5vocab (terms, row)
    """
    for statement in statements.split(";\n"):
        db.execute(statement)


MIGRATIONS = (m001_documents,)
