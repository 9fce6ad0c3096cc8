"""What is known of the size and make of a knowledge base."""

from __future__ import annotations

from dataclasses import dataclass

from groundling.knowledge.recipe import Recipe
from groundling.models.embedder import Fingerprint


@dataclass(frozen=True)
class Statistics:
    """The size of a knowledge base; `waiting` passages have no vector yet."""

    documents: int
    passages: int
    vectors: int
    waiting: int
    characters: int
    bytes: int
    index: str
    analyser: str
    languages: dict[str, float]
    embedder: Fingerprint | None
    recipe: Recipe
