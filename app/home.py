"""A home folder, opened: the models, documents and graphs of one person or team."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from groundling import settings as settings_module

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from groundling.knowledge.base import Knowledge
    from groundling.models.embeddings import Embedder
    from groundling.models.files.store import ModelStore
    from groundling.settings import Settings
    from groundling.tracing.store import TraceStore


class Home:
    """The one thing a script opens.

    Args:
        path: the home folder; default: `GROUNDLING_HOME`, else the platform's data folder.
        **flags: settings that win over the configuration, nested as in `config.toml`:
            `Home(profile="small", model={"name": "smollm2-135m"})`.

    Raises:
        SettingsError: a setting is wrong.
    """

    def __init__(self, path: Path | str | None = None, **flags: Any) -> None:
        if path is not None:
            flags["home"] = Path(path)
        self.settings = settings_module.load(flags)
        self._knowledge: dict[str, Knowledge] = {}
        self._opening = RLock()

    @cached_property
    def models(self) -> ModelStore:
        """The downloaded models, and the way to fetch more."""
        from groundling.models.files.store import ModelStore

        return ModelStore(self.settings.models_path, self.settings.download)

    @cached_property
    def model(self) -> BaseChatModel:
        """The configured chat model; its weights are read, or its server asked, when called."""
        from groundling.models.configured import chat_model

        self.record()
        return chat_model(self.settings)

    @cached_property
    def traces(self) -> TraceStore:
        """What was recorded of runs, by this process and by others."""
        from groundling.tracing.attach import flush, redactor
        from groundling.tracing.store import TraceStore

        flush()
        redact = redactor() if self.settings.tracing.redact else None
        return TraceStore(self.settings.traces_path, redact)

    def record(self) -> None:
        """Record the runs of this process in this home folder, unless `tracing.enabled` is off.

        `model` and `graph` call it; a script calls it to have its other LangChain code
        recorded, too.
        """
        from groundling.tracing.attach import attach

        attach(self.settings)

    @cached_property
    def embedder(self) -> Embedder:
        """The configured embedding model.

        Raises:
            ModelNotFound: it has not been fetched yet.
        """
        from groundling.models.configured import embedding_model

        return embedding_model(self.settings)

    def knowledge(self, name: str | None = None, *, create: bool = True) -> Knowledge:
        """Open a knowledge base.

        Args:
            name: default: the configured one.
            create: make it if there is none of that name.

        Raises:
            ModelNotFound: the embedder has not been fetched yet.
            KnowledgeError: it is damaged, or not there and not to be made.
        """
        from groundling.knowledge.base import Knowledge

        name = name or self.settings.retrieval.knowledge
        with self._opening:
            if name not in self._knowledge:
                self._knowledge[name] = Knowledge.open(
                    self.settings.knowledge_path(name),
                    self.embedder,
                    create=create,
                    chunk_characters=self.settings.retrieval.chunk_characters,
                )
            return self._knowledge[name]

    def forget(self, knowledge: str) -> None:
        """Close a knowledge base if it is open; the next call of `knowledge` opens it anew."""
        with self._opening:
            if (opened := self._knowledge.pop(knowledge, None)) is not None:
                opened.close()

    def graph(
        self,
        name: str,
        *,
        knowledge: str | None = None,
        model: BaseChatModel | None = None,
        checkpointer: BaseCheckpointSaver[str] | None = None,
        settings: Settings | None = None,
    ) -> CompiledStateGraph[Any, None, Any, Any]:
        """Compile a graph: a name of `groundling graph list`.

        Its runs say in their metadata what it was made of, so that they can be replayed; see
        `groundling.graphs.provenance`.

        Args:
            name: which graph; `groundling graph list` shows them.
            knowledge: the knowledge base to answer from; default: the configured one, which
                `rag` cannot do without.
            model: any LangChain chat model, instead of the configured one.
            checkpointer: keeps conversations.
            settings: others than the home folder's, such as another seed.

        Raises:
            UnknownGraph: there is none of that name.
        """
        from groundling.graphs import registry
        from groundling.graphs.provenance import Provenance
        from groundling.graphs.resources import Resources

        self.record()
        used = settings or self.settings
        documents = knowledge
        if documents is None and (name == "rag" or _reads_documents(name, used)):
            documents = used.retrieval.knowledge
        if model is None:
            model = self.model if settings is None else None
        resources = Resources(
            used, model=model, knowledge=self.knowledge(documents) if documents else None
        )
        compiled = registry.build(name, resources, checkpointer)
        made_of = Provenance.of(name, resources, documents)
        return compiled.with_config(metadata=made_of.metadata)

    def close(self) -> None:
        """Close what was opened; what was recorded is stored."""
        while self._knowledge:
            self._knowledge.popitem()[1].close()
        if (traces := self.__dict__.pop("traces", None)) is not None:
            traces.close()
        if (attach := sys.modules.get("groundling.tracing.attach")) is not None:
            attach.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reads_documents(graph: str, settings: Settings) -> bool:
    """Whether a graph that can do without documents finds some."""
    return graph in ("toolbox", "agent", "verify") and settings.knowledge_path().is_dir()
