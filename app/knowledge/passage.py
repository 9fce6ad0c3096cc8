"""What retrieval hands out: passages, and the documents they stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """A span of a document's stored text.

    `start` and `end` are character offsets into that text: `stored_text[start:end] == text`
    always. `page` counts from 1 and is None where the format has no pages. `heading` is the
    path of section headings ("Leave > Sick leave"), and the header row of a table that the
    passage begins inside of. `score` can be compared within one query only. `key` is that of
    its document: the file's path, or what a text was put in under.
    """

    chunk_id: int
    document_id: int
    source: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    score: float = 0.0
    key: str = ""


@dataclass(frozen=True)
class Document:
    """A stored document; `languages` is the share of its letters by script."""

    id: int
    source: str
    path: str
    title: str
    format: str
    pages: int
    characters: int
    chunks: int
    sha256: str
    added_at: str
    languages: dict[str, float]


def numbered(passages: Sequence[Passage]) -> str:
    """Write passages the way prompts show them: a number, where it stands, the text."""
    return "\n\n".join(
        f"[{number}] {_place(passage)}\n{passage.text.strip()}"
        for number, passage in enumerate(passages, start=1)
    )


def _place(passage: Passage) -> str:
    parts = [passage.title or passage.source]
    if passage.heading and passage.heading != passage.title:
        parts.append(passage.heading)
    return " › ".join(parts)
