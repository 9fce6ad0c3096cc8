"""Question answering over one given text, with the words that prove the answer."""

from __future__ import annotations

import asyncio

from typing_extensions import TypedDict

from groundling.graphs.nodes.tasks.asking import compose
from groundling.graphs.nodes.tasks.pieces import Piece, budget, pieces
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources
from groundling.knowledge.citations import SUPPORT, find_evidence
from groundling.knowledge.passage import Passage
from groundling.models.decide import decide
from groundling.models.prompts import Language, language_of

PIECE = 700  # tokens
MIN_RELEVANCE = 0.25  # as in `rag`
NOT_THERE: dict[Language, str] = {"en": "Not in this text.", "ko": "이 글에는 없는 내용입니다."}
ANSWER = 96  # tokens


class Quote(TypedDict):
    """Words of the text that carry the answer: `whole[start:end] == text`."""

    text: str
    start: int
    end: int
    score: float


async def answer(state: State, resources: Resources) -> Answer:
    """Answer from the text alone, or say that it is not there."""
    question = state["question"]
    parts = pieces(state["text"], resources.model, min(PIECE, budget(resources)))
    weights = await asyncio.gather(*(_relevance(state, resources, part) for part in parts))
    best = max(range(len(parts)), key=lambda place: weights[place])
    if weights[best] < MIN_RELEVANCE:
        said = NOT_THERE[language_of(question)]
        result = {"answer": None, "quote": None, "relevance": round(weights[best], 4)}
        return {"result": result, "answer": said}
    messages, used = compose(state, resources, "answer", parts[best].text, question=question)
    reply = await resources.model.ainvoke(messages, used.config, max_tokens=ANSWER)
    said = reply.text.strip()
    quote = prove(said, question, parts[best])
    return {
        "result": {"answer": said, "quote": quote, "relevance": round(weights[best], 4)},
        "answer": said,
    }


async def _relevance(state: State, resources: Resources, part: Piece) -> float:
    alone: State = {**state, "examples": [], "thoughts": ""}
    messages, used = compose(alone, resources, "answerable", part.text, question=state["question"])
    return (await decide(resources.model, messages, ["yes", "no"], used.config))["yes"]


def prove(said: str, question: str, part: Piece) -> Quote | None:
    """Find the words of the text that carry an answer; None if none do."""
    place = part.text.find(said)
    if said and place >= 0:
        start, end = part.start + place, part.start + place + len(said)
        return Quote(text=said, start=start, end=end, score=1.0)
    passage = Passage(0, 0, "", "", "", None, part.start, part.end, part.text)
    evidence = find_evidence(said, [passage], question=question)
    if evidence is None or evidence.score < SUPPORT:
        return None
    quoted = part.text[evidence.start - part.start : evidence.end - part.start]
    return Quote(text=quoted, start=evidence.start, end=evidence.end, score=evidence.score)
