"""From search results to the numbered passages that a prompt shows.

Three sets are told apart: what was *retrieved*, what of that is *shown* to the model, and
what of that is *used*, which is to say cited.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from typing_extensions import TypedDict

from groundling.graphs.resources import Resources
from groundling.knowledge.fusion import reciprocal_rank
from groundling.knowledge.passage import Passage, numbered
from groundling.models.prompts import language_of, prompt

__all__ = ["Packed", "Retrieved", "merge", "numbered", "pack", "retrieved", "room", "with_use"]

OVER_PASSAGES = ("judge", "answer", "verify", "support")
MARGIN = 16  # tokens: the option that a choice reads, and seams between texts


class Retrieved(TypedDict):
    """A passage that a search has found: where it stands, and what became of it.

    Args:
        used: a citation names it.
        shown: it stood in the prompt.
    """

    chunk_id: int
    source: str
    page: int | None
    start: int
    end: int
    used: bool
    shown: bool


@dataclass(frozen=True)
class Packed:
    """The passages that fit into a prompt, and the better ones that did not."""

    shown: list[Passage]
    dropped: list[Passage]


def merge(
    queries: Sequence[Sequence[Passage]], augmented: Sequence[Sequence[Passage]] = ()
) -> list[Passage]:
    """Merge the results of several searches by reciprocal rank, best first.

    Args:
        queries: what the question found, and its translation: each counts as much.
        augmented: what queries found that the model made up: together as much as one.
    """
    weighted = [(found, 1.0) for found in queries]
    weighted += [(found, 1 / len(augmented)) for found in augmented]
    passages = {passage.chunk_id: passage for found, _ in weighted for passage in found}
    ranked = reciprocal_rank(
        ([(passage.chunk_id, passage.score) for passage in found], weight)
        for found, weight in weighted
    )
    return [passages[chunk_id] for chunk_id, _ in ranked]


def room(question: str, resources: Resources) -> int:
    """Return how many tokens of the model's context are left for passages.

    Taken off are the longest of the prompts around them, with the question, and an answer
    of full length, which is read again when it is verified. Earlier turns of a conversation
    take nothing: the question was made to stand alone.
    """
    model, limits = resources.model, resources.settings.model
    used = [prompt(name, language_of(question)) for name in OVER_PASSAGES]
    empty = {"passages": "", "question": question, "answer": "", "statement": ""}
    frame = max(model.get_num_tokens_from_messages(each.messages(**empty)) for each in used)
    # A model may be trained on less than was asked for; it knows once its file is read.
    trained = (model.profile or {}).get("max_input_tokens") or limits.context
    context = min(limits.context, trained)
    return context - frame - min(limits.max_tokens, context // 2) - MARGIN


def pack(
    ranked: Sequence[Passage], model: BaseChatModel, *, most: int, budget: int, room: int
) -> Packed:
    """Take the best passages that fit together, counted by the model's own tokenizer.

    A passage that does not fit is passed over, and shorter ones after it may still enter.

    Args:
        ranked: best first.
        model: counts.
        most: how many are wanted.
        budget: tokens that they should take together; the first may take more.
        room: tokens that they must not go beyond.

    Returns:
        Those that fit, best first, and those of the first `most` that do not.
    """
    shown: list[Passage] = []
    dropped: list[Passage] = []
    for place, passage in enumerate(ranked):
        if len(shown) == most:
            break
        limit = min(budget, room) if shown else room
        if model.get_num_tokens(numbered([*shown, passage])) <= limit:
            shown.append(passage)
        elif place < most:
            dropped.append(passage)
    return Packed(shown, dropped)


def retrieved(ranked: Sequence[Passage], packed: Packed) -> list[Retrieved]:
    """Tell of each passage that was shown or dropped what became of it, best first."""
    shown = {passage.chunk_id for passage in packed.shown}
    told = shown | {passage.chunk_id for passage in packed.dropped}
    return [
        Retrieved(
            chunk_id=passage.chunk_id,
            source=passage.source,
            page=passage.page,
            start=passage.start,
            end=passage.end,
            used=False,
            shown=passage.chunk_id in shown,
        )
        for passage in ranked
        if passage.chunk_id in told
    ]


def with_use(found: Sequence[Retrieved], cited: Collection[int]) -> list[Retrieved]:
    """Mark the passages that citations name."""
    return [{**each, "used": each["chunk_id"] in cited} for each in found]
