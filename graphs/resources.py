"""What a graph needs from the outside, in one typed object.

Nodes receive `Resources` as their second argument (see `node`); they never reach for
globals, the environment or the disk by themselves.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from groundling.sections import RetrievalSettings
from groundling.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

    from groundling.facts.checker import FactChecker
    from groundling.guardrails.guard import Guard
    from groundling.knowledge.base import Knowledge
    from groundling.memory.memories import Memories
    from groundling.models.embedder import Embedder


class Resources:
    """The model, the documents, the memories, the tools and the rails of one home folder.

    Each is opened when a node first uses it. A test, or a script with parts of its own,
    gives them in.

    Args:
        settings: the settings of the home folder.
        model: any LangChain chat model; default: the configured local one.
        knowledge: an open knowledge base; default: the configured one.
        memories: what is remembered of people; default: that of the home folder.
        tools: LangChain tools; default: those that `tools.enabled` names.
        guard: the rails; default: as the policy file says.
        facts: checks answers; default: with the sources that `facts.sources` names.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        model: BaseChatModel | None = None,
        knowledge: Knowledge | None = None,
        memories: Memories | None = None,
        tools: Sequence[BaseTool] | None = None,
        guard: Guard | None = None,
        facts: FactChecker | None = None,
    ) -> None:
        self.settings = settings
        if model is not None:
            self.model = model
        if knowledge is not None:
            self.knowledge = knowledge
        if memories is not None:
            self.memories = memories
        if tools is not None:
            self.tools = list(tools)
        if guard is not None:
            self.guard = guard
        if facts is not None:
            self.facts = facts

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

        return Knowledge.open(self.settings.knowledge_path(), self.embedder, create=False)

    @property
    def retrieval(self) -> RetrievalSettings:
        """How documents are searched: as set, else as tuned on them, else the default."""
        chosen = self.settings.retrieval
        recipe = self.knowledge.recipe
        tuned = {"passages": recipe.passages, "rerank": recipe.reranker}
        return chosen.model_copy(
            update={
                name: value
                for name, value in tuned.items()
                if value is not None and name not in chosen.model_fields_set
            }
        )

    @cached_property
    def documents(self) -> Knowledge | None:
        """The knowledge base, or None where there is none: for graphs that can do without."""
        from groundling.knowledge.base import exists

        if "knowledge" not in self.__dict__ and not exists(self.settings.knowledge_path()):
            return None
        return self.knowledge

    @cached_property
    def embedder(self) -> Embedder:
        """The configured embedding model.

        Raises:
            ModelNotFound: it is not on this machine.
        """
        from groundling.models.configured import embedding_model

        return embedding_model(self.settings)

    @cached_property
    def memories(self) -> Memories | None:
        """What is remembered of people; None where `memory.enabled` is off."""
        if not self.settings.memory.enabled:
            return None
        from groundling.errors import ModelNotFound
        from groundling.memory.memories import Memories

        try:
            embedder = self.embedder
        except ModelNotFound:  # words alone find memories, too
            embedder = None
        most = self.settings.memory.most
        return Memories.open(self.settings.memories_path, embedder, most=most)

    @cached_property
    def tools(self) -> list[BaseTool]:
        """The tools that the settings name.

        Raises:
            ToolError: one of them is not there, or wrongly configured.
        """
        from groundling.tools.registry import toolkit

        return toolkit(self.settings, knowledge=self.documents, model=self.model)

    @cached_property
    def guard(self) -> Guard | None:
        """The rails; None where `guard.enabled` is off.

        Raises:
            GuardError: the policy file is wrong.
        """
        if not self.settings.guard.enabled:
            return None
        from groundling.guardrails.guard import Guard

        return Guard.from_settings(self.settings, self.model)

    @cached_property
    def facts(self) -> FactChecker | None:
        """What answers are checked with; None where `facts.refuted` is off."""
        if self.settings.facts.refuted == "off":
            return None
        from groundling.facts.checker import FactChecker

        return FactChecker.from_settings(self.settings, self.model, self.documents)

    @classmethod
    def default(cls) -> Resources:
        """Take the settings of this machine's default home folder, and record runs there."""
        from groundling import settings
        from groundling.tracing.attach import attach

        loaded = settings.load()
        attach(loaded)
        return cls(loaded)
