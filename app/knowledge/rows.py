"""Rows before they have an id: what a loader and the chunker hand to the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NewDocument:
    """A document.

    Args:
        path: its key: where its file is; "FILE!/NAME" inside of a file of several
            documents; "text:KEY" for a text that came from no file.
        file: the file it is in; empty for a text.
        prepared: how it was cut and analysed; see `preparation.name`.
        metadata: JSON.
    """

    path: str
    file: str
    source: str
    title: str
    format: str
    pages: int
    sha256: str
    added_at: str
    prepared: str
    hangul: int
    latin: int
    text: str
    metadata: str = "{}"


@dataclass(frozen=True)
class NewChunk:
    """A chunk; `terms` is what full text finds it by."""

    start: int
    end: int
    page: int | None
    heading: str
    text_hash: bytes
    index_hash: bytes
    terms: Sequence[str]


@dataclass(frozen=True)
class Waiting:
    """A chunk that has no vector yet."""

    document_id: int
    start: int
    end: int
    heading: str
    title: str
    index_hash: bytes
