"""Embedders and cross-encoders of the HuggingFace hub, on torch (the extra `hf`).

    embedder = load_hf_embedder("intfloat/multilingual-e5-small", offline=False, folder=cache)

They run what ONNX and GGUF files are not there for. Nothing is fetched while they run, no code
of a repository is executed, and torch is imported when the first text is embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from langchain_core.embeddings import Embeddings

from groundling.errors import ModelError, ModelFileError
from groundling.models.embedder import Fingerprint
from groundling.models.hugging_face_files import ModelFolder, find

INSTALL = "pip install 'groundling[hf]'; docs/knowledge.md tells how to get the small CPU torch"


class HuggingFaceEmbedder(Embeddings):
    """A sentence-transformers model, run by LangChain's `HuggingFaceEmbeddings`.

    Vectors have length one. Line breaks are embedded as spaces, and texts are cut after the
    model's own number of tokens.

    Args:
        folder: the model's files.
        languages: codes of the languages it is good at; default: what its card says.
        query_prefix: put before every question; default: what its files say, and for E5
            what its authors say.
        passage_prefix: put before every passage.
        device: "cpu", "cuda", "mps"; default: torch's choice.

    Raises:
        ModelError: the extra `hf` is not installed.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        languages: Sequence[str] | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        device: str | None = None,
    ) -> None:
        query, passage = folder.prefixes()
        self.folder = folder
        self.languages = tuple(folder.languages() if languages is None else languages)
        self.query_prefix = query if query_prefix is None else query_prefix
        self.passage_prefix = passage if passage_prefix is None else passage_prefix
        self.device = device
        # A fast tokenizer may not be used by two threads at once.
        self._running = Lock()
        _require()

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What decides the vectors, and which languages they serve."""
        return {
            "model": self.folder.weights_sha256(),
            "tokenizer": self.folder.tokenizer_sha256(),
            "dimension": len(self.embed_query("a")),
            "pooling": self.folder.pooling(),
            "normalised": True,
            "max_tokens": self._max_tokens(),
            "query_prefix": self.query_prefix,
            "passage_prefix": self.passage_prefix,
            "languages": ",".join(self.languages),
        }

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per passage, in order."""
        if not texts:
            return []
        with self._running:
            vectors: list[list[float]] = self._embeddings.embed_documents(texts)
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        with self._running:
            vector: list[float] = self._embeddings.embed_query(text)
        return vector

    def _max_tokens(self) -> int:
        # LangChain's class has no public way to the model it runs.
        return int(self._embeddings._client.max_seq_length or 0)

    @cached_property
    def _embeddings(self) -> Any:
        return _loaded(self.folder, self._load)

    def _load(self) -> Any:
        from langchain_huggingface import (  # type: ignore[import-not-found, unused-ignore]
            HuggingFaceEmbeddings,
        )

        return HuggingFaceEmbeddings(
            model_name=str(self.folder.path),
            model_kwargs=_offline(self.device),
            encode_kwargs={"normalize_embeddings": True, "prompt": self.passage_prefix},
            query_encode_kwargs={"normalize_embeddings": True, "prompt": self.query_prefix},
        )


class HuggingFaceReranker:
    """A sentence-transformers cross-encoder with one score; see `Reranker`.

    Args:
        folder: the model's files.
        device: "cpu", "cuda", "mps"; default: torch's choice.

    Raises:
        ModelError: the extra `hf` is not installed.
    """

    def __init__(self, folder: ModelFolder, *, device: str | None = None) -> None:
        self.folder = folder
        self.device = device
        self._running = Lock()
        _require()

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return a score from 0 to 1 for each text, in order.

        Raises:
            ModelFileError: the model gives a pair more than one score.
        """
        if not texts:
            return []
        with self._running:
            scores = self._encoder.predict([(query, text) for text in texts])
        return [float(score) for score in scores]

    @cached_property
    def _encoder(self) -> Any:
        encoder = _loaded(self.folder, self._load)
        if encoder.num_labels != 1:
            raise ModelFileError(
                f"{self.folder.name} gives {encoder.num_labels} scores to a pair; a reranker "
                "gives one.",
                hint="One that does: hf:cross-encoder/ms-marco-MiniLM-L6-v2",
            )
        return encoder

    def _load(self) -> Any:
        from sentence_transformers import (  # type: ignore[import-not-found, unused-ignore]
            CrossEncoder,
        )

        # The function that a model names itself differs: MS MARCO's models give logits.
        return CrossEncoder(str(self.folder.path), activation_fn=_sigmoid, **_offline(self.device))


def load_hf_embedder(
    name: str,
    offline: bool,
    folder: Path,
    *,
    endpoint: str | None = None,
    token: str | None = None,
) -> HuggingFaceEmbedder:
    """Make an embedder of a model of the hub, or of a folder.

    Args:
        name: "owner/name", "owner/name@revision" or a folder; "hf:" before it is dropped.
        offline: use only what is there.
        folder: where the hub's models are kept.
        endpoint: another hub.
        token: default: the hub library's own login.

    Raises:
        ModelError: the extra `hf` is not installed, or it is no such model; see `find`.
        Offline: the hub could not be reached.
    """
    _require()
    return HuggingFaceEmbedder(
        find(name.removeprefix("hf:"), folder, offline=offline, endpoint=endpoint, token=token)
    )


def cross_encoder(
    name: str,
    offline: bool,
    folder: Path,
    *,
    endpoint: str | None = None,
    token: str | None = None,
) -> HuggingFaceReranker:
    """Make a reranker of a cross-encoder of the hub, or of a folder; as `load_hf_embedder`."""
    _require()
    return HuggingFaceReranker(
        find(name.removeprefix("hf:"), folder, offline=offline, endpoint=endpoint, token=token)
    )


def _require() -> None:
    from importlib.util import find_spec

    missing = [
        package
        for package in ("langchain_huggingface", "sentence_transformers", "torch")
        if find_spec(package) is None
    ]
    if missing:
        raise ModelError(
            f"Models of the HuggingFace hub need {', '.join(missing)}, which this environment "
            "lacks.",
            hint=INSTALL,
        )


def _offline(device: str | None) -> dict[str, Any]:
    """Return how both classes load a model: from its folder, and no code of its own."""
    return {
        "device": device,
        "local_files_only": True,
        "trust_remote_code": False,
        "model_kwargs": {"use_safetensors": True},
    }


def _sigmoid(logits: Any) -> Any:
    return logits.sigmoid()


def _loaded(folder: ModelFolder, load: Callable[[], Any]) -> Any:
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        disable_progress_bars,
        enable_progress_bars,
    )

    # transformers looks at this once, on its import, and else shows a bar for a second's work.
    disable_progress_bars()
    try:
        return load()
    except Exception as error:
        raise ModelFileError(
            f"{folder.name} cannot be loaded from {folder.path}: {error}",
            hint="A model of sentence-transformers is needed, whose architecture needs no code "
            "of its own.",
        ) from error
    finally:
        enable_progress_bars()
