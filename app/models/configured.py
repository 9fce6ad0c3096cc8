"""Which models the settings mean: on this machine, on a server, or of the HuggingFace hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from groundling.errors import SettingsError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.models.embedder import Embedder
    from groundling.models.reranker import Reranker
    from groundling.settings import Settings

HUB = "hf:"


def chat_model(settings: Settings) -> BaseChatModel:
    """Make the configured chat model; constructing it neither reads weights nor connects.

    Raises:
        SettingsError: an adapter is named, and the model runs on a server.
    """
    if settings.model.base_url is not None:
        from groundling.models.adapter_names import NONE, PROMOTED
        from groundling.models.remote import ChatRemote

        wanted = settings.model
        if wanted.adapter not in (NONE, PROMOTED):
            raise SettingsError(
                f"The adapter {wanted.adapter} cannot be used: {wanted.base_url} runs the model.",
                hint="groundling config set model.adapter none",
            )
        return ChatRemote.from_settings(settings)
    from groundling.models.chat import ChatLlama

    return ChatLlama.from_settings(settings)


def embedding_model(settings: Settings) -> Embedder:
    """Make the configured embedder: an id of the catalogue, or "hf:" and a name of the hub.

    Raises:
        ModelNotFound: it is not on this machine.
        ModelError: it cannot be run here.
    """
    name = settings.model.embedder
    if name.startswith(HUB):
        from groundling.models.hugging_face import load_hf_embedder

        return load_hf_embedder(name, **_hub(settings))
    from groundling.models.embeddings import load_embedder
    from groundling.models.files.store import ModelStore

    return load_embedder(ModelStore(settings.models_path, settings.download).installed(name))


def reranking_model(settings: Settings, name: str) -> Reranker:
    """Make a reranker: an id of the catalogue, or "hf:" and a cross-encoder of the hub.

    Raises:
        ModelNotFound: it is not on this machine.
        ModelError: it is no reranker, or cannot be run here.
    """
    if name.startswith(HUB):
        from groundling.models.hugging_face import cross_encoder

        return cross_encoder(name, **_hub(settings))
    from groundling.models.files.store import ModelStore
    from groundling.models.reranker import load_reranker

    return load_reranker(ModelStore(settings.models_path, settings.download).installed(name))


class _Hub(TypedDict):
    offline: bool
    folder: Path
    endpoint: str | None
    token: str | None


def _hub(settings: Settings) -> _Hub:
    download = settings.download
    return {
        "offline": download.offline,
        "folder": settings.models_path / "huggingface",
        "endpoint": download.hub_endpoint,
        "token": download.hub_token.get_secret_value() if download.hub_token else None,
    }
