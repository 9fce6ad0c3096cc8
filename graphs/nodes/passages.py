"""From search results to the numbered passages that a prompt shows."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel

from groundling.knowledge.fusion import reciprocal_rank
from groundling.knowledge.passage import Passage, numbered

__all__ = ["merge", "numbered", "select"]


def merge(results: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Merge the results of several queries by reciprocal rank, best first."""
    passages = {passage.chunk_id: passage for found in results for passage in found}
    rankings = [[(passage.chunk_id, passage.score) for passage in found] for found in results]
    ranked = reciprocal_rank((ranking, 1.0) for ranking in rankings)
    return [passages[chunk_id] for chunk_id, _ in ranked]


def select(
    ranked: Sequence[Passage], model: BaseChatModel, *, most: int, budget: int
) -> list[Passage]:
    """Take the best passages that fit together into `budget` tokens of the model.

    A passage that does not fit is left out and shorter ones after it may still enter;
    the best one always does, since the context is checked against the whole prompt.
    """
    chosen: list[Passage] = []
    for passage in ranked:
        if len(chosen) == most:
            break
        tokens = model.get_num_tokens(numbered([passage]))
        if tokens <= budget or not chosen:
            chosen.append(passage)
            budget -= tokens
    return chosen
