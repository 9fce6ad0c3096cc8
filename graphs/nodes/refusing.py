"""Refusing: from which signals on an answer is given, and what is shown instead of one.

The limits are data, `data/refusal.toml`, each with its origin. They were chosen on public
questions whose answer is, or is not, in the documents; `bench.refusal --calibrate` chooses
them anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources as files

from typing_extensions import TypedDict

from groundling.graphs.resources import Resources
from groundling.knowledge.citations import find_evidence, sentences
from groundling.knowledge.passage import Passage
from groundling.models.prompts import Language

CLOSEST = 3  # passages that a refusal points to
QUOTE = 200  # characters of each


@dataclass(frozen=True)
class Limits:
    """From which signals on a question of one language is answered; all from 0 to 1.

    Args:
        coverage: share of the question's words that one passage must hold, or the documents'
            other language is searched, too.
        relevance: probability that the passages answer the question, below which answering
            is not tried.
        confidence: mean of coverage, relevance and support, below which an answer that was
            written is withdrawn. *Support* is the probability that the passages state it.
    """

    coverage: float
    relevance: float
    confidence: float


class Closest(TypedDict):
    """A place that comes near a question which was refused.

    `start` and `end` are character offsets into the document's stored text, and `quote` is
    that text. `score` is the share of the question's words in the passage, 0 to 1.
    """

    source: str
    page: int | None
    start: int
    end: int
    quote: str
    score: float


@cache
def limits(language: Language) -> Limits:
    """Return the limits for questions of a language, read once."""
    text = (files.files("groundling.data") / "refusal.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)[language]
    return Limits(**{name: float(entry["value"]) for name, entry in table.items()})


def askings(question: str) -> list[str]:
    """Return a question whole, and each sentence of it that asks.

    People tell what has happened before they ask, and the documents need not have the words
    of that: "My flight was cancelled on Friday. Who pays for the hotel?"
    """
    asking = (each.text for each in sentences(question) if each.text.endswith(("?", "？")))
    return list(dict.fromkeys([question, *asking]))


def closest(question: str, passages: Sequence[Passage], resources: Resources) -> list[Closest]:
    """Return the places in the passages that come nearest to a question, best first."""
    scored = [(resources.knowledge.coverage(question, [passage]), passage) for passage in passages]
    scored.sort(key=lambda pair: -pair[0])
    return [_place(question, passage, score) for score, passage in scored[:CLOSEST]]


def _place(question: str, passage: Passage, score: float) -> Closest:
    evidence = find_evidence(question, [passage])
    start, end = (evidence.start, evidence.end) if evidence else (passage.start, passage.end)
    end = min(end, start + QUOTE)
    return Closest(
        source=passage.source,
        page=passage.page,
        start=start,
        end=end,
        quote=passage.text[start - passage.start : end - passage.start],
        score=round(score, 3),
    )
