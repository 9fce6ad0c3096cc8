"""From files to stored documents: what is new, what changed, what cannot be read.

Each document is one transaction, so an interruption loses at most the one at work; the next
`add` passes over what is done. Vectors come in a second step, batch by batch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from groundling.errors import DocumentError
from groundling.knowledge.analyser import analyse
from groundling.knowledge.chunking import CHUNKER_VERSION, Chunk, split
from groundling.knowledge.files import Found
from groundling.knowledge.loaders import registry
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.store import NewChunk, NewDocument, Store

# Called with what is going on ("reading", "embedding"), how much is done, and of how much.
Progress = Callable[[str, int, int], None]

_HANGUL = re.compile("[가-힣]")
_LATIN = re.compile("[A-Za-zÀ-ɏ]")


@dataclass
class SyncReport:
    """What an `add` did. `skipped` holds (path, reason); `ignored` counts other kinds."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    removed: int = 0
    ignored: int = 0
    chunks: int = 0
    seconds: float = 0.0


def chunking_name(characters: int) -> str:
    """Name a way of cutting; a document cut in another way is stored anew."""
    return f"v{CHUNKER_VERSION}/{characters}"


def letters(text: str) -> tuple[int, int]:
    """Count the Hangul and the Latin letters of a text."""
    return len(_HANGUL.findall(text)), len(_LATIN.findall(text))


def index_text(title: str, heading: str, text: str) -> str:
    """Return what a chunk is found by: its text under its title and headings."""
    return "\n".join(part for part in (title, heading, text) if part)


def store_files(
    store: Store, files: Sequence[Found], characters: int, report: SyncReport, tell: Progress
) -> None:
    """Bring the stored documents up to date with files, and count it in the report."""
    chunking = chunking_name(characters)
    states = store.states()
    sources = {state[1]: path for path, state in states.items()}
    for done, file in enumerate(files):
        tell("reading", done, len(files))
        path = str(file.path)
        # Another document may bear the name already: then the full path names this one.
        taken = sources.get(file.source, path) != path
        source = path if taken else file.source
        old = states.get(path)
        try:
            size = file.path.stat().st_size
            registry.check_size(file.path, size)
            with file.path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            if old and old[2:] == (sha256, chunking):
                report.unchanged += 1
                if old[1] != source:
                    store.rename(old[0], source)
                continue
            document = registry.load(file.path)
        except DocumentError as error:
            reason = f"{error} {error.hint}" if error.hint else str(error)
            report.skipped.append((path, reason))
            continue
        except OSError as error:
            report.skipped.append((path, error.strerror or str(error)))
            continue
        sources[source] = path
        store.replace_document(*prepare(document, path, source, sha256, characters))
        report.updated += bool(old)
        report.added += not old
    tell("reading", len(files), len(files))


def prepare(
    document: LoadedDocument, path: str, source: str, sha256: str, characters: int
) -> tuple[NewDocument, list[NewChunk]]:
    """Cut a document and analyse its chunks: everything a transaction needs."""
    hangul, latin = letters(document.text)
    row = NewDocument(
        path=path,
        source=source,
        title=document.title,
        format=document.format,
        pages=len(document.pages),
        sha256=sha256,
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        chunking=chunking_name(characters),
        hangul=hangul,
        latin=latin,
        text=document.text,
    )
    return row, [_new_chunk(document, chunk) for chunk in split(document, characters)]


def _new_chunk(document: LoadedDocument, chunk: Chunk) -> NewChunk:
    text = document.text[chunk.start : chunk.end]
    indexed = index_text(document.title, chunk.heading, text)
    return NewChunk(
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        heading=chunk.heading,
        text_hash=hashlib.sha256(text.encode()).digest(),
        index_hash=hashlib.sha256(indexed.encode()).digest(),
        terms=analyse(indexed),
    )
