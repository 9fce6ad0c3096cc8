"""Data sets and examples as values, and the hash that names what they hold.

A version's name is the SHA-256 of the sorted digests of its examples, so that it does not
depend on their order, their ids or the machine. An example's digest is the SHA-256 of its
inputs, outputs, metadata and splits as canonical JSON: sorted keys, no white space, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from groundling.errors import EvaluationError

Fields = dict[str, Any]
DEFAULT_SPLIT = "base"
_KINDS = {type(None): "nothing", str: "a text", int: "a number", float: "a number", bool: "a truth"}


@dataclass(frozen=True)
class Dataset:
    """A named set of examples; times are microseconds since 1970.

    Args:
        data_type: `kv`, `llm` or `chat`, as LangSmith has it.
        inputs_schema: JSON schema that the inputs of every example keep to.
        modified: when it, or an example of it, was last changed.
        version: the newest version's name.
        example_count: how many examples that has.
    """

    id: UUID
    name: str
    description: str | None
    data_type: str
    metadata: Fields
    inputs_schema: Fields | None
    outputs_schema: Fields | None
    created: int
    modified: int
    version: str
    example_count: int


@dataclass(frozen=True)
class Version:
    """How a data set stood from `created` on, until the next one."""

    name: str
    created: int
    example_count: int
    tags: list[str]


@dataclass(frozen=True)
class NewExample:
    """An example that is to be added.

    Args:
        inputs: what the graph is given.
        outputs: what it should answer, where that is known.
        split: parts of the data set that it belongs to.
        source_run_id: the run that it was made from.
        id: default: a new one.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    split: Sequence[str] = (DEFAULT_SPLIT,)
    source_run_id: UUID | None = None
    id: UUID | None = None
    created: int | None = None


@dataclass(frozen=True)
class ExampleChange:
    """What is to be changed of an example; what is None stays as it is."""

    id: UUID
    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    split: Sequence[str] | None = None


@dataclass(frozen=True)
class Example:
    """An example as it stood in some version; times are microseconds since 1970."""

    id: UUID
    dataset_id: UUID
    inputs: Fields
    outputs: Fields | None
    metadata: Fields
    split: list[str]
    created: int
    modified: int
    source_run_id: UUID | None = None
    digest: str = field(default="", compare=False)


@dataclass(frozen=True)
class Content:
    """The canonical JSON of an example, as it is hashed and stored."""

    inputs: str
    outputs: str | None
    metadata: str
    split: str

    @classmethod
    def of(
        cls,
        inputs: object,
        outputs: object = None,
        metadata: object = None,
        split: Sequence[str] = (DEFAULT_SPLIT,),
    ) -> Content:
        """Write an example's parts as JSON.

        Raises:
            EvaluationError: a part is no mapping, or has something that JSON cannot say.
        """
        splits = [split] if isinstance(split, str) else list(split)
        if not splits or not all(isinstance(each, str) and each for each in splits):
            raise EvaluationError(
                f"The splits of an example are names, not {splits!r}.",
                hint=f'Leave them out for "{DEFAULT_SPLIT}".',
            )
        return cls(
            canonical("inputs", inputs),
            None if outputs is None else canonical("outputs", outputs),
            canonical("metadata", {} if metadata is None else metadata),
            _dumps(sorted(set(splits))),
        )

    @property
    def digest(self) -> bytes:
        """Return what the content is known by, 32 bytes."""
        whole = [self.inputs, self.outputs, self.metadata, self.split]
        return hashlib.sha256(_dumps(whole).encode()).digest()


def canonical(what: str, value: object) -> str:
    """Write a mapping as canonical JSON.

    Args:
        what: its name in messages.

    Raises:
        EvaluationError: it is no mapping, or has something that JSON cannot say.
    """
    if not isinstance(value, Mapping):
        raise EvaluationError(
            f"{what} must be an object with named fields, not {_kind(value)}.",
            hint=f'For example: {{"{what}": {{"question": "…"}}}}',
        )
    try:
        written = _dumps(dict(value))
        written.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise EvaluationError(
            f"{what} cannot be written as JSON: {error}.",
            hint="Texts, numbers, true, false, null, and lists and objects of them can.",
        ) from error
    return written


def version_name(digests: Iterable[bytes]) -> str:
    """Return the name of the version that has these examples, 64 hexadecimal digits."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _dumps(value: object) -> str:
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def _kind(value: object) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")
