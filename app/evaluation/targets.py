"""What an experiment runs: a graph of this home folder, any Runnable, any function."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from importlib import metadata, resources
from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableLambda

from groundling.errors import EvaluationError
from groundling.evaluation.references import load_object
from groundling.graphs.provenance import HASH_DIGITS, Provenance
from groundling.home import Home


class Target(Protocol):
    """What answers the examples."""

    @property
    def name(self) -> str:
        """What its runs are called."""

    def describe(self) -> Mapping[str, Any]:
        """Return what its answers depend on, as JSON."""

    def runnable(self, repetition: int) -> Runnable[Any, Any]:
        """Return what to invoke for a repetition, counted from 0."""


class GraphTarget:
    """A graph of a home folder.

    Args:
        home: the home folder.
        graph: its name, as `Home.graph` takes it.
        knowledge: the knowledge base that it answers from.
        model: instead of the configured one.
    """

    def __init__(
        self,
        home: Home,
        graph: str,
        *,
        knowledge: str | None = None,
        model: BaseChatModel | None = None,
    ) -> None:
        self.name = graph
        self._home = home
        self._knowledge = knowledge
        self._model = model
        self._made: dict[int, Runnable[Any, Any]] = {}

    def runnable(self, repetition: int) -> Runnable[Any, Any]:
        """Compile the graph; each repetition draws with a seed of its own."""
        if repetition not in self._made:
            model = self._model or self._home.model
            seed = getattr(model, "seed", None)
            if repetition and isinstance(seed, int):
                model = model.model_copy(update={"seed": seed + repetition})
            self._made[repetition] = self._home.graph(
                self.name, knowledge=self._knowledge, model=model
            )
        return self._made[repetition]

    def describe(self) -> Mapping[str, Any]:
        """Return what the graph is made of, and hashes of the prompts and the program."""
        config = getattr(self.runnable(0), "config", None) or {}
        made_of = Provenance.read(config.get("metadata") or {})
        return {
            **(made_of.metadata if made_of is not None else {"graph": self.name}),
            "prompts": _prompts_hash(),
            "groundling": metadata.version("groundling"),
        }


class RunnableTarget:
    """Any LangChain Runnable, or a function that takes the inputs of an example.

    Args:
        runnable: what is invoked; a function may be a coroutine function.
        name: default: its own.
    """

    def __init__(
        self, runnable: Runnable[Any, Any] | Callable[..., Any], name: str | None = None
    ) -> None:
        made = runnable if isinstance(runnable, Runnable) else RunnableLambda(runnable)
        own = made.get_name() if isinstance(runnable, Runnable) else None
        called = getattr(runnable, "__name__", type(runnable).__name__)
        self.name: str = name or own or str(called)
        self._given = runnable
        self._runnable: Runnable[Any, Any] = made

    def runnable(self, repetition: int) -> Runnable[Any, Any]:
        """Return it."""
        return self._runnable

    def describe(self) -> Mapping[str, Any]:
        """Return its name and, where it can be had, the hash of its source."""
        told: dict[str, Any] = {"callable": self.name}
        try:
            source = inspect.getsource(self._given)  # type: ignore[arg-type]
        except (TypeError, OSError):
            return told
        return told | {"source": hashlib.sha256(source.encode()).hexdigest()}


def load_target(reference: str) -> RunnableTarget:
    """Take what `MODULE:NAME` names: a Runnable, or a function.

    Raises:
        EvaluationError: it is neither, or cannot be imported.
    """
    found = load_object(reference)
    if not isinstance(found, Runnable) and not callable(found):
        raise EvaluationError(
            f"{reference} can neither be invoked nor called.",
            hint="Name a Runnable, a compiled graph, or a function of an example's inputs.",
        )
    return RunnableTarget(found, reference.rpartition(":")[2])


def _prompts_hash() -> str:
    digest = hashlib.sha256()
    folder = resources.files("groundling.data") / "prompts"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        digest.update(f"{file.name}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:HASH_DIGITS]
