"""Whether a fact is known, takes the place of one, or is new.

Facts are not piled up: one that says the same in other words is not stored again, and one
that cannot be true together with an older one takes its place. The store finds the few
that come into question by words, meaning and topic; the model weighs each in one pass. It
takes much for a change, so its word counts only where one fact can replace another.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from langchain_core.language_models import BaseChatModel

from groundling.memory.extraction import Fact
from groundling.memory.memories import Memories
from groundling.memory.memory import Memory
from groundling.memory.searching import Similar
from groundling.memory.topics import may_replace
from groundling.models.decide import decide
from groundling.models.prompts import language_of, prompt

CANDIDATES = 3
SAME, CHANGED = 0.5, 0.5  # probabilities from which on the model is believed
Relation = Literal["same", "replaces", "new"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a fact: the memory that now says it, and what it took the place of."""

    memory: Memory
    relation: Relation
    replaced: int | None = None


async def keep(
    memories: Memories,
    user: str,
    fact: Fact,
    model: BaseChatModel | None,
    *,
    source: str | None = None,
) -> Kept:
    """Store a fact unless it is known; without a model only equal words are the same.

    Raises:
        MemoriesError: it cannot be stored.
        Exception: the model's own errors; nothing is stored then.
    """
    near = await asyncio.to_thread(memories.similar, user, fact.text, fact.kind, CANDIDATES)
    relation, number = await relate(fact, near, model)
    if relation == "same" and number is not None:
        return Kept(await asyncio.to_thread(memories.get, user, number), "same")
    stored = await asyncio.to_thread(
        memories.remember, user, fact.text, kind=fact.kind, source=source, supersedes=number
    )
    return Kept(stored, relation, number)


async def relate(
    fact: Fact, near: list[Similar], model: BaseChatModel | None
) -> tuple[Relation, int | None]:
    """Tell how a fact stands to those that are near, and to which."""
    if model is None:
        return "new", None
    for other in near:
        used = prompt("memory_relation", language_of(fact.text))
        messages = used.messages(old=other.text, new=fact.text)
        weights = await decide(model, messages, ["same", "changed", "other"], used.quiet)
        if weights["same"] >= SAME:
            return "same", other.id
        if weights["changed"] >= CHANGED and may_replace(other.text, fact.text):
            return "replaces", other.id
    return "new", None
