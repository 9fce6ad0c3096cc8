"""Which passages are asked about: some of every document and language, the same each time.

Languages take turns by the square root of how many passages they have, so that the smaller
one is heard, and the more so where the model asks badly in it; within a language the
documents take turns, so that a long one does not drown the others.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from groundling.knowledge.passage import Passage
from groundling.models.prompts import Language, language_of

SEED = 7
# Letters and digits that a passage needs to be worth asking about: Hangul says more in less.
_LEAST: dict[Language, int] = {"en": 80, "ko": 40}
# What a passage drawn counts beside a case kept: a language in which no question is ever
# kept must not use up all the asking.
_DRAWN = 0.25
NOTHING: Mapping[str, int] = MappingProxyType({})


def worth_asking(passage: Passage) -> bool:
    """Tell whether a passage is long enough to state something."""
    said = sum(character.isalnum() for character in passage.text)
    return said >= _LEAST[language_of(passage.text)]


def draw(
    passages: Iterable[Passage], kept: Mapping[str, int] = NOTHING, seed: int = SEED
) -> Iterator[Passage]:
    """Yield the passages that are worth asking about, each once, in the order to ask.

    Args:
        passages: all there are.
        kept: how many cases each language has; may grow meanwhile.
        seed: of the shuffle.
    """
    by_language: dict[Language, dict[int, list[Passage]]] = {}
    for passage in filter(worth_asking, passages):
        documents = by_language.setdefault(language_of(passage.text), {})
        documents.setdefault(passage.document_id, []).append(passage)
    chance = random.Random(seed)  # noqa: S311
    queues = {
        language: _in_turn(list(documents.values()), chance)
        for language, documents in sorted(by_language.items())
    }
    weights = {language: math.sqrt(len(queue)) for language, queue in queues.items()}
    drawn = dict.fromkeys(queues, 0)
    while left := [language for language in queues if drawn[language] < len(queues[language])]:
        language = min(
            left,
            key=lambda one: (kept.get(one, 0) + _DRAWN * (drawn[one] + 1)) / weights[one],
        )
        yield queues[language][drawn[language]]
        drawn[language] += 1


def _in_turn(documents: Sequence[Sequence[Passage]], chance: random.Random) -> list[Passage]:
    """Shuffle the documents and the passages of each, then take one of each in turn."""
    shuffled = [chance.sample(passages, len(passages)) for passages in documents]
    chance.shuffle(shuffled)
    return [passage for row in zip_longest(*shuffled) for passage in row if passage is not None]
