"""Named entities: a grammar holds the list, the text proves each name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.exceptions import OutputParserException
from typing_extensions import TypedDict

from groundling.graphs.nodes.tasks.asking import compose
from groundling.graphs.nodes.tasks.pieces import Piece, budget, pieces
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources

TYPES = ("person", "organization", "place", "date", "quantity", "product")
MOST = 40  # names in one piece
PIECE = 500  # tokens: a small model overlooks names in longer texts
_ASCII_WORD = re.compile(r"[A-Za-z0-9]")


class Entity(TypedDict):
    """A name at its place: `whole[start:end] == text`."""

    text: str
    type: str
    start: int
    end: int


async def find_entities(state: State, resources: Resources) -> Answer:
    """List the names in the text; one that does not stand there is left out and counted."""
    types = list(state.get("labels") or TYPES)
    parts = pieces(state["text"], resources.model, min(PIECE, budget(resources)))
    found = await asyncio.gather(*(_ask(state, resources, part, types) for part in parts))
    entities: list[Entity] = []
    dropped = 0
    for part, named in zip(parts, found, strict=True):
        for name, kind in named:
            places = list(occurrences(name, part.text)) if kind in types else []
            dropped += not places
            entities += [
                Entity(
                    text=part.text[start:end],
                    type=kind,
                    start=part.start + start,
                    end=part.start + end,
                )
                for start, end in places
            ]
    kept = longest(entities)
    return {
        "result": {"entities": kept, "dropped": dropped},
        "answer": "\n".join(f"{entity['type']}: {entity['text']}" for entity in kept),
    }


async def _ask(
    state: State, resources: Resources, part: Piece, types: Sequence[str]
) -> list[tuple[str, str]]:
    shown: State = {
        **state,
        "examples": [
            {**example, "output": {"entities": example["output"]}}
            for example in state.get("examples") or []
        ],
    }
    messages, used = compose(shown, resources, "entities", part.text, labels=", ".join(types))
    model = resources.model.with_structured_output(schema(types), method="json_schema")
    try:
        answer = await model.ainvoke(messages, used.quiet)
    except OutputParserException:  # cut short: a text of names, more than an answer holds
        half = pieces(part.text, resources.model, max(16, PIECE // 4))
        if len(half) < 2:
            return []
        answers = [await _ask(state, resources, one, types) for one in half]
        return [pair for pairs in answers for pair in pairs]
    listed = answer.get("entities", []) if isinstance(answer, dict) else []
    return list(dict.fromkeys((one["text"].strip(), one["type"]) for one in listed))


def schema(types: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of an answer."""
    entity = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "type": {"enum": list(types)}},
        "required": ["text", "type"],
        "additionalProperties": False,
    }
    return {
        "title": "Entities",
        "description": "The names in the text.",
        "type": "object",
        "properties": {"entities": {"type": "array", "items": entity, "maxItems": MOST}},
        "required": ["entities"],
        "additionalProperties": False,
    }


def occurrences(name: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a name stands, as whole words where its script has spaces.

    White space of any kind and length stands for white space; nothing else is forgiven.
    """
    words = [re.escape(word) for word in name.split()]
    if not words:
        return
    before = r"(?<![A-Za-z0-9])" if _ASCII_WORD.match(name) else ""
    after = r"(?![A-Za-z0-9])" if _ASCII_WORD.match(name.strip()[-1]) else ""
    for match in re.finditer(before + r"\s+".join(words) + after, text):
        yield match.span()


def longest(entities: Sequence[Entity]) -> list[Entity]:
    """Of names that overlap keep the longest, and the first among equal ones; in order."""
    kept: list[Entity] = []
    end = -1
    order = sorted(entities, key=lambda one: (one["start"], -one["end"]))
    for entity in order:
        if entity["start"] >= end:
            kept.append(entity)
            end = entity["end"]
    return kept
