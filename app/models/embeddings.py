"""Embedding models: text in, vectors of length one out.

Knows how a sentence-transformers model in ONNX form is run without torch, and how to tell
one embedding space from another. Knows nothing of documents or of indexes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.embeddings import Embeddings

from groundling.errors import ModelError, ModelFileError
from groundling.models.cpu import default_threads
from groundling.models.embedder import Embedder, Fingerprint, languages, space
from groundling.models.integer_onnx import QUANTISATION, integer_model

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

    from groundling.models.files.manifest import InstalledModel

__all__ = ["Embedder", "Fingerprint", "OnnxEmbedder", "languages", "load_embedder", "space"]

# The graph's name for an input, and the tokenizer's.
_INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class OnnxEmbedder(Embeddings):
    """A BERT-like sentence embedder on ONNX Runtime.

    Token vectors are averaged and scaled to length one, so that the inner product is the
    cosine (Reimers & Gurevych 2019, arXiv:1908.10084). Texts are cut after `max_tokens`
    tokens. Products are made in integers; see `integer_onnx`.

    Args:
        model: the ONNX file; which inputs it needs is read from its graph.
        tokenizer: the `tokenizer.json` beside it.
        languages: codes of the languages it is good at.
        max_tokens: where texts are cut.
        query_prefix: put before every question, where the model was trained so.
        passage_prefix: put before every passage.
        threads: texts at work at once, each on one core; default: the physical cores.

    Raises:
        ModelFileError: a file is missing or is not what it should be.
    """

    def __init__(
        self,
        model: Path,
        tokenizer: Path,
        *,
        languages: Sequence[str] = ("en",),
        max_tokens: int = 256,
        query_prefix: str = "",
        passage_prefix: str = "",
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.languages = tuple(languages)
        self.max_tokens = max_tokens
        self.query_prefix = query_prefix
        self.passage_prefix = passage_prefix
        self.threads = threads or default_threads()
        self._loading = Lock()
        for file in (model, tokenizer):
            if not file.is_file():
                raise ModelFileError(
                    f"The embedder's file {file} is not there.",
                    hint="groundling model pull minilm-l6",
                )

    @cached_property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        size = self._session.get_outputs()[0].shape[-1]
        return size if isinstance(size, int) else len(self._embed(["a"])[0])

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What decides the vectors, and which languages they serve."""
        prefixes = {"query_prefix": self.query_prefix, "passage_prefix": self.passage_prefix}
        return {
            **{name: prefix for name, prefix in prefixes.items() if prefix},
            "model": _sha256(self.model),
            "tokenizer": _sha256(self.tokenizer),
            "dimension": self.dimension,
            "pooling": "mean",
            "normalised": True,
            "max_tokens": self.max_tokens,
            "quantised": QUANTISATION,
            "languages": ",".join(self.languages),
        }

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per passage, in order."""
        return self._embed([self.passage_prefix + text for text in texts])

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self._embed([self.query_prefix + text])[0]

    def count_tokens(self, text: str) -> int:
        """Return how many tokens are read of a text: at most `max_tokens`."""
        return len(self._tokens.encode(text))

    def _embed(self, texts: list[str]) -> list[list[float]]:
        encodings: list[Encoding] = self._tokens.encode_batch(texts)
        if len(texts) == 1:
            return [self._run(encodings[0])]
        # A session may be run by several threads at once.
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(self._run, encodings))

    def _run(self, encoding: Encoding) -> list[float]:
        """Return the vector of one text.

        Each is run alone: in a batch, integers are scaled to all of it, so that a vector
        would depend on its neighbours; and on two cores a batch is no faster.
        """
        feed = {
            needed.name: np.array([getattr(encoding, _INPUTS[needed.name])], dtype=np.int64)
            for needed in self._session.get_inputs()
        }
        hidden = np.asarray(self._session.run(None, feed)[0][0], dtype=np.float32)
        mean = hidden.mean(axis=0)
        vector: list[float] = (mean / max(float(np.linalg.norm(mean)), 1e-12)).tolist()
        return vector

    @property
    def _session(self) -> InferenceSession:
        with self._loading:
            return self._load_session

    @property
    def _tokens(self) -> Tokenizer:
        with self._loading:
            return self._load_tokens

    @cached_property
    def _load_session(self) -> InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                integer_model(self.model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelFileError(
                f"{self.model} cannot be read as an ONNX model: {error}",
                hint="groundling model verify, then groundling model pull for what it names",
            ) from error
        if foreign := {needed.name for needed in session.get_inputs()} - _INPUTS.keys():
            raise ModelFileError(f"{self.model} needs inputs this embedder cannot make: {foreign}.")
        return session

    @cached_property
    def _load_tokens(self) -> Tokenizer:
        from tokenizers import Tokenizer

        try:
            tokens = Tokenizer.from_file(str(self.tokenizer))
        except Exception as error:
            raise ModelFileError(
                f"{self.tokenizer} cannot be read as a tokenizer: {error}",
                hint="groundling model verify, then groundling model pull for what it names",
            ) from error
        tokens.no_padding()
        tokens.enable_truncation(self.max_tokens)
        return tokens


def load_embedder(installed: InstalledModel) -> Embedder:
    """Make the embedder of a catalogue entry whose files are on this machine.

    Raises:
        ModelError: the entry's format is one that no embedder here can run.
    """
    files, entry = installed.paths, installed.entry
    if entry.format == "gguf" and entry.role in ("embedding", "chat"):
        from groundling.models.gguf_embedder import GgufEmbedder

        return GgufEmbedder(
            installed.path,
            languages=entry.languages,
            pooling=entry.pooling,
            normalise=entry.normalise,
            query_prefix=entry.query_prefix,
            passage_prefix=entry.passage_prefix,
        )
    if entry.format == "onnx":
        model = next((path for name, path in files.items() if name.endswith(".onnx")), None)
        tokenizer = next((path for name, path in files.items() if name.endswith(".json")), None)
        if model and tokenizer:
            return OnnxEmbedder(
                model,
                tokenizer,
                languages=tuple(entry.languages),
                max_tokens=entry.context or 256,
                query_prefix=entry.query_prefix,
                passage_prefix=entry.passage_prefix,
            )
    raise ModelError(
        f"{entry.id} cannot be run as an embedder: it is a {entry.role} model of {entry.format} "
        f"files {', '.join(sorted(files))}; a GGUF embedder is needed, or an ONNX model and its "
        "tokenizer.json.",
        hint="groundling config set model.embedder minilm-l6",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
