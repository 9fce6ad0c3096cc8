"""A sentence-transformers model as a folder: where it comes from, and what its files say.

Only weights in safetensors are fetched or loaded: a PyTorch `.bin` is a pickle, which runs
code. Needs huggingface_hub and no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundling.errors import ModelFileError, ModelNotFound, Offline

# What is fetched of a repository: weights, configuration, tokenizer, the card.
PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "README.md"]
# Copies of the weights for other programs, which may also be safetensors or JSON.
FOREIGN = ["onnx/*", "openvino/*", "gguf/*"]

# E5's authors trained it with these words before each text, and its files do not say so
# (Wang et al. 2022, arXiv:2212.03533).
_E5 = re.compile(r"(^|[/_-])e5-(?!.*instruct)", re.IGNORECASE)
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder on this machine, and the name it was asked for by."""

    path: Path
    name: str

    def weights_sha256(self) -> str:
        """Hash the weights and all configuration but the tokenizer's."""
        return self._sha256(
            file for file in self._files("*.safetensors", "*.json") if file.name not in _TOKENIZER
        )

    def tokenizer_sha256(self) -> str:
        """Hash the tokenizer's files."""
        return self._sha256(file for file in self._files("*") if file.name in _TOKENIZER)

    def pooling(self) -> str:
        """Return how one vector is made of a text's: "mean", "cls" …, or "" if not said."""
        config = self._json("1_Pooling/config.json")
        if mode := config.get("pooling_mode"):
            return str(mode)
        modes = [
            key for key, on in config.items() if key.startswith("pooling_mode_") and on is True
        ]
        return "+".join(
            mode.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
            for mode in modes
        )

    def prefixes(self) -> tuple[str, str]:
        """Return what stands before a question and before a passage."""
        prompts = self._json("config_sentence_transformers.json").get("prompts") or {}
        query = prompts.get("query", "")
        passage = prompts.get("document", "") or prompts.get("passage", "")
        if query or passage:
            return str(query), str(passage)
        return ("query: ", "passage: ") if _E5.search(self.name) else ("", "")

    def languages(self) -> tuple[str, ...]:
        """Return the languages on the model's card; of a card without any, English."""
        card = self.path / "README.md"
        if not card.is_file():
            return ("en",)
        from huggingface_hub.repocard import metadata_load

        try:
            stated: Any = (metadata_load(card) or {}).get("language") or "en"
        except ValueError:
            stated = "en"
        return tuple([stated] if isinstance(stated, str) else [str(code) for code in stated])

    def check(self) -> None:
        """Raise ModelFileError if there are no weights that load without running code."""
        if not self._files("*.safetensors"):
            raise ModelFileError(
                f"{self.name} has no weights in safetensors, the only kind that is loaded.",
                hint="Choose a model whose page lists model.safetensors.",
            )

    def _files(self, *patterns: str) -> list[Path]:
        return sorted(file for pattern in patterns for file in self.path.rglob(pattern))

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _sha256(self, files: Iterable[Path]) -> str:
        digest = hashlib.sha256()
        for file in files:
            if file.is_file():
                digest.update(file.relative_to(self.path).as_posix().encode())
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def find(
    name: str, cache: Path, *, offline: bool, endpoint: str | None, token: str | None
) -> ModelFolder:
    """Return a model's folder, fetched from the hub where that is allowed.

    Args:
        name: a folder, or a repository "owner/name" or "owner/name@revision".
        cache: where the hub's models are kept.
        offline: use only what is there.
        endpoint: another hub.
        token: default: the hub library's own login.

    Raises:
        ModelNotFound: there is none of that name, or it is not here and may not be fetched.
        Offline: the hub could not be reached.
        ModelFileError: it has no weights in safetensors.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        path = _fetch(name, cache, offline=offline, endpoint=endpoint, token=token)
    folder = ModelFolder(path, name)
    folder.check()
    return folder


def _fetch(
    name: str, cache: Path, *, offline: bool, endpoint: str | None, token: str | None
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                cache_dir=cache,
                local_files_only=offline,
                allow_patterns=PATTERNS,
                ignore_patterns=FOREIGN,
                endpoint=endpoint,
                token=token,
                user_agent="groundling",
            )
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if not offline:
            raise Offline(
                f"{name} could not be fetched: the hub cannot be reached.",
                hint="Run it again with a connection, or name a folder: hf:/path/to/model",
            ) from error
        raise ModelNotFound(
            f"{name} is not on this machine, and the network is off (download.offline).",
            hint="GROUNDLING_DOWNLOAD__OFFLINE=false, once; or name a folder: hf:/path/to/model",
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"There is no folder and no repository {name}.",
            hint="A name looks like intfloat/multilingual-e5-small; for a private one set "
            "GROUNDLING_DOWNLOAD__HUB_TOKEN.",
        ) from error
    except HfHubHTTPError as error:
        raise Offline(f"{name} could not be fetched: {error}") from error
