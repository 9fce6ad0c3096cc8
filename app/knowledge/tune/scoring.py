"""How well a ranking serves a case: what of the answer reaches the model, and how high it is.

The answer's place is a span of a document's text, so rankings of passages of any length can
be compared: recall is the share of that span which the passages shown to the model cover
within their token budget (a small model's context is what there is to spend).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groundling.knowledge.passage import Passage, numbered

# As far down as nDCG and the reciprocal rank look.
DEPTH = 10

Count = Callable[[str], int]


@dataclass(frozen=True)
class Gold:
    """Where an answer stands: in a document by its key, from `start` to `end`."""

    document: str
    start: int
    end: int


@dataclass(frozen=True)
class Score:
    """What a ranking did for one case.

    Args:
        recall: for each number of passages that was tried, the share of the answer shown.
        tokens: for each of them, what the passages shown take.
        rank: of the first passage with the whole answer, from 1; 0 if none of `DEPTH` has it.
    """

    recall: dict[int, float]
    tokens: dict[int, int]
    rank: int

    @property
    def reciprocal_rank(self) -> float:
        """1 for an answer in the first passage, 1/2 in the second, 0 for none."""
        return 1 / self.rank if self.rank else 0.0

    @property
    def ndcg(self) -> float:
        """Discounted gain (Järvelin & Kekäläinen 2002), where one passage is relevant."""
        return 1 / math.log2(self.rank + 1) if self.rank else 0.0


def score(
    ranked: Sequence[Passage], gold: Gold, ladder: Sequence[int], budget: int, count: Count
) -> Score:
    """Score a ranking for each number of passages that may be shown.

    Args:
        ranked: the passages found, best first.
        gold: where the answer stands.
        ladder: the numbers of passages to try.
        budget: tokens that the passages may take together; the first may take more.
        count: counts tokens as the model does.
    """
    recall, tokens = {}, {}
    for most in ladder:
        shown, used = pack(ranked, most, budget, count)
        recall[most], tokens[most] = covered(shown, gold), used
    rank = next(
        (place for place, one in enumerate(ranked[:DEPTH], 1) if covered([one], gold) == 1), 0
    )
    return Score(recall, tokens, rank)


def pack(
    ranked: Sequence[Passage], most: int, budget: int, count: Count
) -> tuple[list[Passage], int]:
    """Take the best passages that fit, as a prompt does; return them and their tokens.

    One that does not fit is passed over, and shorter ones after it may still enter.
    """
    shown: list[Passage] = []
    used = 0
    for passage in ranked:
        if len(shown) == most:
            break
        tokens = count(numbered([passage]))
        if used + tokens <= budget or not shown:
            shown.append(passage)
            used += tokens
    return shown, used


def covered(passages: Sequence[Passage], gold: Gold) -> float:
    """Return the share of an answer's characters that stand in one of the passages."""
    held: set[int] = set()
    for passage in passages:
        if passage.key == gold.document:
            first, last = max(passage.start, gold.start), min(passage.end, gold.end)
            held.update(range(first, last))
    return len(held) / (gold.end - gold.start)
