"""Rows of `evaluation.sqlite`, and the values that they are."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from groundling.evaluation.example import Dataset, Example, Fields

DATASET = """
    SELECT datasets.id, uuid, datasets.name, description, data_type, metadata, inputs_schema,
        outputs_schema, datasets.created, modified, versions.name, versions.examples
    FROM datasets JOIN versions ON versions.id =
        (SELECT max(id) FROM versions WHERE versions.dataset = datasets.id)
"""
EXAMPLE = """
    SELECT examples.uuid, datasets.uuid, revisions.inputs, revisions.outputs,
        revisions.metadata, revisions.split, examples.created, revisions.modified,
        examples.source_run, revisions.digest, examples.id, datasets.id
    FROM revisions JOIN examples ON examples.id = revisions.example
        JOIN datasets ON datasets.id = revisions.dataset
"""
Keyed = tuple[Example, int, int]


def dataset_of(row: Any) -> Dataset:
    """Make a data set of a row of `DATASET`."""
    return Dataset(
        id=UUID(bytes=row[1]),
        name=row[2],
        description=row[3],
        data_type=row[4],
        metadata=json.loads(row[5]),
        inputs_schema=_loads(row[6]),
        outputs_schema=_loads(row[7]),
        created=row[8],
        modified=row[9],
        version=row[10],
        example_count=row[11],
    )


def example_of(row: Any) -> Example:
    """Make an example of a row of `EXAMPLE`."""
    return Example(
        id=UUID(bytes=row[0]),
        dataset_id=UUID(bytes=row[1]),
        inputs=json.loads(row[2]),
        outputs=_loads(row[3]),
        metadata=json.loads(row[4]),
        split=json.loads(row[5]),
        created=row[6],
        modified=row[7],
        source_run_id=UUID(bytes=row[8]) if row[8] else None,
        digest=row[9].hex(),
    )


def keyed_example_of(row: Any) -> Keyed:
    """Return the example, its number and the number of its data set."""
    return example_of(row), row[10], row[11]


def _loads(text: str | None) -> Fields | None:
    return None if text is None else json.loads(text)
