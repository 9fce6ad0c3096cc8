"""The layout of `evaluation.sqlite`; append only, see `groundling.database`.

An example's content is never overwritten: `revisions` says from which version on (`since`) and
before which one (`until`) it stood so. Times are microseconds since 1970.
"""

from __future__ import annotations

from sqlite3 import Connection


def m001_datasets(db: Connection) -> None:
    """Data sets, their versions, and what each example said in which of them."""
    statements = """
        CREATE TABLE datasets (
            id INTEGER PRIMARY KEY,
            uuid BLOB NOT NULL UNIQUE,
            name TEXT NOT NULL UNIQUE,
            description TEXT,
            data_type TEXT NOT NULL,
            metadata TEXT NOT NULL,
            inputs_schema TEXT,
            outputs_schema TEXT,
            created INTEGER NOT NULL,
            modified INTEGER NOT NULL
        );
        CREATE TABLE versions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            created INTEGER NOT NULL,
            examples INTEGER NOT NULL
        );
        CREATE INDEX versions_dataset ON versions (dataset, created);
        CREATE TABLE tags (
            dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
            tag TEXT NOT NULL,
            version INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
            PRIMARY KEY (dataset, tag)
        );
        CREATE TABLE examples (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            uuid BLOB NOT NULL UNIQUE,
            dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
            source_run BLOB,
            created INTEGER NOT NULL
        );
        CREATE INDEX examples_dataset ON examples (dataset);
        CREATE TABLE revisions (
            example INTEGER NOT NULL REFERENCES examples (id) ON DELETE CASCADE,
            dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
            since INTEGER NOT NULL,
            until INTEGER,
            digest BLOB NOT NULL,
            inputs TEXT NOT NULL,
            outputs TEXT,
            metadata TEXT NOT NULL,
            split TEXT NOT NULL,
            modified INTEGER NOT NULL,
            PRIMARY KEY (example, since)
        );
        CREATE INDEX revisions_now ON revisions (dataset, digest) WHERE until IS NULL;
        CREATE INDEX revisions_dataset ON revisions (dataset, since)
    """
    for statement in statements.split(";\n"):
        db.execute(statement)


MIGRATIONS = (m001_datasets,)
