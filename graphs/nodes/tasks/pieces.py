"""Texts cut into pieces that fit the context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from groundling.graphs.resources import Resources
from groundling.knowledge.chunking import split
from groundling.knowledge.loaders.document import LoadedDocument

OVERHEAD = 300  # tokens that a task's own words, labels and markup take at most
LEAST = 64  # tokens of a piece, however small the context


@dataclass(frozen=True)
class Piece:
    """A stretch of a text: `text == whole[start:end]`."""

    start: int
    end: int
    text: str


def budget(resources: Resources, answer: int = 0) -> int:
    """Return how many tokens of a text one call can read, beside an answer of that length."""
    settings = resources.settings.model
    return max(LEAST, settings.context - (answer or settings.max_tokens) - OVERHEAD)


def pieces(text: str, model: BaseChatModel, most: int) -> list[Piece]:
    """Cut a text into pieces of at most `most` tokens of the model, at paragraphs if it can.

    Together they hold every character but white space at the cuts.
    """
    return list(_cut(Piece(0, len(text), text), model, most))


def _cut(piece: Piece, model: BaseChatModel, most: int) -> Iterator[Piece]:
    if not piece.text.strip():
        return
    tokens = model.get_num_tokens(piece.text)
    if tokens <= most or len(piece.text) < 2:
        yield piece
        return
    size = max(1, min(int(len(piece.text) * most / tokens * 0.95), len(piece.text) - 1))
    document = LoadedDocument(piece.text, title="", format="text")
    for chunk in split(document, size):
        part = Piece(
            piece.start + chunk.start,
            piece.start + chunk.end,
            piece.text[chunk.start : chunk.end],
        )
        yield from _cut(part, model, most)
