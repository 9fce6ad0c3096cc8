"""The graphs as a person has them: with their memories, and the documents they may read.

Compiling a graph and opening a knowledge base cost tens of milliseconds, so what was made is
kept for the next run. Model, embedder and memories are one for all people.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from groundling.errors import KnowledgeError, ModelError, ModelNotFound, SettingsError
from groundling.server.adapters import Adapters
from groundling.server.person import Person

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from groundling.home import Home
    from groundling.knowledge.base import Knowledge
    from groundling.memory.memories import Memories
    from groundling.models.adapter_shelf import Shelved
    from groundling.settings import ModelSettings

_KEPT = 256
_NOBODYS = "--"  # no folder of documents is called so


@dataclass(frozen=True)
class Wishes:
    """What a run may wish for beside its input: keys of `configurable` or of `context`.

    Args:
        knowledge: the knowledge base to answer from.
        temperature, top_p, seed, max_tokens: of the model; default: as configured.
        adapter: names joined by "+", `promoted` or `none`; default: as configured.
        strict: refuse what the documents do not answer.
    """

    knowledge: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    adapter: str | None = None
    strict: bool | None = None

    @property
    def model(self) -> dict[str, Any]:
        """The settings of the model that are wished for."""
        names = ("temperature", "top_p", "seed", "max_tokens", "adapter")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def applied(self, settings: ModelSettings) -> ModelSettings:
        """Return the settings of the model with what is wished for.

        Raises:
            SettingsError: a value is impossible; it names it.
        """
        if not self.model:
            return settings
        try:
            return settings.model_validate(
                {**settings.model_dump(exclude_unset=True), **self.model}
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise SettingsError(f"{first['loc'][0]}: {first['msg']}.") from None


class Graphs:
    """Compiled graphs, made when first asked for; safe for threads.

    Args:
        home: whose models, documents and settings they use.
        saver: keeps their threads.
        model: answers instead of the configured one.
    """

    def __init__(
        self,
        home: Home,
        saver: BaseCheckpointSaver[str] | None,
        model: BaseChatModel | None = None,
    ) -> None:
        self._home = home
        self._saver = saver
        self._model = model
        self.adapters = Adapters(home, elsewhere=model is not None)
        self._lock = Lock()
        self._made: OrderedDict[Any, CompiledStateGraph[Any, None, Any, Any]] = OrderedDict()
        self._memories: Memories | None = None
        self._opening = Lock()
        self._by_words: dict[str, Knowledge] = {}

    @property
    def model(self) -> BaseChatModel:
        """The chat model that all of them share."""
        return self._model if self._model is not None else self._home.model

    def chat(self, wanted: str | None = None) -> tuple[BaseChatModel, tuple[Shelved, ...]]:
        """Return the chat model that answers with adapters, and those.

        Args:
            wanted: as for a wish.

        Raises:
            AdapterError: there is none of that name, or it is of another base.
            ModelNotFound: the model is not on this machine.
        """
        adapters = self.adapters.answering(wanted)
        if not self.adapters.usable or (wanted is None and not adapters):
            return self.model, ()
        from groundling.models.adapter_names import together
        from groundling.models.configured import chat_model

        model = Wishes(adapter=together(adapters)).applied(self._home.settings.model)
        return chat_model(self._home.settings.model_copy(update={"model": model})), adapters

    @property
    def memories(self) -> Memories | None:
        """What is remembered of all people; None where `memory.enabled` is off."""
        with self._lock:
            return self._opened_memories()

    def knowledge(self, folder: str) -> Knowledge:
        """Return an opened knowledge base; without its embedder, words find its documents.

        Raises:
            KnowledgeError: it is damaged, or not there.
        """
        try:
            return self._home.knowledge(folder, create=False)
        except ModelNotFound:
            return self._without_embedder(folder)

    def get(
        self, name: str, person: Person, wishes: Wishes | None = None, *, threads: bool = True
    ) -> CompiledStateGraph[Any, None, Any, Any]:
        """Return a compiled graph. It may take a while at first: call it from a thread.

        Args:
            name: as `groundling graph list` shows it.
            person: whose memories it has. That they may read the knowledge base is the
                caller's to find out.
            wishes: see there.
            threads: whether it keeps its state in the checkpointer.

        Raises:
            UnknownGraph: there is none of that name.
            KnowledgeError: there is no such knowledge base.
            SettingsError: a wish has an impossible value.
        """
        wishes, made_at = self._pinned(wishes or Wishes())
        key = (name, person.id, wishes, threads, made_at)
        with self._lock:
            if (made := self._made.get(key)) is not None:
                self._made.move_to_end(key)
                return made
            made = self._build(name, person, wishes, threads)
            self._made[key] = made
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return made

    def forget(self, knowledge: str | None = None) -> None:
        """Compile anew what is asked for next: a knowledge base came, changed or went."""
        with self._lock:
            self._made.clear()
            if knowledge is not None:
                self._home.forget(knowledge)
                with self._opening:
                    if (opened := self._by_words.pop(knowledge, None)) is not None:
                        opened.close()

    def _pinned(self, wishes: Wishes) -> tuple[Wishes, tuple[str, ...]]:
        """Name the adapters that answer now, and when they were made: a run keeps to them."""
        from groundling.models.adapter_names import together

        if not self.adapters.usable:
            return wishes, ()
        try:
            adapters = self.adapters.answering(wishes.adapter)
        except ModelError:  # whoever calls the model is told; a state is read without one
            return wishes, ()
        made_at = tuple(each.card.created for each in adapters)
        return replace(wishes, adapter=together(adapters)), made_at

    def _build(
        self, name: str, person: Person, wishes: Wishes, threads: bool
    ) -> CompiledStateGraph[Any, None, Any, Any]:
        from groundling.graphs import registry
        from groundling.graphs.provenance import Provenance
        from groundling.graphs.resources import Resources
        from groundling.knowledge.base import exists

        settings = self._home.settings.model_copy(deep=True)
        settings.memory = settings.memory.model_copy(update={"user": person.id})
        settings.model = wishes.applied(settings.model)
        if wishes.strict is not None:
            settings.retrieval = settings.retrieval.model_copy(update={"strict": wishes.strict})
        # The configured documents are their owner's; others answer from what they may read.
        own = person.id == self._home.settings.memory.user
        wanted = wishes.knowledge or (settings.retrieval.knowledge if own else _NOBODYS)
        settings.retrieval = settings.retrieval.model_copy(update={"knowledge": wanted})
        there = exists(settings.knowledge_path(wanted))
        if not there and (wishes.knowledge or name == "rag"):
            raise KnowledgeError(
                f"There is no knowledge base {wishes.knowledge or 'that you may read'}.",
                hint="groundling knowledge add, or the page's documents, make one.",
            )
        model = self.model if self._model is not None or not wishes.model else None
        resources = Resources(
            settings,
            model=model,
            knowledge=self.knowledge(wanted) if there else None,
            memories=self._opened_memories(),
        )
        compiled = registry.build(name, resources, self._saver if threads else None)
        made_of = Provenance.of(name, resources, wanted if there else None)
        return compiled.with_config(metadata=made_of.metadata)

    def _without_embedder(self, folder: str) -> Knowledge:
        from groundling.knowledge.base import Knowledge

        settings = self._home.settings
        with self._opening:
            if folder not in self._by_words:
                self._by_words[folder] = Knowledge.open(
                    settings.knowledge_path(folder),
                    None,
                    create=False,
                    chunk_characters=settings.retrieval.chunk_characters,
                )
            return self._by_words[folder]

    def _opened_memories(self) -> Memories | None:
        if self._memories is None and self._home.settings.memory.enabled:
            from groundling.memory.memories import Memories

            try:
                embedder = self._home.embedder
            except ModelNotFound:  # words alone find memories, too
                embedder = None
            settings = self._home.settings
            self._memories = Memories.open(
                settings.memories_path, embedder, most=settings.memory.most
            )
        return self._memories

    def close(self) -> None:
        """Let go of what was opened here."""
        with self._lock:
            self._made.clear()
            if self._memories is not None:
                self._memories.close()
                self._memories = None
            with self._opening:
                while self._by_words:
                    self._by_words.popitem()[1].close()
