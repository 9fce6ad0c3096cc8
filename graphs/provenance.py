"""What a graph was made of, as its runs say it, so that they can be run again.

`Home.graph` binds these facts to every graph it makes; they stand in the metadata of the
graph's runs. Only what can decide an answer is told, and of hashes only as much as tells a
change. No folder is named: a trace may be shown to others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

from groundling.errors import ModelError
from groundling.graphs.nodes.chain_file import load_chain
from groundling.graphs.resources import Resources
from groundling.knowledge.base import Knowledge
from groundling.models.adapter_names import together
from groundling.models.adapter_shelf import Shelved
from groundling.models.calling import shown_name
from groundling.models.files.store import ModelStore
from groundling.models.forming import FormingChat
from groundling.models.sampled import SAMPLING_FIELDS, Sampled
from groundling.settings import RetrievalSettings, Settings

HASH_DIGITS = 16
_NAMED = ("seed", "temperature")
RETRIEVAL = ("passages", "budget_tokens", "augment", "rerank", "strict")


@dataclass(frozen=True)
class Provenance:
    """What a graph was made of; None where it says nothing of that.

    Args:
        graph: the name given to `Home.graph`.
        knowledge: the knowledge base that it answers from.
        model: the model's id, or its file's name without the folder.
        model_class: set where a program gave in a model of its own, which settings cannot
            describe.
        model_file: the beginning of the file's hash; of a file outside the model store, size
            and time.
        adapter: what that model answered with, as `model.adapter` names it.
        adapter_made: when each of them was made: one that is trained anew keeps its name.
        server: the address of the server that runs the model.
        documents: a hash of the knowledge base's documents when the graph was made.
        chain: a hash of the chain's file.
        settings: others that are not at their defaults: of the sampler by their names alone,
            and how documents were searched.
    """

    graph: str
    knowledge: str | None = None
    model: str | None = None
    model_class: str | None = None
    model_file: str | None = None
    adapter: str | None = None
    adapter_made: str | None = None
    server: str | None = None
    seed: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    context: int | None = None
    documents: str | None = None
    chain: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: str, resources: Resources, knowledge: str | None = None) -> Self:
        """Describe a graph.

        Args:
            graph: its name.
            resources: what it was built with.
            knowledge: the name of the knowledge base, where it answers from one.
        """
        kind, _, chain = graph.partition(":")
        settings = resources.settings
        others = _retrieval(resources.retrieval) if knowledge is not None else {}
        told = _model(resources.model, settings)
        return cls(
            graph=graph,
            knowledge=knowledge,
            documents=documents_hash(resources.knowledge, settings) if knowledge else None,
            chain=chain_hash(chain) if kind == "chain" and chain else None,
            settings=told.pop("settings", {}) | others,
            **told,
        )

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> Self | None:
        """Read what a run's metadata say; None if its graph was not made by `Home.graph`."""
        if not isinstance(metadata.get("graph"), str):
            return None
        known = {each.name for each in fields(cls)}
        told = {name: value for name, value in metadata.items() if name in known}
        if not isinstance(told.get("settings", {}), Mapping):
            return None
        return cls(**told)

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts that there are, for `with_config`."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {})}


def documents_hash(knowledge: Knowledge, settings: Settings) -> str:
    """Return a hash that changes with the documents, how they are cut, and the embedder."""
    parts = [settings.model.embedder]
    parts += [f"{each.source} {each.sha256} {each.chunks}" for each in knowledge.documents()]
    return _hash("\n".join(parts))


def chain_hash(chain: str) -> str:
    """Return a hash of what a chain's file declares.

    Raises:
        GraphError: there is no such chain, or its file is wrong.
    """
    return _hash(load_chain(chain).model_dump_json())


def model_file(model: str, settings: Settings) -> str | None:
    """Return what tells a model's file from another one; None where it is not here.

    Weights are not read: in the model store a file is named by its hash.
    """
    try:
        path = ModelStore(settings.models_path, settings.download).resolve(model).path
        if path.name.startswith("sha256-"):
            return path.name[: len("sha256-") + HASH_DIGITS]
        found = path.stat()
    except (ModelError, OSError):
        return None
    return f"{found.st_size} bytes of {datetime.fromtimestamp(found.st_mtime, UTC).isoformat()}"


def adapters_told(adapters: Sequence[Shelved]) -> dict[str, str | None]:
    """Write which adapters answer, and when they were made."""
    if not adapters:
        return {"adapter": None, "adapter_made": None}
    made = ", ".join(each.card.created for each in adapters)
    return {"adapter": together(adapters), "adapter_made": made}


def _model(model: object, settings: Settings) -> dict[str, Any]:
    if not isinstance(model, Sampled):
        kind = type(model)
        return {"model": kind.__name__, "model_class": f"{kind.__module__}.{kind.__qualname__}"}
    name, server = getattr(model, "model", None), getattr(model, "base_url", None)
    others = ("stop", "reasoning", "adapters", *SAMPLING_FIELDS)
    defaults = {key: each.default for key, each in type(model).model_fields.items()}
    told = {key: getattr(model, key, None) for key in others if key not in _NAMED}
    adapters = told.pop("adapters")
    return {
        "model": shown_name(name) if name else None,
        "model_class": type(model).__name__ if adapters else None,
        "model_file": model_file(name, settings) if name and server is None else None,
        **adapters_told(_answering(model)),
        "server": server,
        "max_tokens": getattr(model, "max_tokens", None),
        "context": getattr(model, "context", None),
        "settings": {
            key: value
            for key, value in told.items()
            if value is not None and value != defaults.get(key)
        },
        **{key: getattr(model, key) for key in _NAMED},
    }


def _answering(model: object) -> Sequence[Shelved]:
    if not isinstance(model, FormingChat):
        return ()
    try:
        return model.answering()
    except ModelError:  # the call that needs them is told
        return ()


def _retrieval(used: RetrievalSettings) -> dict[str, Any]:
    defaults = RetrievalSettings.model_fields
    told = {name: getattr(used, name) for name in RETRIEVAL}
    return {
        f"retrieval.{name}": value
        for name, value in told.items()
        if value != defaults[name].get_default(call_default_factory=True)
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
