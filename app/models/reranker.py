"""Rerankers: how well does each of these texts answer that question?

An embedder reads question and text apart, a reranker both together: slower, and better at
telling the best of a few dozen (Nogueira & Cho 2019, arXiv:1901.04085). Imports nothing
heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from groundling.errors import ModelError, ModelFileError
from groundling.models.encoder import Encoder
from groundling.models.encoders import encoder_for
from groundling.models.encoding import EncoderSettings

if TYPE_CHECKING:
    from groundling.models.files.manifest import InstalledModel


class Reranker(Protocol):
    """Scores texts by how well they answer a question."""

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return a score from 0 to 1 for each text, in order; higher is better.

        Scores of one reranker can be compared with each other, also across questions; those
        of two rerankers cannot.
        """
        ...


class GgufReranker:
    """A cross-encoder on llama.cpp: BGE's, Jina's and their kin, or Qwen3's.

    llama.cpp marks both texts of a pair as the first one: a BERT that was trained with two
    kinds of mark loses by that; RoBERTas have one kind only.

    Args:
        model: the GGUF file; its header says that it pools by rank.
        max_tokens: of question and text together; the text is cut, and the question where
            it takes more than half. Default: 512, or the trained context if less.
        threads: default: the physical cores.

    Raises:
        ModelFileError: the file is no whole GGUF, or no reranker.
    """

    def __init__(
        self, model: Path, *, max_tokens: int | None = None, threads: int | None = None
    ) -> None:
        self.model = model
        self.settings = EncoderSettings(max_tokens=max_tokens, threads=threads)
        if self.encoder.pooling != "rank":
            raise ModelFileError(
                f"{model} embeds single texts; it is no reranker.",
                hint="groundling model list shows rerankers",
            )
        # Qwen3's two outputs are the probabilities of yes and no, which llama.cpp scales.
        self._scaled = self.encoder.header.architecture.startswith("qwen3")
        if self.encoder.dimension > 1 and not self._scaled:
            raise ModelFileError(
                f"{model} gives {self.encoder.dimension} scores to a pair; which of them means "
                "that the text answers is not known."
            )

    @property
    def encoder(self) -> Encoder:
        """What runs the model; shared with others of the same file."""
        return encoder_for(self.model, self.settings)

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return a score from 0 to 1 for each text, in order; see `Reranker`."""
        scores = self.encoder.encode([(query, text) for text in texts])[:, 0].astype(np.float64)
        if not self._scaled:
            scores = 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
        return [float(score) for score in scores]


def load_reranker(installed: InstalledModel) -> GgufReranker:
    """Make the reranker of a catalogue entry whose files are on this machine.

    Raises:
        ModelError: the entry is no reranker.
    """
    entry = installed.entry
    if entry.role != "reranker" or entry.format != "gguf":
        raise ModelError(
            f"{entry.id} is a {entry.role} model in {entry.format} files, no GGUF reranker.",
            hint="groundling model list shows rerankers; groundling model pull bge-reranker-v2-m3",
        )
    return GgufReranker(installed.path)
