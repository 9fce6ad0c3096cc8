"""What a run may be told beside its input: `config.configurable` and `context`.

Both carry the same things; LangGraph has moved from the first to the second. Keys of `Wishes`
are taken from either. What a client must not decide, such as the thread or the person, is left
out: LangGraph's own clients send such keys when a remote graph is a node of a local one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any

from pydantic import Field

from groundling.server.graphs import Wishes
from groundling.server.langgraph.bodies import Body, checked
from groundling.server.person import Person
from groundling.server.services import Services

WISHES = frozenset(field.name for field in fields(Wishes))
_RESERVED = frozenset(
    {
        "assistant_id",
        "checkpoint_id",
        "checkpoint_map",
        "checkpoint_ns",
        "graph_id",
        "run_id",
        "thread_id",
        "user_id",
    }
)
_RESERVED_BEGINNINGS = ("__", "langgraph_")


class _Given(Body):
    """The wishes, as they come."""

    knowledge: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    adapter: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    strict: bool | None = None


def free(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client may set and no wish takes; graphs find it in their configuration."""
    return {
        name: value
        for name, value in given.items()
        if name not in WISHES
        and name not in _RESERVED
        and not name.startswith(_RESERVED_BEGINNINGS)
    }


async def wishes_of(
    services: Services, person: Person, configurable: Mapping[str, Any], context: Mapping[str, Any]
) -> Wishes:
    """Read the wishes out of both places; `context` wins.

    Returns:
        The wishes; `knowledge` is the folder that the shown name stands for.

    Raises:
        Problem: 422, a value is none; 404, there is no such knowledge base.
        SettingsError: a value is impossible.
        AdapterError: there is no such adapter, or it is of another base.
    """
    both = {**configurable, **context}
    given = checked({name: both[name] for name in both if name in WISHES}, _Given)
    wishes = Wishes(**given.model_dump(exclude_none=True))
    wishes.applied(services.settings.model)
    if wishes.adapter is not None:
        await services.work(services.graphs.adapters.answering, wishes.adapter)
    people = services.people
    if wishes.knowledge is not None:
        folder = await services.work(people.knowledge, person, wishes.knowledge)
        return replace(wishes, knowledge=folder)
    if person.id != services.settings.memory.user:  # the configured one is that person's
        return replace(wishes, knowledge=await services.work(people.knowledge_default, person))
    return wishes
