"""Which chat model the settings mean: one on this machine, or one that a server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.settings import Settings


def chat_model(settings: Settings) -> BaseChatModel:
    """Make the configured chat model; constructing it neither reads weights nor connects."""
    if settings.model.base_url is not None:
        from groundling.models.remote import ChatRemote

        return ChatRemote.from_settings(settings)
    from groundling.models.chat import ChatLlama

    return ChatLlama.from_settings(settings)
