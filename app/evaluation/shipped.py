"""Data sets that come with the package; each is there when it is first asked for.

Their ids, and those of their examples, are the same on every machine, so that experiments of
two machines can be told to have run on the same.
"""

from __future__ import annotations

import uuid
from importlib import resources
from uuid import UUID

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore
from groundling.evaluation.example import (
    Content,
    Dataset,
    ExampleChange,
    NewExample,
    version_name,
)
from groundling.evaluation.reading import read_examples

SHIPPED = {
    "handbook": (
        "handbook-questions.jsonl",
        "Questions about the sample handbook, English and Korean (CC0-1.0).",
    ),
}
_HERE = uuid.uuid5(uuid.NAMESPACE_DNS, "datasets.groundling")
_SHIPPED_AS = "shipped_version"


def dataset_of(store: DatasetStore, name: str) -> Dataset:
    """Return a data set by name or id; one that is shipped is imported first.

    Where a newer package ships other questions, they are taken over, unless the data set was
    changed here.

    Raises:
        EvaluationError: there is none of that name.
    """
    if name not in SHIPPED:
        return store.get(name)
    new = _examples(name)
    version = version_name(
        Content.of(each.inputs, each.outputs, each.metadata, each.split).digest for each in new
    )
    try:
        known = store.get(name)
    except EvaluationError:
        known = store.create(name, SHIPPED[name][1], id=_id(name))
        store.add(known.id, new)
        return store.update(known.id, metadata={_SHIPPED_AS: version})
    untouched = known.metadata.get(_SHIPPED_AS) == known.version
    if not untouched or known.version == version:
        return known
    _take_over(store, known.id, new)
    return store.update(known.id, metadata={**known.metadata, _SHIPPED_AS: version})


def _take_over(store: DatasetStore, dataset: UUID, new: list[NewExample]) -> None:
    held = {example.id for example in store.examples(dataset)}
    wanted = {each.id: each for each in new if each.id is not None}
    store.remove([each for each in held if each not in wanted])
    store.change_all(
        [
            ExampleChange(id, each.inputs, each.outputs, each.metadata, each.split)
            for id, each in wanted.items()
            if id in held
        ]
    )
    store.add(dataset, [each for id, each in wanted.items() if id not in held])


def _examples(name: str) -> list[NewExample]:
    place = resources.files("groundling.data") / SHIPPED[name][0]
    with resources.as_file(place) as file:
        read = list(read_examples(file))
    made = []
    for line, each in read:
        assert isinstance(each, NewExample), f"{SHIPPED[name][0]}:{line}: {each}"
        key = str((each.metadata or {})["id"])
        made.append(
            NewExample(
                each.inputs,
                each.outputs,
                each.metadata,
                each.split,
                id=uuid.uuid5(_id(name), key),
            )
        )
    return made


def _id(name: str) -> UUID:
    return uuid.uuid5(_HERE, name)
