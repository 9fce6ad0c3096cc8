"""One change of data sets: it begins a new version of each that it touches, and names it."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from uuid import UUID

from groundling.errors import EvaluationError
from groundling.evaluation.example import (
    Content,
    Dataset,
    ExampleChange,
    NewExample,
    version_name,
)
from groundling.evaluation.rows import DATASET, EXAMPLE, Keyed, dataset_of, keyed_example_of
from groundling.evaluation.schemas import Checker


class Edition:
    """Writes examples inside a transaction; `finish` comes last.

    Args:
        db: the connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._now = time.time_ns() // 1000
        self._versions: dict[int, int] = {}
        self._checkers: dict[int, Checker] = {}

    def add(self, dataset: int, what: str, new: NewExample) -> UUID:
        """Add an example to a data set.

        Args:
            dataset: its number.
            what: what the example is called in messages.

        Raises:
            EvaluationError: it cannot be written as JSON, does not keep to the schema, or has
                the id of another.
        """
        content = self._content(dataset, what, new)
        id = new.id or uuid.uuid4()
        source = new.source_run_id.bytes if new.source_run_id else None
        row = self._db.execute(
            "SELECT id, dataset, EXISTS (SELECT 1 FROM revisions WHERE example = examples.id "
            "AND until IS NULL) FROM examples WHERE uuid = ?",
            (id.bytes,),
        ).fetchone()
        if row is not None and (row[2] or row[1] != dataset):
            raise EvaluationError(
                f"{what}: there is one with the id {id} already.",
                hint="Leave the id out to get a new one.",
            )
        # One that was taken out comes back with its id.
        key = (
            row[0]
            if row is not None
            else self._db.execute(
                "INSERT INTO examples (uuid, dataset, source_run, created) VALUES (?, ?, ?, ?) "
                "RETURNING id",
                (id.bytes, dataset, source, new.created or self._now),
            ).fetchone()[0]
        )
        self._open(key, dataset, content)
        return id

    def change(self, change: ExampleChange) -> None:
        """Change an example; one that is as it should be already makes no version.

        Raises:
            EvaluationError: there is none of that id; or as `add`.
        """
        known, key, dataset = self._standing(change.id)
        changed = NewExample(
            known.inputs if change.inputs is None else change.inputs,
            known.outputs if change.outputs is None else change.outputs,
            known.metadata if change.metadata is None else change.metadata,
            known.split if change.split is None else change.split,
        )
        content = self._content(dataset, f"Example {change.id}", changed)
        if content.digest.hex() != known.digest:
            self._close(key, dataset)
            self._open(key, dataset, content)

    def remove(self, example_id: UUID) -> None:
        """Take an example out.

        Raises:
            EvaluationError: there is none of that id.
        """
        _, key, dataset = self._standing(example_id)
        self._close(key, dataset)

    def finish(self) -> None:
        """Name the versions that came to be."""
        for dataset, version in self._versions.items():
            digests = [
                row[0]
                for row in self._db.execute(
                    "SELECT digest FROM revisions WHERE dataset = ? AND until IS NULL", (dataset,)
                )
            ]
            self._db.execute(
                "UPDATE versions SET name = ?, examples = ? WHERE id = ?",
                (version_name(digests), len(digests), version),
            )
            self._db.execute(
                "UPDATE datasets SET modified = (SELECT created FROM versions WHERE id = ?) "
                "WHERE id = ?",
                (version, dataset),
            )

    def _version(self, dataset: int) -> int:
        if dataset not in self._versions:
            # Times of versions only grow, whatever the clock does.
            row = self._db.execute(
                "INSERT INTO versions (dataset, name, created, examples) SELECT ?1, '', "
                "max(?2, max(created) + 1), 0 FROM versions WHERE dataset = ?1 RETURNING id",
                (dataset, self._now),
            ).fetchone()
            self._versions[dataset] = row[0]
        return self._versions[dataset]

    def _content(self, dataset: int, what: str, new: NewExample) -> Content:
        if dataset not in self._checkers:
            row = self._db.execute(f"{DATASET} WHERE datasets.id = ?", (dataset,)).fetchone()
            self._checkers[dataset] = checker(dataset_of(row))
        try:
            content = Content.of(new.inputs, new.outputs, new.metadata, new.split)
        except EvaluationError as error:
            raise EvaluationError(f"{what}: {error}", hint=error.hint) from error
        outputs = None if content.outputs is None else json.loads(content.outputs)
        self._checkers[dataset].check(what, json.loads(content.inputs), outputs)
        return content

    def _standing(self, example_id: UUID) -> Keyed:
        row = self._db.execute(
            f"{EXAMPLE} WHERE examples.uuid = ? AND revisions.until IS NULL", (example_id.bytes,)
        ).fetchone()
        if row is None:
            raise no_example(example_id)
        return keyed_example_of(row)

    def _open(self, key: int, dataset: int, content: Content) -> None:
        # An example may be changed twice in one version; what stood between is nobody's.
        self._db.execute(
            "INSERT OR REPLACE INTO revisions VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?, ?)",
            (
                key,
                dataset,
                self._version(dataset),
                content.digest,
                content.inputs,
                content.outputs,
                content.metadata,
                content.split,
                self._now,
            ),
        )

    def _close(self, key: int, dataset: int) -> None:
        self._db.execute(
            "UPDATE revisions SET until = ? WHERE example = ? AND until IS NULL",
            (self._version(dataset), key),
        )


def checker(dataset: Dataset) -> Checker:
    """Return what checks the examples of a data set."""
    return Checker(dataset.inputs_schema, dataset.outputs_schema)


def no_example(example_id: UUID) -> EvaluationError:
    """Say that there is no such example."""
    return EvaluationError(
        f"There is no example {example_id}.", hint="groundling dataset show NAME lists them."
    )
