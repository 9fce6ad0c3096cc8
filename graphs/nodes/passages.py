"""From search results to the numbered passages that a prompt shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langchain_core.language_models import BaseChatModel

from groundling.knowledge.passage import Passage

RANK_CONSTANT = 60  # Cormack, Clarke and Büttcher 2009, reciprocal rank fusion


def fuse(rankings: Iterable[Sequence[Passage]]) -> list[Passage]:
    """Merge the results of several queries by reciprocal rank, best first."""
    scores: dict[int, float] = {}
    passages: dict[int, Passage] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking, start=1):
            passages.setdefault(passage.chunk_id, passage)
            score = scores.get(passage.chunk_id, 0.0)
            scores[passage.chunk_id] = score + 1 / (RANK_CONSTANT + rank)
    return sorted(passages.values(), key=lambda passage: -scores[passage.chunk_id])


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


def numbered(passages: Sequence[Passage]) -> str:
    """Write passages the way prompts show them: a number, where it stands, the text."""
    return "\n\n".join(
        f"[{number}] {_place(passage)}\n{passage.text.strip()}"
        for number, passage in enumerate(passages, start=1)
    )


def _place(passage: Passage) -> str:
    parts = [passage.title or passage.source]
    if passage.heading and passage.heading != passage.title:
        parts.append(passage.heading)
    return " › ".join(parts)
