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


def m002_files_and_changes(db: Connection) -> None:
    """Files of several documents, texts with metadata, totals, and a log of changes.

    `changes` lets an index in memory or on the disk follow in time proportional to what
    changed; its rows are dropped once the index on the disk has them.
    """
    statements = """
        ALTER TABLE documents RENAME COLUMN chunking TO prepared;
        ALTER TABLE documents ADD COLUMN file TEXT NOT NULL DEFAULT '';
        ALTER TABLE documents ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
        UPDATE documents SET file = path;
        CREATE INDEX documents_file ON documents (file, source);
        CREATE TABLE files (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, prepared TEXT NOT NULL);
        ALTER TABLE chunks ADD COLUMN terms INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
        INSERT INTO totals SELECT 'chunks', count(*) FROM chunks;
        INSERT INTO totals SELECT 'terms', 0;
        CREATE TABLE changes (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            chunk_id INTEGER NOT NULL
        )
    """
    for statement in statements.split(";\n"):
        db.execute(statement)


MIGRATIONS = (m001_documents, m002_files_and_changes)
