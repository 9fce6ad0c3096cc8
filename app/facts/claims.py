"""From an answer to claims: atomic, self-contained, each with the words it stands for.

A sentence that states one thing and names what it is about is a claim as it is; no model is
asked. The others go to the model together, in one call whose form a grammar holds: of each
it gives the words and the claim that they make when read alone (decomposition and
decontextualisation as in FActScore, Min et al. 2023, arXiv:2305.14251). What it gives is
held against the answer: words that do not stand there are aligned or dropped, and so is a
claim with a figure that neither the answer nor the question has. A sentence of which
nothing is left is its own claim, so none is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from groundling.facts.asking import AT_ONCE, calibrated, weigh
from groundling.facts.claim import CheckedClaim, Claim, settled
from groundling.facts.spans import locate, one_line
from groundling.facts.statements import LONGEST, Kind, Statement, plain, statements
from groundling.knowledge.analyser import analyse
from groundling.knowledge.citations import numbers
from groundling.models.prompts import Language, language_of, prompt

PIECES = 4  # claims that one sentence may give
AROUND = 1500  # characters of the answer that the model sees before the sentence
FACT = 0.35  # calibrated probability from which on a sentence is checked: rather too many
FAITHFUL = 0.6  # share of the words' terms that their claim must have
SCHEMA: dict[str, Any] = {
    "title": "Claims",
    "description": "What a sentence states.",
    "type": "object",
    "properties": {
        "claims": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"words": {"type": "string"}, "claim": {"type": "string"}},
                "required": ["words", "claim"],
                "additionalProperties": False,
            },
            "maxItems": PIECES,
        }
    },
    "required": ["claims"],
    "additionalProperties": False,
}
EVEN = {"fact": 0.5, "opinion": 0.5}
REASONS: dict[Kind, dict[Language, str]] = {
    "opinion": {"en": "an opinion or advice, not a fact", "ko": "사실이 아닌 의견이나 조언"},
    "long": {
        "en": f"a sentence of more than {LONGEST} characters",
        "ko": f"{LONGEST}자가 넘는 문장",
    },
}


@dataclass
class Found:
    """The claims of an answer, and those statements of it that nothing could ever settle."""

    claims: list[Claim] = field(default_factory=list)
    others: list[CheckedClaim] = field(default_factory=list)


async def find_claims(
    answer: str,
    model: BaseChatModel | None,
    *,
    question: str | None = None,
    most: int | None = None,
) -> Found:
    """Split an answer into claims.

    Args:
        answer: any text; code, headings, questions and greetings make no claims.
        model: decides and decomposes; without one sentences are claims as they are.
        question: what was asked, so that "It lasts 24 months" can name what lasts.
        most: sentences that a model is asked about; the rest are claims as they are.

    Returns:
        Claims in the order of the answer: `answer[start:end]` are the words of each. Where
        the model fails, the claims are whole sentences.
    """
    found = Found()
    language = language_of(answer)
    kept = [one for one in statements(answer) if one.kind not in ("question", "phrase")]
    kinds = await _decided(kept, model, language, most)
    facts = []
    for statement, kind in zip(kept, kinds, strict=True):
        if kind == "statement":
            facts.append(statement)
        else:
            reason = REASONS[kind][language]
            found.others.append(settled(_whole(statement), "NOT_CHECKABLE", "", evidence=reason))
    leaning = [one for one in facts[:most] if not one.alone]
    pieces: Mapping[Statement, list[Claim]] = {}
    if leaning and model is not None:
        pieces = await _decompose(leaning, answer, model, question, language)
    for statement in facts:
        found.claims += pieces.get(statement) or [_whole(statement)]
    return found


async def _decided(
    kept: Sequence[Statement], model: BaseChatModel | None, language: Language, most: int | None
) -> list[Kind]:
    """Let the model tell facts from opinions where the rules cannot, in one pass each."""
    unsure = [one for one in kept if one.kind == "uncertain"][:most]
    facts = dict.fromkeys(unsure, True)
    if unsure and model is not None:
        used = prompt("fact_checkable", language)
        prompts = [used.messages(sentence=text) for text in ("N/A", *(one.text for one in unsure))]
        try:
            empty, *weights = await weigh(model, prompts, list(EVEN), used.quiet)
        except Exception:  # any model's own errors: what is not judged counts as a fact
            empty, weights = EVEN, [EVEN] * len(unsure)
        facts = {
            one: calibrated(weight, empty)["fact"] >= FACT
            for one, weight in zip(unsure, weights, strict=True)
        }
    return [
        one.kind if one.kind != "uncertain" else "statement" if facts.get(one, True) else "opinion"
        for one in kept
    ]


async def _decompose(
    leaning: Sequence[Statement],
    answer: str,
    model: BaseChatModel,
    question: str | None,
    language: Language,
) -> dict[Statement, list[Claim]]:
    """Ask for the claims of sentences; those of which something would be lost are left out."""
    room = asyncio.Semaphore(AT_ONCE)
    allowed = numbers(answer) | numbers(question or "")

    async def split(statement: Statement) -> list[Claim]:
        used = prompt("fact_claims", language)
        messages = used.messages(
            question=question or "-",
            answer=plain(answer[max(0, statement.start - AROUND) : statement.end]),
            sentence=statement.text,
        )
        async with room:
            listed = await _extract(model, messages, used.quiet)
        claims: list[Claim] = []
        for words, text in listed:
            span = locate(words, answer, statement.start, statement.end)
            text = plain(text)
            known = all(one["text"] != text for one in claims)
            faithful = 0 < len(text) <= LONGEST and numbers(text) <= allowed
            if span and known and faithful and _held(words, [text]) >= FAITHFUL:
                claims.append(Claim(text=text, start=span[0], end=span[1]))
        said = [claim["text"] for claim in claims]
        figures = {figure for text in said for figure in numbers(text)}
        complete = _held(statement.text, said) >= FAITHFUL and numbers(statement.text) <= figures
        return sorted(claims, key=lambda one: (one["start"], one["end"])) if complete else []

    made = await asyncio.gather(*map(split, leaning))
    return dict(zip(leaning, made, strict=True))


def _held(words: str, claims: Sequence[str]) -> float:
    """Return the share of the words' terms that the claims have."""
    terms = set(analyse(words))
    return len(terms & set(analyse(" ".join(claims)))) / len(terms) if terms else 1.0


async def _extract(
    model: BaseChatModel, messages: list[BaseMessage], config: RunnableConfig
) -> list[tuple[str, str]]:
    form = model.with_structured_output(SCHEMA, method="json_schema")
    try:
        reply = await form.ainvoke(messages, config)
    except Exception:  # any model's own errors, and forms cut short: the sentence is the claim
        return []
    listed = reply.get("claims") if isinstance(reply, Mapping) else None
    return [
        (one["words"], one["claim"])
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, Mapping)
        and isinstance(one.get("words"), str)
        and isinstance(one.get("claim"), str)
    ]


def _whole(statement: Statement) -> Claim:
    text = statement.text
    if len(text) > LONGEST:
        text = one_line(text, LONGEST)
    return Claim(text=text, start=statement.start, end=statement.end)
