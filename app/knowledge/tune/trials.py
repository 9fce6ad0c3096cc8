"""Trials: every case searched in one way, over documents cut in one way.

Only what changes the ranking makes a trial of its own; how many passages are shown is scored
for all numbers at once, and dense weights by language are put together afterwards from
trials with one weight for all (`choosing`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from groundling.knowledge.passage import Passage
from groundling.knowledge.recipe import Recipe
from groundling.knowledge.tune.cases import Case
from groundling.knowledge.tune.journal import Journal
from groundling.knowledge.tune.scoring import DEPTH, Count, Gold, Score, score

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge
    from groundling.models.reranker import Reranker

# Passages that a reranker puts into order.
RERANKED = 12


@dataclass(frozen=True)
class Trial:
    """One way to cut and search; a weight for each language, the lexical one being 1."""

    chunk_characters: int
    analyser: str
    dense_weight: Mapping[str, float]
    reranker: str | None = None

    @property
    def name(self) -> str:
        """What tells it from every other."""
        return json.dumps(asdict(self), sort_keys=True)

    def recipe(self, passages: int | None = None) -> Recipe:
        """Return the recipe by which a knowledge base searches like this."""
        return Recipe(
            chunk_characters=self.chunk_characters,
            analyser=self.analyser,
            dense_weight=dict(self.dense_weight),
            passages=passages,
            reranker=self.reranker,
        )


@dataclass(frozen=True)
class Result:
    """What a trial gave: a score for each case by the passage it was drawn from."""

    trial: Trial
    scores: Mapping[str, Score]
    milliseconds: float


@dataclass
class Bench:
    """What all trials of a run have in common, and the journal of those done.

    Args:
        cases: what is searched for.
        ladder: how many passages are shown, each number to be tried.
        budget: tokens that the passages shown may take together.
        count: counts tokens as the model does.
        journal: what is in it is not measured again.
        about: whatever else the figures depend on, such as the documents.
        rerankers: by the name that a trial gives.
    """

    cases: Sequence[Case]
    ladder: Sequence[int]
    budget: int
    count: Count
    journal: Journal
    about: str
    rerankers: Mapping[str, Reranker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = [asdict(case) for case in self.cases]
        given = json.dumps([self.about, self.budget, *self.ladder, parts], ensure_ascii=False)
        self.about = hashlib.sha256(given.encode()).hexdigest()[:16]
        self._done = {
            row["trial"]: row for row in self.journal.rows() if row.get("about") == self.about
        }
        self._tokens: dict[str, int] = {}

    def done(self, trial: Trial) -> Result | None:
        """Return the result of a trial that an earlier run made."""
        row = self._done.get(trial.name)
        if row is None:
            return None
        scores = {
            drawn: Score(
                {int(most): share for most, share in kept["recall"].items()},
                {int(most): used for most, used in kept["tokens"].items()},
                kept["rank"],
            )
            for drawn, kept in row["scores"].items()
        }
        return Result(trial, scores, row["milliseconds"])

    def measure(self, trial: Trial, base: Knowledge) -> Result:
        """Search all cases in a base that was cut as the trial says, and note the result."""
        scores, seconds = {}, []
        # The first search opens what the others find open.
        self._search(base, self.cases[0].question, trial.reranker)
        for case in self.cases:
            begun = time.perf_counter()
            ranked = self._search(base, case.question, trial.reranker)
            seconds.append(time.perf_counter() - begun)
            gold = Gold(case.document, case.start, case.end)
            scores[case.drawn] = score(ranked, gold, self.ladder, self.budget, self._count)
        result = Result(trial, scores, 1000 * sum(seconds) / len(seconds))
        self.journal.append(
            {
                "about": self.about,
                "trial": trial.name,
                "milliseconds": round(result.milliseconds, 2),
                "scores": {drawn: asdict(kept) for drawn, kept in scores.items()},
            }
        )
        return result

    def _search(self, base: Knowledge, question: str, reranker: str | None) -> list[Passage]:
        if reranker is None:
            return base.search(question, DEPTH)
        found = base.search(question, RERANKED)
        texts = [f"{one.heading or one.title}\n{one.text}".strip() for one in found]
        scores = self.rerankers[reranker].rerank(question, texts)
        # Of equals the first stays first.
        order = sorted(range(len(found)), key=lambda place: -scores[place])
        return [found[place] for place in order]

    def _count(self, text: str) -> int:
        """Count tokens, once for each text: the same passages come back all the time."""
        if text not in self._tokens:
            self._tokens[text] = self.count(text)
        return self._tokens[text]
