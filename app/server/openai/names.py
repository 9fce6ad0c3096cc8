"""Which models there are: the bare one, graphs, graphs over a knowledge base, the embedder.

qwen2.5-coder-1.5b    the configured model itself, with tools and forms
agent, rag, chat …    graphs that take a conversation
rag:handbook          a graph that answers from this knowledge base
minilm-l6             the embedder, for /v1/embeddings
…@bot-2               any but the embedder, with this adapter of the model
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from groundling.errors import AdapterError, ModelError
from groundling.server.openai.bodies import wrong
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found

if TYPE_CHECKING:
    from groundling.server.services import Services

GRAPHS = ("agent", "rag", "chat", "toolbox", "ask")
NAMED_WITH_KNOWLEDGE = ("agent", "rag")
READING = ("agent", "rag", "toolbox")  # graphs that can answer from documents
_WITH = "@"  # stands in no name of a graph, a knowledge base or an adapter


@dataclass(frozen=True)
class Target:
    """What a model's id names.

    Args:
        id: as it was asked for.
        kind: what answers.
        graph: which one.
        knowledge: the folder of the knowledge base that it answers from.
        adapter: as for a wish; None: as configured.
    """

    id: str
    kind: Literal["model", "graph", "embedder"]
    graph: str = ""
    knowledge: str | None = None
    adapter: str | None = None


def model_id(held: Services) -> str:
    """Return the id of the bare model."""
    from groundling.models.calling import shown_name

    model = held.graphs.model
    name = getattr(model, "model", None)
    if not isinstance(name, str):
        wanted = held.settings.model
        remote = wanted.base_url is not None and "name" not in wanted.model_fields_set
        name = "default" if remote else wanted.name
    return shown_name(name)


def embedder_id(held: Services) -> str:
    """Return the id of the embedder."""
    from groundling.models.calling import shown_name

    name = held.settings.model.embedder
    return name if name.startswith("hf:") else shown_name(name)


def listed(held: Services, person: Person) -> list[dict[str, Any]]:
    """List what a person may ask, the bare model first; reads files."""
    from groundling.graphs.registry import GRAPHS as TEXTS

    bases = held.people.knowledge_shown(person)
    context = {"max_model_len": held.settings.model.context}
    made = int(held.settings.home.stat().st_mtime)
    bare = model_id(held)
    entries: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (bare, {"kind": "model", **_answering(held)}, context),
        *(
            (
                f"{bare}{_WITH}{each.card.name}",
                {"kind": "model", "adapter": each.card.name},
                {**context, "parent": bare, "created": _moment(each.card.created, made)},
            )
            for each in held.graphs.adapters.all()
        ),
        *((name, {"kind": "graph", "description": TEXTS[name]}, {}) for name in GRAPHS),
        *(
            (
                f"{name}:{base.name}",
                {"kind": "graph", "description": TEXTS[name], "knowledge": base.name},
                {},
            )
            for name in NAMED_WITH_KNOWLEDGE
            for base in bases
        ),
        (embedder_id(held), {"kind": "embedder"}, {}),
    ]
    return [
        {
            "id": id,
            "object": "model",
            "created": made,
            "owned_by": "groundling",
            "groundling": about,
            **further,
        }
        for id, about, further in entries
    ]


def _answering(held: Services) -> dict[str, str]:
    """Tell which adapter answers for who names none."""
    from groundling.models.adapter_names import together

    try:
        adapters = held.graphs.adapters.answering()
    except ModelError:  # who asks is told
        return {}
    return {"adapter": together(adapters)} if adapters else {}


def _moment(created: str, otherwise: int) -> int:
    """Return a card's time as OpenAI's interface has it."""
    try:
        return int(datetime.fromisoformat(created).timestamp())
    except ValueError:
        return otherwise


def find(held: Services, person: Person, id: str, knowledge: str | None = None) -> Target:
    """Return what answers under an id; reads files.

    Args:
        held: of the server.
        person: who asks.
        id: the model's.
        knowledge: the knowledge base that the request names beside it.

    Raises:
        Problem: 404; there is no such model, adapter or knowledge base, or it is another
            person's. 400; two knowledge bases are named, or the model reads none.
    """
    bare, at, adapter = id.rpartition(_WITH)
    if not at or id in (model_id(held), embedder_id(held)):
        return _find(held, person, id, knowledge)
    target = _find(held, person, bare, knowledge)
    if target.kind == "embedder" or not adapter:
        raise unknown(id)
    try:
        held.graphs.adapters.answering(adapter)
    except AdapterError as error:
        raise Problem(
            404, str(error), hint=error.hint, code="model_not_found", param="model"
        ) from None
    return replace(target, id=id, adapter=adapter)


def _find(held: Services, person: Person, id: str, knowledge: str | None) -> Target:
    name, _, base = id.partition(":")
    if name in GRAPHS and (not base or name in NAMED_WITH_KNOWLEDGE):
        if base and knowledge and base != knowledge:
            raise wrong("groundling.knowledge", f"the model {id} names another knowledge base")
        wanted = base or knowledge
        if wanted and name not in READING:
            raise wrong("groundling.knowledge", f"the model {name} reads no documents")
        if name not in READING:
            return Target(id, "graph", name)
        try:
            return Target(id, "graph", name, folder_of(held, person, wanted, name == "rag"))
        except Problem as error:
            raise (unknown(id) if base else _unknown_base(error)) from None
    if knowledge:
        hint = f"Those that do: {', '.join(READING)}."
        raise wrong("groundling.knowledge", f"the model {id} reads no documents", hint=hint)
    if id == model_id(held):
        return Target(id, "model")
    if id == embedder_id(held):
        return Target(id, "embedder")
    raise unknown(id)


def folder_of(held: Services, person: Person, name: str | None, needed: bool) -> str | None:
    """Return the folder of a knowledge base that a person may read; reads files.

    Args:
        held: of the server.
        person: who asks.
        name: as it is shown to them; None: the one that is theirs by default.
        needed: whether there must be one.

    Raises:
        Problem: 404; they have no such one.
    """
    if name is not None:
        return held.people.knowledge(person, name)
    folder = held.people.knowledge_default(person)
    if folder is None and needed:
        raise not_found(f"knowledge base {held.settings.retrieval.knowledge}")
    return folder


def _unknown_base(error: Problem) -> Problem:
    return Problem(error.status, error.message, hint=error.hint, param="groundling.knowledge")


def unknown(id: str) -> Problem:
    """Say that there is no such model, or that it is another person's."""
    shown = id if len(id) <= 100 else f"{id[:100]}…"
    return Problem(
        404,
        f"The model {shown} does not exist, or you may not use it.",
        hint="GET /v1/models lists those that there are.",
        code="model_not_found",
        param="model",
    )
