"""From trials to recipes: the best weights for each language, the best number of passages.

Chosen by one part of the cases; those held out are only looked at afterwards, since the best
of many is best partly by luck. Of recipes that are as good, the one nearest to the present
is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from groundling.knowledge.recipe import Recipe
from groundling.knowledge.tune.cases import Case, Parts
from groundling.knowledge.tune.scoring import Score
from groundling.knowledge.tune.statistics import Estimate, difference, estimate
from groundling.knowledge.tune.trials import Result, Trial

Merit = tuple[float, bool, float, float]


@dataclass(frozen=True)
class Candidate:
    """A way to cut and search with a number of passages to show, and its scores by case."""

    trial: Trial
    passages: int
    scores: Mapping[str, Score]
    milliseconds: float

    @property
    def recipe(self) -> Recipe:
        """The recipe to store."""
        return self.trial.recipe(self.passages)

    def recalls(self, cases: Sequence[Case]) -> list[float]:
        """Return the share of each case's answer that the model would see."""
        return [self.scores[case.drawn].recall[self.passages] for case in cases]

    def merit(self, cases: Sequence[Case]) -> Merit:
        """Return what candidates are ordered by: recall, then nDCG, then fewer tokens.

        A reranker, which costs the most time by far, has to win by recall.
        """
        scores = [self.scores[case.drawn] for case in cases]
        return (
            round(fmean(self.recalls(cases)), 9),
            self.trial.reranker is None,
            round(fmean(one.ndcg for one in scores), 9),
            -fmean(one.tokens[self.passages] for one in scores),
        )


@dataclass(frozen=True)
class Row:
    """A recipe's figures: shares from 0 to 1, of the cases held out but for `chosen_by`.

    `difference` is that to the recall of the present recipe.
    """

    recipe: Recipe
    chosen_by: float
    held_out: Estimate
    difference: Estimate
    ndcg: float
    reciprocal_rank: float
    tokens: float
    milliseconds: float


def row(candidate: Candidate, present: Candidate, parts: Parts) -> Row:
    """Return a candidate's figures beside those of the present recipe."""
    scores = [candidate.scores[case.drawn] for case in parts.held_out]
    recalls = candidate.recalls(parts.held_out)
    return Row(
        recipe=candidate.recipe,
        chosen_by=fmean(candidate.recalls(parts.chosen_by)),
        held_out=estimate(recalls),
        difference=difference(present.recalls(parts.held_out), recalls),
        ndcg=fmean(score.ndcg for score in scores),
        reciprocal_rank=fmean(score.reciprocal_rank for score in scores),
        tokens=fmean(score.tokens[candidate.passages] for score in scores),
        milliseconds=candidate.milliseconds,
    )


def ranked(candidates: Sequence[Candidate], cases: Sequence[Case]) -> list[Candidate]:
    """Return candidates best first; of equals the first stays first."""
    return sorted(candidates, key=lambda one: one.merit(cases), reverse=True)


def same_cut(results: Sequence[Result], present: Trial) -> Iterator[list[Result]]:
    """Yield the results of each way to cut and analyse, the present one first."""
    groups: dict[tuple[int, str], list[Result]] = {(present.chunk_characters, present.analyser): []}
    for one in results:
        groups.setdefault((one.trial.chunk_characters, one.trial.analyser), []).append(one)
    yield from groups.values()


def best_weights(
    results: Sequence[Result], passages: int, parts: Parts, present: Mapping[str, float]
) -> Candidate:
    """Take for each language the dense weight by which its own cases fare best.

    Args:
        results: of one way to cut, each with the same weight for all languages.
        passages: how many are shown.
        parts: the cases.
        present: the weights in use, which win where others are only as good.
    """
    tried = {weight_of(one): Candidate(one.trial, passages, one.scores, 0) for one in results}
    weights = {}
    for language in parts.languages:
        own = [case for case in parts.chosen_by if case.language == language]
        order = sorted(tried, key=lambda weight: (weight != present[language], weight))
        weights[language] = max(order, key=lambda weight: tried[weight].merit(own)[:3])
    return joined(results, weights, passages, parts)


def joined(
    results: Sequence[Result], weights: Mapping[str, float], passages: int, parts: Parts
) -> Candidate:
    """Put one recipe's scores together: each case's from the trial with its language's weight."""
    by_weight = {weight_of(one): one for one in results}
    used = {language: by_weight[weight] for language, weight in weights.items()}
    cases = [*parts.chosen_by, *parts.held_out]
    return Candidate(
        trial=replace(results[0].trial, dense_weight=dict(weights)),
        passages=passages,
        scores={case.drawn: used[case.language].scores[case.drawn] for case in cases},
        milliseconds=fmean(used[case.language].milliseconds for case in cases),
    )


def weight_of(result: Result) -> float:
    """Return the weight that a trial has for all languages."""
    return next(iter(result.trial.dense_weight.values()))
