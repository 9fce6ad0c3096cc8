"""The documents as a source of facts: a quotation for or against each claim.

The passages that the answer was written from are looked at first, then the knowledge base
is searched with the claim. Of the passages the stretch that shares most words with the claim
is taken; where nothing comes near, nothing is asked. A model then weighs, in one forward
pass, whether that stretch makes the claim true or false; it reads a few sentences, not
whole passages, which a small model judges both better and faster. Numbers are not left to
it: see `figures`.

A verdict of SUPPORTED or REFUTED always carries the stored text, word for word, and its
place. What nothing was found for is NOT_ENOUGH_EVIDENCE, however true it may be.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundling.errors import KnowledgeError
from groundling.facts.asking import weigh
from groundling.facts.claim import Background, CheckedClaim, Claim, Verdict, settled
from groundling.facts.figures import Conflict, conflict, corrected
from groundling.knowledge.citations import NUMBER, Evidence, cite, find_evidence, numbers, sentences
from groundling.knowledge.passage import Passage
from groundling.models.prompts import Language, language_of, prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from groundling.knowledge.base import Knowledge

SEARCHED = 4  # passages that a search with the claim brings
OPTIONS = ("true", "false", "unknown")
NEAR = 0.35  # share of the claim's terms that a stretch must hold to be worth asking about
ALIKE = 0.6  # the same, where numbers alone are to refute
# Logarithms of the model's true : false, and the most weight that unknown may have. Chosen on
# the calibration halves of bench/evidence.py (scifact, xquad, korquad, pubmedqa; 48 claims of
# each, Qwen2.5-Coder-1.5B). Of what is settled there 67 % is right, of what is refuted 79 %;
# -0.5 instead of SUPPORTS gives 8 points more of balanced accuracy, but 39 % instead of 14 %
# of the claims that are not supported would be called so.
SUPPORTS = 0.5
REFUTES = -0.75
UNKNOWN = 0.9
LEAST = 1e-6  # a weight of nothing, for the logarithm
CERTAIN = {"true": 1.0, "false": 0.0, "unknown": 0.0}


@dataclass(frozen=True)
class Stretch:
    """What of the passages is nearest to a claim.

    Args:
        evidence: one or two sentences, to be quoted.
        around: these with a neighbour on each side, to be judged.
    """

    evidence: Evidence
    around: str

    @property
    def quote(self) -> str:
        passage = self.evidence.passage
        return passage.text[self.evidence.start - passage.start : self.evidence.end - passage.start]


class KnowledgeSource:
    """Settles claims by the documents.

    Args:
        knowledge: searched with each claim that the passages at hand do not settle; without
            it, those are all there is.
        model: weighs; without one, only numbers can refute and nothing is supported.
    """

    name = "knowledge"

    def __init__(self, knowledge: Knowledge | None, model: BaseChatModel | None) -> None:
        self._knowledge = knowledge
        self._model = model

    async def check(self, claim: Claim, background: Background) -> CheckedClaim | None:
        """Settle one claim; see `check_many`."""
        return (await self.check_many([claim], background))[0]

    async def check_many(
        self, claims: Sequence[Claim], background: Background
    ) -> list[CheckedClaim | None]:
        """Settle claims; None for all where there are no documents of any kind.

        Raises:
            KnowledgeError: the knowledge base cannot be read.
            ModelError: the model cannot be asked.
        """
        if self._knowledge is None and not background.passages:
            return [None] * len(claims)
        given = [list(background.passages)] * len(claims)
        verdicts = await self._judge(claims, given)
        open_ = [n for n, one in enumerate(verdicts) if one["verdict"] == "NOT_ENOUGH_EVIDENCE"]
        if self._knowledge is not None and open_:
            search = self._knowledge.search
            found = await asyncio.gather(
                *(asyncio.to_thread(search, claims[n]["text"], SEARCHED) for n in open_)
            )
            fresh = await self._judge([claims[n] for n in open_], found)
            for n, verdict in zip(open_, fresh, strict=True):
                if verdict["evidence"] or not verdicts[n]["evidence"]:
                    verdicts[n] = verdict
        return list(verdicts)

    async def _judge(
        self, claims: Sequence[Claim], passages: Sequence[Sequence[Passage]]
    ) -> list[CheckedClaim]:
        stretches = [
            nearest(claim["text"], shown) for claim, shown in zip(claims, passages, strict=True)
        ]
        weights = await self._weigh(claims, stretches)
        return [
            self._verdict(claim, stretch, weights.get(n))
            for n, (claim, stretch) in enumerate(zip(claims, stretches, strict=True))
        ]

    async def _weigh(
        self, claims: Sequence[Claim], stretches: Sequence[Stretch | None]
    ) -> dict[int, Mapping[str, float]]:
        """Ask the model about each claim that something comes near to and that is not there
        word for word; the claims of one language in one go.
        """
        asked: dict[Language, dict[int, list[BaseMessage]]] = {}
        weights: dict[int, Mapping[str, float]] = {}
        for n, (claim, stretch) in enumerate(zip(claims, stretches, strict=True)):
            if stretch is None:
                continue
            if same(claim["text"], stretch.quote):
                weights[n] = CERTAIN
                continue
            language = language_of(claim["text"])
            messages = prompt("fact_evidence", language).messages(
                text=stretch.around, claim=claim["text"]
            )
            asked.setdefault(language, {})[n] = messages
        if self._model is not None:
            for language, prompts in asked.items():
                config = prompt("fact_evidence", language).quiet
                found = await weigh(self._model, list(prompts.values()), list(OPTIONS), config)
                weights |= dict(zip(prompts, found, strict=True))
        return weights

    def _verdict(
        self, claim: Claim, stretch: Stretch | None, weights: Mapping[str, float] | None
    ) -> CheckedClaim:
        text = claim["text"]
        if stretch is None or not self._stands(stretch):
            return settled(claim, "NOT_ENOUGH_EVIDENCE", self.name, query=text)
        clash = conflict(text, stretch.quote)
        lacking = not numbers(text) <= numbers(stretch.around)
        verdict = decided(weights, stretch.evidence.score, clash=clash, lacking=lacking)
        better = corrected(text, clash) if clash and verdict == "REFUTED" else None
        return settled(
            claim,
            verdict,
            self.name,
            query=text,
            evidence=stretch.quote,
            correction=better,
            place=place(stretch.evidence),
        )

    def _stands(self, stretch: Stretch) -> bool:
        """Tell whether the quotation is what is stored at its place now."""
        at = stretch.evidence
        if self._knowledge is None or at.passage.document_id < 0:
            return True
        try:
            stored = self._knowledge.text(at.passage.document_id, at.start, at.end)
        except KnowledgeError:  # the document has gone since the passage was read
            return False
        return stored == stretch.quote


def decided(
    weights: Mapping[str, float] | None, score: float, *, clash: Conflict | None, lacking: bool
) -> Verdict:
    """Make a verdict of what the model weighs and what the numbers say.

    Args:
        weights: the model's, None without one.
        score: share of the claim's terms in the stretch.
        clash: a number that the stretch has otherwise.
        lacking: whether a number of the claim is missing there.
    """
    if clash is not None and score >= ALIKE:
        return "REFUTED"
    if weights is None:
        return "NOT_ENOUGH_EVIDENCE"
    if weights["unknown"] > UNKNOWN:
        return "NOT_ENOUGH_EVIDENCE"
    lean = math.log(max(weights["true"], LEAST) / max(weights["false"], LEAST))
    if lean >= SUPPORTS and not lacking:
        return "SUPPORTED"
    return "REFUTED" if lean <= REFUTES else "NOT_ENOUGH_EVIDENCE"


def nearest(claim: str, passages: Sequence[Passage]) -> Stretch | None:
    """Find the stretch that shares most words with a claim, whatever its numbers."""
    exact = find_evidence(claim, passages)
    found = (
        exact if exact and exact.score >= NEAR else find_evidence(NUMBER.sub(" ", claim), passages)
    )
    if found is None or found.score < NEAR:
        return None
    text, begin = found.passage.text, found.passage.start
    start, end = found.start - begin, found.end - begin
    parts = list(sentences(text))
    before = [one.start for one in parts if one.end <= start]
    after = [one.end for one in parts if one.start >= end]
    around = text[before[-1] if before else start : after[0] if after else end]
    return Stretch(found, " ".join(around.split()))


def same(claim: str, quote: str) -> bool:
    """Tell whether a claim is a quotation: the same words, whatever stands around them."""
    return _words(claim) == _words(quote) != []


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[%°$€₩<>=±−-]", text.casefold())


def place(evidence: Evidence) -> str:
    """Say where evidence stands: document, page, characters."""
    at = cite(0, evidence)
    page = f", page {at['page']}" if at["page"] else ""
    return f"{at['source']}{page}, characters {at['start']}–{at['end']}"
