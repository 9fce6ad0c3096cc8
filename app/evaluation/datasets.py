"""`evaluation.sqlite`: data sets, each change of which makes a new version.

    with DatasetStore(home / "evaluation.sqlite") as store:
        handbook = store.create("handbook")
        store.add(handbook.id, [NewExample({"question": "…"}, {"answer": "…"})])
        before = store.get("handbook").version
        store.remove([store.examples("handbook")[0].id])
        store.examples("handbook", as_of=before)   # as if nothing had been removed

One object serves many threads, and many processes may have the same file open.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Self
from uuid import UUID

from groundling.database import NewerLayout, connect, migrate, transaction
from groundling.errors import EvaluationError
from groundling.evaluation.as_of import LATEST, When, find_version, is_prefix
from groundling.evaluation.edition import Edition, no_example
from groundling.evaluation.example import (
    Dataset,
    Example,
    ExampleChange,
    NewExample,
    Version,
    canonical,
    version_name,
)
from groundling.evaluation.migrations import MIGRATIONS
from groundling.evaluation.names import as_uuid, check_name
from groundling.evaluation.rows import DATASET, EXAMPLE, dataset_of, example_of
from groundling.evaluation.schemas import Checker

__all__ = ["Dataset", "DatasetStore", "Example", "ExampleChange", "NewExample", "Version", "When"]

FILE = "evaluation.sqlite"
DATA_TYPES = ("kv", "llm", "chat")
Which = UUID | str
_STANDING = f"""{EXAMPLE} JOIN versions ON versions.dataset = datasets.id
    WHERE versions.id = ? AND revisions.since <= versions.id
        AND (revisions.until IS NULL OR revisions.until > versions.id)
"""
_OF_SPLITS = """ AND EXISTS (SELECT 1 FROM json_each(revisions.split)
    WHERE value IN (SELECT value FROM json_each(?)))"""
_OF_IDS = " AND lower(hex(examples.uuid)) IN (SELECT value FROM json_each(?))"
_Datasets = list[Dataset]  # `list` is a method of the store
_Examples = list[Example]
_Versions = list[Version]


class DatasetStore:
    """One `evaluation.sqlite`.

    Args:
        file: where it is; made if it is not there.

    Raises:
        EvaluationError: it cannot be opened, or is damaged.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = RLock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = connect(file)
            migrate(self._db, MIGRATIONS)
        except NewerLayout as newer:
            raise EvaluationError(
                f"{file} was written by a newer version of Groundling ({newer}).",
                hint="Update Groundling.",
            ) from newer
        except (sqlite3.Error, OSError) as error:
            raise EvaluationError(
                f"{file} cannot be opened: {error}",
                hint="Move it away to start with no data sets.",
            ) from error

    # data sets

    def create(
        self,
        name: str,
        description: str | None = None,
        id: UUID | None = None,
        data_type: str = "kv",
        metadata: Mapping[str, Any] | None = None,
        inputs_schema: Mapping[str, Any] | None = None,
        outputs_schema: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """Make a data set without examples.

        Raises:
            EvaluationError: the name is bad or taken, or a schema is wrong.
        """
        check_name(name)
        if data_type not in DATA_TYPES:
            raise EvaluationError(
                f"There is no data type {data_type}.", hint=f"One of: {', '.join(DATA_TYPES)}."
            )
        Checker(inputs_schema, outputs_schema)
        now = _now()
        with self._writing() as db:
            if self._row("datasets.name = ?", name) is not None:
                raise EvaluationError(
                    f"There is a data set {name} already.",
                    hint=f"groundling dataset show {name}, or take another name.",
                )
            new = id or uuid.uuid4()
            if self._row("uuid = ?", new.bytes) is not None:
                raise EvaluationError(
                    f"There is a data set with the id {new} already.",
                    hint="Leave the id out to get a new one.",
                )
            number = db.execute(
                "INSERT INTO datasets (uuid, name, description, data_type, metadata, "
                "inputs_schema, outputs_schema, created, modified) VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    new.bytes,
                    name,
                    description,
                    data_type,
                    canonical("metadata", metadata or {}),
                    _schema(inputs_schema),
                    _schema(outputs_schema),
                    now,
                    now,
                ),
            ).lastrowid
            db.execute(
                "INSERT INTO versions (dataset, name, created, examples) VALUES (?, ?, ?, 0)",
                (number, version_name([]), now),
            )
        return self.get(new)

    def get(self, which: Which) -> Dataset:
        """Return a data set by its name or id.

        Raises:
            EvaluationError: there is none.
        """
        with self._lock:
            return dataset_of(self._known(which))

    def list(
        self, name_contains: str | None = None, limit: int = 100, offset: int = 0
    ) -> _Datasets:
        """Return the data sets, the one last changed first."""
        sql = DATASET + " WHERE ? IS NULL OR instr(lower(datasets.name), lower(?)) > 0 "
        rows = self._all(
            sql + "ORDER BY modified DESC, datasets.id DESC LIMIT ? OFFSET ?",
            (name_contains, name_contains, limit, offset),
        )
        return [dataset_of(row) for row in rows]

    def update(
        self,
        which: Which,
        *,
        name: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        inputs_schema: Mapping[str, Any] | None = None,
        outputs_schema: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """Change what is said about a data set; what is None stays as it is.

        A schema holds for the examples there are, too.

        Raises:
            EvaluationError: there is no such data set; the name is bad or taken; an example
                does not keep to a schema.
        """
        with self._writing() as db:
            known = self.get(which)
            if name is not None and name != known.name:
                check_name(name)
                if self._row("datasets.name = ?", name) is not None:
                    raise EvaluationError(
                        f"There is a data set {name} already.", hint="Take another name."
                    )
            checker = Checker(
                known.inputs_schema if inputs_schema is None else inputs_schema,
                known.outputs_schema if outputs_schema is None else outputs_schema,
            )
            if inputs_schema is not None or outputs_schema is not None:
                for example in self.examples(known.id):
                    checker.check(f"Example {example.id}", example.inputs, example.outputs)
            db.execute(
                "UPDATE datasets SET name = coalesce(?, name), "
                "description = coalesce(?, description), metadata = coalesce(?, metadata), "
                "inputs_schema = coalesce(?, inputs_schema), "
                "outputs_schema = coalesce(?, outputs_schema), modified = ? WHERE uuid = ?",
                (
                    name,
                    description,
                    None if metadata is None else canonical("metadata", metadata),
                    _schema(inputs_schema),
                    _schema(outputs_schema),
                    _now(),
                    known.id.bytes,
                ),
            )
        return self.get(known.id)

    def delete(self, which: Which) -> None:
        """Delete a data set with all its versions; runs that answered it stay.

        Raises:
            EvaluationError: there is no such data set.
        """
        with self._writing() as db:
            db.execute("DELETE FROM datasets WHERE uuid = ?", (self.get(which).id.bytes,))

    # examples

    def add(self, which: Which, examples: Sequence[NewExample]) -> _Examples:
        """Add examples, all of them or none, as one new version.

        Raises:
            EvaluationError: there is no such data set; an example cannot be written as JSON,
                does not keep to the schema, or has the id of another.
        """
        with self._writing() as db:
            number, edition = self._known(which)[0], Edition(db)
            made = [
                edition.add(number, f"Example {place}", new)
                for place, new in enumerate(examples, start=1)
            ]
            edition.finish()
        return self._by_ids(made)

    def example(self, example_id: UUID, as_of: When | None = None) -> Example:
        """Return an example as it stands, or stood.

        Raises:
            EvaluationError: there is none of that id in that version.
        """
        with self._lock:
            if as_of is None:
                found = self._by_ids([example_id])
            else:
                row = self._all(
                    "SELECT datasets.uuid FROM examples JOIN datasets "
                    "ON datasets.id = examples.dataset WHERE examples.uuid = ?",
                    (example_id.bytes,),
                )
                of = [UUID(bytes=each[0]) for each in row]
                found = [e for d in of for e in self.examples(d, as_of=as_of, ids=[example_id])]
        if not found:
            raise no_example(example_id)
        return found[0]

    def change(
        self,
        example_id: UUID,
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        split: Sequence[str] | None = None,
    ) -> Example:
        """Change an example; what is None stays as it is.

        Raises:
            EvaluationError: there is none of that id; it cannot be written as JSON, or does
                not keep to the schema.
        """
        return self.change_all([ExampleChange(example_id, inputs, outputs, metadata, split)])[0]

    def change_all(self, changes: Sequence[ExampleChange]) -> _Examples:
        """Change several examples, all of them or none, as one new version of each data set.

        Raises:
            EvaluationError: as `change`.
        """
        with self._writing() as db:
            edition = Edition(db)
            for change in changes:
                edition.change(change)
            edition.finish()
        return self._by_ids([change.id for change in changes])

    def remove(self, example_ids: Sequence[UUID]) -> int:
        """Take examples out; earlier versions keep them. Return how many that were.

        Raises:
            EvaluationError: there is none of one of the ids; then none is removed.
        """
        wanted = dict.fromkeys(example_ids)
        with self._writing() as db:
            edition = Edition(db)
            for example_id in wanted:
                edition.remove(example_id)
            edition.finish()
        return len(wanted)

    def examples(
        self,
        which: Which,
        *,
        as_of: When | None = None,
        splits: Sequence[str] = (),
        ids: Sequence[UUID] = (),
        metadata: Mapping[str, Any] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> _Examples:
        """Return examples in the order in which they were added.

        Args:
            as_of: a version's name or the beginning of one, a tag, or a time.
            splits: only of these.
            ids: only these.
            metadata: only those whose metadata have these entries.

        Raises:
            EvaluationError: there is no such data set or version.
        """
        with self._lock:
            version, _ = self._version(self._known(which), as_of)
            narrowed = ""
            parameters: list[Any] = [version]
            if splits:
                narrowed += _OF_SPLITS
                parameters.append(json.dumps([*splits]))
            if ids:
                narrowed += _OF_IDS
                parameters.append(json.dumps([each.hex for each in ids]))
            sql = f"{_STANDING}{narrowed} ORDER BY examples.id"
            if not metadata:
                sql += " LIMIT ? OFFSET ?"
                parameters += [-1 if limit is None else limit, offset]
            rows = self._all(sql, parameters)
        found = [example_of(row) for row in rows]
        if not metadata:
            return found
        found = [each for each in found if _holds(each.metadata, metadata)]
        return found[offset:] if limit is None else found[offset : offset + limit]

    # versions

    def versions(self, which: Which) -> _Versions:
        """Return the versions of a data set, the newest first.

        Raises:
            EvaluationError: there is no such data set.
        """
        with self._lock:
            number = self._known(which)[0]
            rows = self._all(
                "SELECT versions.id, name, created, examples, "
                "(SELECT json_group_array(tag) FROM tags WHERE version = versions.id) "
                "FROM versions WHERE dataset = ? ORDER BY id DESC",
                (number,),
            )
        return [
            Version(name, created, count, ([] if place else [LATEST]) + json.loads(tags))
            for place, (_, name, created, count, tags) in enumerate(rows)
        ]

    def version(self, which: Which, as_of: When | None = None) -> Version:
        """Return the version that stood at a time, or has a name or tag; default: the newest.

        Raises:
            EvaluationError: there is no such data set or version.
        """
        with self._lock:
            _, created = self._version(self._known(which), as_of)
            return next(each for each in self.versions(which) if each.created == created)

    def tag(self, which: Which, as_of: When, tag: str) -> None:
        """Give a version a name that people can read; another version loses it.

        Raises:
            EvaluationError: there is no such data set or version, or the tag is bad.
        """
        check_name(tag, "tag")
        if tag == LATEST or is_prefix(tag):
            raise EvaluationError(f"{tag} cannot be a tag.", hint="Take another word.")
        with self._writing() as db:
            row = self._known(which)
            version, _ = self._version(row, as_of)
            db.execute("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", (row[0], tag, version))

    def close(self) -> None:
        """Close the file; the object is of no use after that."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # inside

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with transaction(self._db):
                    yield self._db
            except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
                raise EvaluationError(
                    f"{self.file} cannot be written: {error}",
                    hint="Nothing of this change was kept; try again when that is mended.",
                ) from error

    def _all(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        with self._lock:
            return self._db.execute(sql, parameters).fetchall()

    def _row(self, where: str, *parameters: Any) -> Any:
        rows = self._all(f"{DATASET} WHERE {where}", parameters)
        return rows[0] if rows else None

    def _known(self, which: Which) -> Any:
        id = which if isinstance(which, UUID) else as_uuid(which)
        row = (
            self._row("uuid = ?", id.bytes)
            if id is not None
            else self._row("datasets.name = ?", which)
        )
        if row is None:
            raise EvaluationError(
                f"There is no data set {which}.", hint="groundling dataset list shows them."
            )
        return row

    def _by_ids(self, ids: Sequence[UUID]) -> _Examples:
        found: dict[UUID, Example] = {}
        for start in range(0, len(ids), 500):
            part = [each.bytes for each in ids[start : start + 500]]
            marks = ",".join("?" * len(part))
            where = f"examples.uuid IN ({marks}) AND revisions.until IS NULL"
            for row in self._all(f"{EXAMPLE} WHERE {where}", part):
                example = example_of(row)
                found[example.id] = example
        return [found[each] for each in ids if each in found]

    def _version(self, row: Any, as_of: When | None) -> tuple[int, int]:
        return find_version(self._db, row[0], row[2], as_of)


def _holds(there: Any, wanted: Any) -> bool:
    """Tell whether a value has all the entries of another, at any depth."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            key in there and _holds(there[key], value) for key, value in wanted.items()
        )
    return bool(there == wanted)


def _schema(given: Mapping[str, Any] | None) -> str | None:
    return None if given is None else canonical("A schema", given)


def _now() -> int:
    return time.time_ns() // 1000
