"""What a conversation knows of the person: recalled before the answer, remembered after it.

`recall` writes the numbers of the facts that fit the question, `known` is their text for a
prompt, and `remember` learns from the person's own words once the answer has been given.
All three do nothing where memories are off. What fails here is a notice, never the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from groundling.errors import UnknownMemory
from groundling.graphs.resources import Resources
from groundling.memory.deduplication import keep
from groundling.memory.extraction import find_facts
from groundling.models.prompts import Language, language_of, prompt

FAILED: Mapping[str, Mapping[Language, str]] = {
    "recall": {
        "en": "What is known of you could not be recalled: {error}",
        "ko": "기억해 둔 내용을 불러오지 못했습니다: {error}",
    },
    "remember": {
        "en": "What you said of yourself could not be remembered: {error}",
        "ko": "말씀하신 내용을 기억해 두지 못했습니다: {error}",
    },
}


class Recalled(TypedDict, total=False):
    """What `recall` gives: the numbers of facts, best first."""

    recalled: list[int]
    notices: list[str]


class Remembered(TypedDict, total=False):
    """What `remember` gives: the numbers of facts that were new or have changed."""

    remembered: list[int]
    notices: list[str]


async def recall(state: Mapping[str, Any], resources: Resources) -> Recalled:
    """Find the facts about the person that fit the question."""
    limits = resources.settings.memory
    question = state.get("question") or ""
    if not limits.recall or not question:
        return {"recalled": []}
    try:
        memories = await asyncio.to_thread(lambda: resources.memories)
        if memories is None:
            return {"recalled": []}
        found = await asyncio.to_thread(memories.recall, limits.user, question, limits.recall)
    except Exception as error:  # a damaged file, an embedder that fails: the answer goes on
        return {"recalled": [], "notices": _noticed(state, "recall", error)}
    return {"recalled": [memory.id for memory in found]}


def known(state: Mapping[str, Any], resources: Resources) -> str:
    """Return the recalled facts as delimited text for a prompt, "" where there are none.

    They are data that people wrote: the text belongs into a message of the person, never into
    a system message. What was forgotten since it was recalled is left out.
    """
    numbers = state.get("recalled") or []
    if not numbers or (memories := resources.memories) is None:
        return ""
    lines: list[str] = []
    for number in numbers:
        try:
            fact = memories.get(resources.settings.memory.user, number)
        except UnknownMemory:
            continue
        if fact.superseded_by is None:
            lines.append("- " + fact.text.replace("<", "‹").replace(">", "›"))
    if not lines:
        return ""
    used = prompt("memory_known", language_of(state.get("question") or ""))
    return used.messages(facts="\n".join(lines))[0].text


async def remember(state: Mapping[str, Any], resources: Resources) -> Remembered:
    """Keep the lasting facts that the person's message tells of them.

    A message that the guard has blocked is not learnt from.
    """
    question = state.get("question") or ""
    if not question or state.get("blocked"):
        return {"remembered": []}
    numbers: list[int] = []
    try:
        memories = await asyncio.to_thread(lambda: resources.memories)
        if memories is None:
            return {"remembered": []}
        user = resources.settings.memory.user
        for fact in await find_facts(
            question, resources.model, personal=resources.settings.memory.personal
        ):
            kept = await keep(memories, user, fact, resources.model, source="conversation")
            if kept.relation != "same":
                numbers.append(kept.memory.id)
    except Exception as error:  # the answer has been given: a model that fails is a notice
        return {"remembered": numbers, "notices": _noticed(state, "remember", error)}
    return {"remembered": numbers}


def _noticed(state: Mapping[str, Any], step: str, error: Exception) -> list[str]:
    text = FAILED[step][language_of(state.get("question") or "")]
    return [*(state.get("notices") or []), text.format(error=error or type(error).__name__)]
