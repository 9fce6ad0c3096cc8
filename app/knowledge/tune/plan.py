"""What a tuning tries: the grid round the recipe that is in use."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groundling.knowledge.tune.cases import Parts
from groundling.knowledge.tune.trials import Trial

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge
    from groundling.models.reranker import Reranker

QUESTIONS = 60


@dataclass(frozen=True)
class Plan:
    """What to tune by.

    Args:
        questions: how many cases to have.
        budget: tokens that passages may take in a prompt.
        passages: how many the settings show to the model.
        rerankers: those to try, by the name that the recipe will give.
        lengths: of passages, in characters, to try beside the present one.
        weights: of the ranking by meaning, to try in each language.
        numbers: of passages shown, to try.
        dry_run: report, and leave the recipe as it is.
    """

    questions: int = QUESTIONS
    budget: int = 700
    passages: int = 3
    rerankers: Mapping[str, Reranker] = field(default_factory=dict)
    lengths: Sequence[int] = (350, 700, 1100)
    weights: Sequence[float] = (0.0, 0.25, 0.5, 1.0)
    numbers: Sequence[int] = (2, 3, 4, 6)
    dry_run: bool = False


def present_trial(knowledge: Knowledge, parts: Parts, plan: Plan) -> Trial:
    """Return how a knowledge base is cut and searched now, defaults written out."""
    reranker = knowledge.recipe.reranker
    examples = {case.language: case.question for case in parts.chosen_by}
    return Trial(
        chunk_characters=knowledge.chunk_characters,
        analyser=knowledge.analyser.name.partition("/")[0],
        dense_weight={
            language: knowledge.dense_weight(examples[language]) for language in parts.languages
        },
        reranker=reranker if reranker in plan.rerankers else None,
    )


def present_passages(knowledge: Knowledge, plan: Plan) -> int:
    """Return how many passages the model is shown now."""
    return knowledge.recipe.passages or plan.passages


def grid(present: Trial, parts: Parts, plan: Plan, *, dense: bool) -> list[Trial]:
    """Return the trials of all ways to cut and weigh, those of the present cut first.

    Args:
        present: the recipe in use, which is among them.
        parts: the cases; without Korean ones no Korean morphemes are tried.
        plan: what to try.
        dense: whether there is an embedder.
    """
    analysers = [present.analyser, "plain"]
    if "ko" in parts.languages and importlib.util.find_spec("kiwipiepy"):
        analysers.append("kiwi")
    weights = sorted({*plan.weights, *present.dense_weight.values()}) if dense else [0.0]
    return [
        Trial(length, analyser, dict.fromkeys(parts.languages, weight))
        for length in dict.fromkeys([present.chunk_characters, *plan.lengths])
        for analyser in dict.fromkeys(analysers)
        for weight in weights
    ]
