"""What only a model can judge: harm, topic, grounding. Each is one forward pass.

The text to be judged stands last in the prompt and is data there. A long text is judged by
windows, since the signs of harm in a long text are otherwise drowned; the worst one counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from groundling.guardrails.decision import Reason
from groundling.guardrails.harm import CATEGORIES
from groundling.guardrails.policy import Topics
from groundling.knowledge.citations import SUPPORT, find_evidence, sentences
from groundling.knowledge.passage import Passage
from groundling.models.decide import decide
from groundling.models.prompts import fenced, language_of, prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WINDOW = 2_000  # characters
OVERLAP = 200
MOST_WINDOWS = 12  # of longer texts, the beginning, the end and some between
SUSPICIOUS = 0.1  # probability of harm from which its category is asked for
CARRIED = 0.5  # probability from which passages carry a statement; not calibrated
YES, NO = "yes", "no"


class Judge:
    """Asks a model.

    Args:
        model: the chat model.
        guard_model: a model trained to judge harm, asked in its own words instead.
    """

    def __init__(
        self, model: BaseChatModel | None, guard_model: BaseChatModel | None = None
    ) -> None:
        self.model = model
        self.guard_model = guard_model

    async def harm(
        self, text: str, *, question: str | None = None, context: Sequence[str] = ()
    ) -> list[Reason]:
        """Judge whether a request, or with `question` the answer to it, does harm.

        Returns:
            One reason with the worst window's probability and its category, `S1` to `S14`;
            nothing where harm is out of the question.
        """
        if self.guard_model is not None:
            from groundling.guardrails.guard_models import judged

            return await judged(self.guard_model, text, question=question, context=context)
        if self.model is None:
            return []
        weight, part = await self.weigh(text, question)
        if weight < SUSPICIOUS:
            return []
        category = await self._category(part, question)
        return [_judged("harm", category, weight, CATEGORIES[category])]

    async def weigh(self, text: str, question: str | None = None) -> tuple[float, str]:
        """Return the chat model's probability of harm, and the window that it is highest in."""
        parts = list(windows(text))
        weights = await asyncio.gather(*(self._harm(part, question) for part in parts))
        return max(zip(weights, parts, strict=True), key=lambda pair: pair[0])

    async def _harm(self, text: str, question: str | None) -> float:
        name = "guard_request" if question is None else "guard_answer"
        used = prompt(name, language_of(text))
        messages = used.messages(text=fenced(text), question=fenced(question or ""))
        return await self._yes(messages, used.config)

    async def _category(self, text: str, question: str | None) -> str:
        assert self.model is not None
        used = prompt("guard_category", language_of(text))
        shown = text if question is None else f"{question}\n\n{text}"
        listed = "\n".join(f"{key}: {name}" for key, name in CATEGORIES.items())
        messages = used.messages(text=fenced(shown), categories=listed)
        weights = await decide(self.model, messages, list(CATEGORIES), used.config)
        return max(weights, key=lambda key: weights[key])

    async def topic(self, text: str, topics: Topics) -> list[Reason]:
        """Judge whether a text is about something denied, or about nothing allowed."""
        if self.model is None:
            return []
        reasons = []
        begin = text[:WINDOW]
        for topic in topics.denied:
            weight = await self._about(begin, topic)
            reasons.append(_judged("topic", "denied", weight, topic))
        if topics.allowed:
            weights = [await self._about(begin, topic) for topic in topics.allowed]
            detail = "none of " + ", ".join(topics.allowed)
            reasons.append(_judged("topic", "off_topic", 1 - max(weights), detail))
        return reasons

    async def _about(self, text: str, topic: str) -> float:
        used = prompt("guard_topic", language_of(text))
        return await self._yes(used.messages(text=fenced(text), topic=topic), used.config)

    async def grounding(self, text: str, question: str, passages: Sequence[str]) -> list[Reason]:
        """Judge whether passages carry an answer: by its words, then by the model.

        The score is the share of sentences that neither finds in the passages.
        """
        shown = [
            Passage(number, 0, "", "", "", None, 0, len(passage), passage)
            for number, passage in enumerate(passages)
        ]
        stated = list(sentences(text))
        missing = []
        for sentence in stated:
            evidence = find_evidence(sentence.text, shown, question=question)
            if evidence is None or evidence.score < SUPPORT:
                missing.append(sentence)
        loose = [one for one in missing if not await self._carried(one.text, passages)]
        if not loose:
            return []
        share = len(loose) / len(stated)
        reason = _judged("grounding", "ungrounded", share, loose[0].text[:120])
        return [{**reason, "start": loose[0].start, "end": loose[0].end}]

    async def _carried(self, statement: str, passages: Sequence[str]) -> bool:
        if self.model is None:
            return False
        used = prompt("guard_grounding", language_of(statement))
        text = "\n\n".join(passages)[: 4 * WINDOW]
        return (
            await self._yes(used.messages(text=fenced(text), statement=statement), used.config)
            >= 0.5
        )

    async def _yes(self, messages: Sequence[BaseMessage], config: RunnableConfig) -> float:
        assert self.model is not None
        weights = await decide(self.model, messages, [YES, NO], config)
        return weights[YES]


def windows(text: str) -> Iterator[str]:
    """Cut a long text into windows that overlap; of too many, some in the middle are left out."""
    if len(text) <= WINDOW:
        yield text
        return
    step = WINDOW - OVERLAP
    starts = list(range(0, len(text) - OVERLAP, step))
    if len(starts) > MOST_WINDOWS:
        span = len(starts) - 1
        places = {round(n * span / (MOST_WINDOWS - 1)) for n in range(MOST_WINDOWS)}
        starts = [starts[place] for place in sorted(places)]
    for start in starts:
        yield text[start : start + WINDOW]


def _judged(detector: str, kind: str, weight: float, detail: str) -> Reason:
    return {
        "detector": detector,
        "kind": kind,
        "score": round(float(weight), 4),
        "start": None,
        "end": None,
        "outcome": "flag",
        "detail": detail,
    }
