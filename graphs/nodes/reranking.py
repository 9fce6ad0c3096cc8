"""Reranking: the passages that a search found, in the order of a model that reads them.

It costs a forward pass for each passage, of the chat model or of a cross-encoder. What it
brings is measured in docs/measurements.md; `retrieval.rerank` turns it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from groundling.errors import GraphError
from groundling.graphs.resources import Resources
from groundling.knowledge.passage import Passage

if TYPE_CHECKING:
    from groundling.models.choice_reranker import Chooser
    from groundling.models.reranker import Reranker

RERANKED = 12  # passages that are put into order


async def rerank(ranked: Sequence[Passage], question: str, resources: Resources) -> list[Passage]:
    """Put the best passages into the order that `retrieval.rerank` gives them.

    Only the order changes; of equals the first stays first.

    Raises:
        GraphError: the chat model is to do it and cannot weigh options.
        ModelError: the setting names no reranker, or one that is not on this machine.
    """
    reranker = reranker_of(resources)
    if reranker is None:
        return list(ranked)
    best = ranked[:RERANKED]
    texts = [f"{passage.heading or passage.title}\n{passage.text}".strip() for passage in best]
    scores = await asyncio.to_thread(reranker.rerank, question, texts)
    order = sorted(range(len(best)), key=lambda place: -scores[place])
    return [*(best[place] for place in order), *ranked[RERANKED:]]


def reranker_of(resources: Resources) -> Reranker | None:
    """Return the reranker that `retrieval.rerank` names; None for `none`."""
    settings = resources.settings
    chosen = resources.retrieval.rerank
    if chosen == "none":
        return None
    if chosen == "model":
        from groundling.models.choice_reranker import ChoiceReranker

        if not hasattr(resources.model, "choose_many"):
            raise GraphError(
                f"{type(resources.model).__name__} cannot rerank: it weighs no options.",
                hint="groundling config set retrieval.rerank none",
            )
        return ChoiceReranker(cast("Chooser", resources.model))
    from groundling.models.configured import reranking_model

    # What runs the file is kept by the file's name: it is loaded once.
    return reranking_model(settings, chosen)
