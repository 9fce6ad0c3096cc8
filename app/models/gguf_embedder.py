"""Embeddings from a GGUF encoder: text in, vectors of length one out.

Knows which words a model wants before a question and before a passage, and what its vectors
depend on. How texts are batched and run is the encoder's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings

from groundling.errors import ModelFileError
from groundling.models.embedder import Fingerprint
from groundling.models.encoder import Encoder
from groundling.models.encoders import encoder_for
from groundling.models.encoding import EncoderSettings, Pooling, Vectors


class GgufEmbedder(Embeddings):
    """A GGUF embedding model on llama.cpp: BERT and its kin, or a decoder such as Qwen3's.

    Texts are cut after `max_tokens`; what closes them is kept. A text's vector depends on
    the texts beside it only by rounding.

    Args:
        model: the GGUF file, with its tokenizer in it.
        languages: codes of the languages it is good at.
        max_tokens: where texts are cut; default: 512, or the trained context if less.
        pooling: how one vector is made of a text's; default: what the file says.
        normalise: scale vectors to length one, so that the inner product is the cosine.
        query_prefix: put before every question, where the model was trained so.
        passage_prefix: put before every passage.
        threads: default: the physical cores.

    Raises:
        ModelFileError: the file is no whole GGUF, or no embedding model.
    """

    def __init__(
        self,
        model: Path,
        *,
        languages: Sequence[str] = ("en",),
        max_tokens: int | None = None,
        pooling: Pooling | None = None,
        normalise: bool = True,
        query_prefix: str = "",
        passage_prefix: str = "",
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.languages = tuple(languages)
        self.normalise = normalise
        self.query_prefix = query_prefix
        self.passage_prefix = passage_prefix
        self.settings = EncoderSettings(max_tokens=max_tokens, pooling=pooling, threads=threads)
        if self.encoder.pooling == "rank":
            raise ModelFileError(
                f"{model} scores pairs of texts; it is a reranker, no embedder.",
                hint="groundling model list shows embedders",
            )

    @property
    def encoder(self) -> Encoder:
        """What runs the model; shared with other embedders of the same file."""
        return encoder_for(self.model, self.settings)

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self.encoder.dimension

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What decides the vectors, and which languages they serve."""
        with self.model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "model": digest,
            "tokenizer": digest,
            "dimension": self.dimension,
            "pooling": self.encoder.pooling,
            "normalised": self.normalise,
            "max_tokens": self.encoder.max_tokens,
            "query_prefix": self.query_prefix,
            "passage_prefix": self.passage_prefix,
            "languages": ",".join(self.languages),
        }

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per passage, in order."""
        return self._finish(self.encoder.encode([self.passage_prefix + text for text in texts]))

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self._finish(self.encoder.encode([self.query_prefix + text]))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per passage; a cancelled task ends within one pass."""
        items = [self.passage_prefix + text for text in texts]
        return self._finish(await asyncio.wrap_future(self.encoder.submit(items)))

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        items = [self.query_prefix + text]
        return self._finish(await asyncio.wrap_future(self.encoder.submit(items)))[0]

    def _finish(self, rows: Vectors) -> list[list[float]]:
        if self.normalise:
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        vectors: list[list[float]] = rows.tolist()
        return vectors
