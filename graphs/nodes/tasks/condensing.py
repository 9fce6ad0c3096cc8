"""Summaries: each piece alone, then the summaries together, as often as it takes."""

from __future__ import annotations

import asyncio
from itertools import islice

from langchain_core.messages import BaseMessage

from groundling.graphs.nodes.tasks.asking import compose
from groundling.graphs.nodes.tasks.pieces import budget, pieces
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources
from groundling.knowledge.citations import sentences
from groundling.models.prompts import Prompt

SENTENCES = 3
PER_SENTENCE = 70  # tokens; Korean takes about twice as many as English


async def summarize(state: State, resources: Resources) -> Answer:
    """Summarise a text of any length; every part of it is read."""
    count = state.get("sentences") or SENTENCES
    length = min(resources.settings.model.max_tokens, count * PER_SENTENCE)
    most = budget(resources, length)
    parts = [piece.text for piece in pieces(state["text"], resources.model, most)]
    read = len(parts)
    rounds = 0
    while len(parts) > 1:
        rounds += 1
        texts = await asyncio.gather(
            *(_condense(state, resources, part, count, length, final=False) for part in parts)
        )
        joined = "\n\n".join(texts)
        if len(joined) >= sum(len(part) for part in parts):  # no shorter: once is enough
            parts = [pieces(joined, resources.model, most)[0].text]
        else:
            parts = [piece.text for piece in pieces(joined, resources.model, most)]
    summary = await _condense(state, resources, parts[0], count, length, final=True)
    return {
        "result": {"summary": summary, "pieces": read, "rounds": rounds},
        "answer": summary,
    }


async def _condense(
    state: State, resources: Resources, text: str, count: int, length: int, *, final: bool
) -> str:
    messages, used = compose(state, resources, "summarize", text, count=str(count))
    reply = await _call(resources, messages, used, length, final=final)
    return whole(reply, count) if final else reply


async def _call(
    resources: Resources, messages: list[BaseMessage], used: Prompt, length: int, *, final: bool
) -> str:
    config = used.config if final else used.quiet
    reply = await resources.model.ainvoke(messages, config, max_tokens=length)
    return reply.text.strip()


def whole(text: str, count: int) -> str:
    """Keep at most `count` sentences, and drop a last one that was cut off."""
    found = list(islice(sentences(text), count + 1))
    if not found:
        return text
    kept = found[:count]
    if len(kept) > 1 and kept[-1].text[-1:] not in ".!?。！？…\"'”’)]":
        kept = kept[:-1]
    return text[: kept[-1].end].strip()
