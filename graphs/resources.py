"""What a graph needs from the outside, in one typed object.

Nodes receive `Resources` as their second argument (see `node`); they never reach for
globals, the environment or the disk by themselves.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from groundling.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.knowledge.base import Knowledge


class Resources:
    """The model, the documents and the settings of one home folder.

    Both are opened when a node first uses them. A test, or a script with a model of its
    own, gives them in.

    Args:
        settings: the settings of the home folder.
        model: any LangChain chat model; default: the configured local one.
        knowledge: an open knowledge base; default: the configured one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        model: BaseChatModel | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        self.settings = settings
        if model is not None:
            self.model = model
        if knowledge is not None:
            self.knowledge = knowledge

    @cached_property
    def model(self) -> BaseChatModel:
        """The chat model; its weights are read, or its server asked, at its first call."""
        from groundling.models.configured import chat_model

        return chat_model(self.settings)

    @cached_property
    def knowledge(self) -> Knowledge:
        """The knowledge base that the settings name.

        Raises:
            KnowledgeError: there is none of that name yet.
        """
        from groundling.knowledge.base import Knowledge
        from groundling.models.embeddings import load_embedder
        from groundling.models.files.store import ModelStore

        store = ModelStore(self.settings.models_path, self.settings.download)
        embedder = load_embedder(store.installed(self.settings.model.embedder))
        return Knowledge.open(self.settings.knowledge_path(), embedder, create=False)

    @classmethod
    def default(cls) -> Resources:
        """Take the settings of this machine's default home folder, and record runs there."""
        from groundling import settings
        from groundling.tracing.attach import attach

        loaded = settings.load()
        attach(loaded)
        return cls(loaded)
