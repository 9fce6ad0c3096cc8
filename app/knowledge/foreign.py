"""Any LangChain embeddings as an embedder of a knowledge base.

A knowledge base must know what its vectors are, so that those of two models are never
compared; LangChain's `Embeddings` do not say. Their name and what they make of one probe
text stand in for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from langchain_core.embeddings import Embeddings

from groundling.errors import KnowledgeError
from groundling.models.embedder import Embedder, Fingerprint

PROBE = "The quick brown fox jumps over the lazy dog. 다람쥐 헌 쳇바퀴에 타고파."
# How many of the probe's largest numbers tell models apart. Their places are the same on
# every machine, while the last digits of numbers are not.
LARGEST = 3


class ForeignEmbedder(Embeddings):
    """Says what the vectors of LangChain embeddings are, and scales them to length one.

    Args:
        embeddings: make the vectors.
        name: of the model; default: the class and its `model_name` or `model`.
        languages: codes of the languages they are good at, which decides how much they
            count in hybrid search.
    """

    def __init__(
        self, embeddings: Embeddings, name: str | None = None, languages: Sequence[str] = ("en",)
    ) -> None:
        self.embeddings = embeddings
        self.name = name or _name(embeddings)
        self.languages = tuple(languages)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What the vectors are; embeds one text the first time.

        Raises:
            KnowledgeError: the embeddings make no vector of it.
        """
        probe = np.asarray(self.embed_query(PROBE), dtype=np.float32)
        if probe.ndim != 1 or not probe.any():
            raise KnowledgeError(
                f"{self.name} makes no vector of a text.", hint="Look into its configuration."
            )
        largest = np.sort(np.argsort(-np.abs(probe), kind="stable")[:LARGEST])
        return {
            "model": self.name,
            "probe": " ".join(f"{'-' if probe[place] < 0 else '+'}{place}" for place in largest),
            "dimension": len(probe),
            "normalised": True,
            "languages": ",".join(self.languages),
        }

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, in order."""
        return _normalised(self.embeddings.embed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return _normalised([self.embeddings.embed_query(text)])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, in order."""
        return _normalised(await self.embeddings.aembed_documents(texts))

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return _normalised([await self.embeddings.aembed_query(text)])[0]


def as_embedder(embeddings: Embeddings | Embedder) -> Embedder:
    """Return embeddings that say what their vectors are: themselves if they do."""
    if hasattr(embeddings, "fingerprint"):
        return embeddings
    return ForeignEmbedder(embeddings)


def _name(embeddings: Embeddings) -> str:
    model = getattr(embeddings, "model_name", None) or getattr(embeddings, "model", None)
    kind = type(embeddings).__name__
    return f"{kind} {model}" if isinstance(model, str) else kind


def _normalised(vectors: list[list[float]]) -> list[list[float]]:
    if not vectors:
        return []
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: list[list[float]] = (rows / np.maximum(lengths, 1e-12)).tolist()
    return scaled
