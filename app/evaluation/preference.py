"""A model says which of two answers is better; each pair is shown to it both ways round.

Models prefer a position (Zheng et al. 2023, arXiv:2306.05685): the probability is the mean of
both orders, and a preference that turns with the order is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from langchain_core.language_models import BaseChatModel

from groundling.evaluation.compare import Pair
from groundling.evaluation.evaluators.judge import NO_REFERENCE
from groundling.evaluation.evaluators.matching import normal
from groundling.evaluation.example import Example
from groundling.evaluation.experiment import JUDGES
from groundling.evaluation.paired import sign_p
from groundling.evaluation.score import answer_of, asked_of, gold_answers
from groundling.models.decide import decide
from groundling.models.prompts import language_of, prompt
from groundling.tracing.attach import recording
from groundling.tracing.run import StoredRun
from groundling.tracing.store import TraceStore


@dataclass(frozen=True)
class Preference:
    """What a model says of a pair of answers.

    Args:
        b: probability that B is better, mean of both orders.
        first: probability of the answer that was shown first, mean of both orders.
        consistent: whether both orders prefer the same answer.
    """

    b: float
    first: float
    consistent: bool

    @property
    def winner(self) -> str | None:
        """Return `a`, `b`, or None where the order decided."""
        if not self.consistent:
            return None
        return "b" if self.b > 0.5 else "a"


@dataclass(frozen=True)
class Preferences:
    """What a model says of all pairs; `equal` ones were the same text and not shown."""

    wins: int
    ties: int
    losses: int
    equal: int
    consistency: float
    first: float
    p_sign: float


EQUAL = Preference(0.5, 0.5, False)


async def prefer(model: BaseChatModel, example: Example, a: str, b: str) -> Preference:
    """Ask a model which answer is better, both ways round."""
    if normal(a) == normal(b):
        return EQUAL
    question = asked_of(example)
    language = language_of(question)
    used = prompt("prefer", language)
    gold = gold_answers(example)
    shown = {"question": question, "reference": gold[0] if gold else NO_REFERENCE[language]}
    straight, turned = [
        (await decide(model, used.messages(**shown, a=first, b=second), ["A", "B"], used.config))
        for first, second in ((a, b), (b, a))
    ]
    sides = straight["B"], turned["A"]
    consistent = sides[0] != 0.5 and sides[1] != 0.5 and (sides[0] > 0.5) == (sides[1] > 0.5)
    return Preference(fmean(sides), fmean((straight["A"], turned["A"])), consistent)


async def prefer_all(
    model: BaseChatModel,
    store: TraceStore,
    pairs: Sequence[Pair],
    *,
    concurrency: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Preferences:
    """Ask about the first run of each pair."""
    asked = [pair for pair in pairs if pair.example is not None]
    limit = asyncio.Semaphore(concurrency)
    done = 0

    async def one(pair: Pair) -> Preference:
        nonlocal done
        assert pair.example is not None
        async with limit:
            said = await prefer(
                model, pair.example, _answer(store, pair.a[0].run), _answer(store, pair.b[0].run)
            )
        done += 1
        if progress is not None:
            progress(done, len(asked))
        return said

    with recording(JUDGES):
        said = await asyncio.gather(*map(one, asked))
    shown = [each for each in said if each is not EQUAL]
    wins = sum(each.winner == "b" for each in shown)
    losses = sum(each.winner == "a" for each in shown)
    return Preferences(
        wins,
        len(said) - wins - losses,
        losses,
        len(said) - len(shown),
        fmean(each.consistent for each in shown) if shown else 1.0,
        fmean(each.first for each in shown) if shown else 0.5,
        sign_p(wins, losses),
    )


def _answer(store: TraceStore, run: StoredRun) -> str:
    return answer_of(store.payload(run).outputs or {})
