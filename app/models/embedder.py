"""What an embedder is, and how to tell one embedding space from another.

Imports nothing heavy, so that a knowledge base opens without loading a model's libraries.
"""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

Fingerprint = dict[str, str | int | bool]


class Embedder(Protocol):
    """LangChain's `Embeddings`, which also says what its vectors are.

    `fingerprint` has `model` (sha256 of the weights), `tokenizer` (sha256), `dimension`,
    `pooling`, `normalised`, `max_tokens` and `languages`: the languages the embedder is
    good at, as codes joined by commas ("en").
    """

    @property
    def fingerprint(self) -> Fingerprint: ...

    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...

    def embed_query(self, text: str) -> list[float]: ...

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]: ...

    async def aembed_query(self, text: str) -> list[float]: ...


@runtime_checkable
class CountsTokens(Protocol):
    """An embedder that can tell how many tokens of a text it reads."""

    def count_tokens(self, text: str) -> int: ...


def languages(embedder: Embedder) -> frozenset[str]:
    """Return the codes of the languages the embedder is good at."""
    return frozenset(str(embedder.fingerprint.get("languages", "")).split(",")) - {""}


def space(fingerprint: Fingerprint) -> str:
    """Name the vector space: equal names mean that vectors may be compared.

    The languages are a judgement about the space, not part of it.
    """
    parts = sorted((key, value) for key, value in fingerprint.items() if key != "languages")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
