"""From a loaded document to rows: cut, analysed, hashed; everything a transaction needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from groundling.knowledge.analyser import Analyser
from groundling.knowledge.chunking import CHUNKER_VERSION, Chunk, split
from groundling.knowledge.loaders.document import LoadedDocument, storable
from groundling.knowledge.rows import NewChunk, NewDocument
from groundling.knowledge.texts import FORMAT, PREFIX, TextEntry

# Called with what is going on ("reading", "embedding"), how much is done, and of how much.
Progress = Callable[[str, int, int], None]

_HANGUL = re.compile("[가-힣]+")
_LATIN = re.compile("[A-Za-zÀ-ɏ]+")


@dataclass(frozen=True)
class Place:
    """Where a document is: its key, the file it is in, and what people call it."""

    path: str
    file: str
    source: str


@dataclass(frozen=True)
class Preparation:
    """How documents are cut and analysed.

    Args:
        characters: the length that chunks should have.
        analyser: makes the terms that full text finds a chunk by.
    """

    characters: int
    analyser: Analyser

    @property
    def name(self) -> str:
        """Names the way; a document prepared in another way is prepared anew."""
        return f"v{CHUNKER_VERSION}/{self.characters}/{self.analyser.name}"

    def document(
        self, document: LoadedDocument, place: Place, sha256: str
    ) -> tuple[NewDocument, list[NewChunk]]:
        """Make the rows of a loaded document; `sha256` is that of its file."""
        return self._rows(document, place, sha256, split(document, self.characters))

    def entry(self, entry: TextEntry) -> tuple[NewDocument, list[NewChunk]]:
        """Make the rows of a text, as one chunk."""
        document = LoadedDocument(storable(entry.text), entry.title, FORMAT)
        place = Place(f"{PREFIX}{entry.key}", "", f"{PREFIX}{entry.key}")
        digest = hashlib.sha256(document.text.encode()).hexdigest()
        whole = [Chunk(0, len(document.text), None, "")]
        return self._rows(document, place, digest, whole, entry.metadata)

    def _rows(
        self,
        document: LoadedDocument,
        place: Place,
        sha256: str,
        chunks: Sequence[Chunk],
        metadata: dict[str, object] | None = None,
    ) -> tuple[NewDocument, list[NewChunk]]:
        hangul, latin = letters(document.text)
        row = NewDocument(
            path=place.path,
            file=place.file,
            source=place.source,
            title=document.title,
            format=document.format,
            pages=len(document.pages),
            sha256=sha256,
            added_at=datetime.now(UTC).isoformat(timespec="seconds"),
            prepared=self.name,
            hangul=hangul,
            latin=latin,
            text=document.text,
            metadata=json.dumps(metadata or {}, ensure_ascii=False),
        )
        texts = [document.text[chunk.start : chunk.end] for chunk in chunks]
        indexed = [
            index_text(document.title, chunk.heading, text)
            for chunk, text in zip(chunks, texts, strict=True)
        ]
        made = zip(chunks, texts, indexed, self.analyser.batch(indexed), strict=True)
        return row, [_chunk(*parts) for parts in made]


def letters(text: str) -> tuple[int, int]:
    """Count the Hangul and the Latin letters of a text."""
    return sum(map(len, _HANGUL.findall(text))), sum(map(len, _LATIN.findall(text)))


def index_text(title: str, heading: str, text: str) -> str:
    """Return what a chunk is found by: its text under its title and headings."""
    return "\n".join(part for part in (title, heading, text) if part)


def _chunk(chunk: Chunk, text: str, indexed: str, terms: Sequence[str]) -> NewChunk:
    return NewChunk(
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        heading=chunk.heading,
        text_hash=hashlib.sha256(text.encode()).digest(),
        index_hash=hashlib.sha256(indexed.encode()).digest(),
        terms=terms,
    )
