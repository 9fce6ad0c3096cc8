"""Which models the settings mean: on this machine, on a server, or of the HuggingFace hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.models.embedder import Embedder
    from groundling.settings import Settings

HUB = "hf:"


def chat_model(settings: Settings) -> BaseChatModel:
    """Make the configured chat model; constructing it neither reads weights nor connects."""
    if settings.model.base_url is not None:
        from groundling.models.remote import ChatRemote

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

        download = settings.download
        return load_hf_embedder(
            name.removeprefix(HUB),
            download.offline,
            settings.models_path / "huggingface",
            endpoint=download.hub_endpoint,
            token=download.hub_token.get_secret_value() if download.hub_token else None,
        )
    from groundling.models.embeddings import load_embedder
    from groundling.models.files.store import ModelStore

    return load_embedder(ModelStore(settings.models_path, settings.download).installed(name))
