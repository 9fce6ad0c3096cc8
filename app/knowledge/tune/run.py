"""Tuning: questions from one's own documents, trials of every recipe, and a careful choice.

Three fifths of the questions choose among recipes, the others only judge the choice: a
recipe takes the present one's place if it is better on the first and not worse on those held
out. All that is done is noted in `tune/` inside the knowledge base's folder, so that the same
call goes on where an earlier one was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING

from groundling.errors import KnowledgeError
from groundling.knowledge.base import TUNING
from groundling.knowledge.preparation import Progress
from groundling.knowledge.recipe import Recipe
from groundling.knowledge.tune.cases import Case, Cases, Parts, divide
from groundling.knowledge.tune.choosing import (
    Candidate,
    Row,
    best_weights,
    joined,
    ranked,
    row,
    same_cut,
)
from groundling.knowledge.tune.journal import Journal
from groundling.knowledge.tune.plan import Plan, grid, present_passages, present_trial
from groundling.knowledge.tune.questions import write_cases
from groundling.knowledge.tune.scratch import Scratch
from groundling.knowledge.tune.trials import Bench, Result, Trial
from groundling.models.embedder import space

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.knowledge.base import Knowledge

TRIALS = "trials.jsonl"
# Fewer cases tell no recipe from another.
LEAST_CASES = 10


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Args:
        chosen_by: how many cases chose.
        held_out: how many judged.
        searched: documents that were searched.
        present: the figures of the recipe that was in use.
        rows: those of all others, best first.
        kept: the recipe that was stored, or would be but for `dry_run`; None if the present
            one stays.
        reason: why.
    """

    chosen_by: int
    held_out: int
    searched: int
    present: Row
    rows: list[Row]
    kept: Recipe | None
    reason: str


def tune(knowledge: Knowledge, model: BaseChatModel, plan: Plan, tell: Progress) -> Outcome:
    """Find the best recipe for a knowledge base, and store it if it is better.

    Args:
        knowledge: what is tuned; its documents and vectors are left as they are.
        model: writes the questions, and counts the tokens of passages.
        plan: what to try.
        tell: called with what is going on, how much is done, of how much.

    Raises:
        KnowledgeError: too few questions could be written.
        Exception: the model's own errors.
    """
    folder = knowledge.path / TUNING
    cases = write_cases(knowledge, Cases(folder), model, plan.questions, tell)
    if len(cases) < LEAST_CASES:
        raise KnowledgeError(
            f"Of {knowledge.path.name}, questions to tune by: {len(cases)}; at least "
            f"{LEAST_CASES} are needed to tell one recipe from another.",
            hint="Add more documents, or use a larger model: groundling model list",
        )
    scratch = Scratch(knowledge, folder, {case.document for case in cases})
    shown = present_passages(knowledge, plan)
    bench = Bench(
        cases=cases,
        ladder=sorted({*plan.numbers, shown}),
        budget=plan.budget,
        count=model.get_num_tokens,
        journal=Journal(folder / TRIALS),
        about=_about(knowledge, model, scratch, cases),
        rerankers=plan.rerankers,
    )
    parts = divide(cases)
    present = present_trial(knowledge, parts, plan)
    trials = grid(present, parts, plan, dense=knowledge.embedder is not None)
    results = _measured(trials, bench, scratch, tell)
    now = joined(next(same_cut(results, present)), present.dense_weight, shown, parts)
    found = ranked(
        [
            best_weights(alike, passages, parts, present.dense_weight)
            for alike in same_cut(results, present)
            for passages in bench.ladder
        ],
        parts.chosen_by,
    )
    reranked = [replace(found[0].trial, reranker=name) for name in plan.rerankers]
    if present.reranker is not None:
        reranked.append(present)
    for result in _measured(reranked, bench, scratch, tell):
        again = [_candidate(result, passages) for passages in bench.ladder]
        found = ranked([*found, *again], parts.chosen_by)
        if result.trial == present:
            now = _candidate(result, shown)
    outcome = _judge(now, found, parts, len(scratch.documents))
    if outcome.kept is not None and not plan.dry_run:
        knowledge.set_recipe(outcome.kept)
    scratch.remove()
    return outcome


def _about(
    knowledge: Knowledge, model: BaseChatModel, scratch: Scratch, cases: Sequence[Case]
) -> str:
    """Name what figures depend on besides cases and trials: a change of it voids them."""
    embedder = space(knowledge.embedder.fingerprint) if knowledge.embedder else "none"
    tokens = [str(model.get_num_tokens(case.question)) for case in cases]
    return " ".join([metadata.version("groundling"), scratch.about, embedder, *tokens])


def _measured(
    trials: Sequence[Trial], bench: Bench, scratch: Scratch, tell: Progress
) -> list[Result]:
    """Return the results of trials; what an earlier run measured is not measured again."""
    results = []
    for number, trial in enumerate(trials):
        tell("trials", number, len(trials))
        result = bench.done(trial)
        if result is None:
            with scratch.open(trial, tell) as base:
                result = bench.measure(trial, base)
        results.append(result)
        tell("trials", number + 1, len(trials))
    return results


def _candidate(result: Result, passages: int) -> Candidate:
    return Candidate(result.trial, passages, result.scores, result.milliseconds)


def _judge(now: Candidate, found: Sequence[Candidate], parts: Parts, searched: int) -> Outcome:
    """Keep the best recipe if it is better where it was chosen, and not worse elsewhere."""
    present = row(now, now, parts)
    rows = [row(one, now, parts) for one in found if one.recipe != now.recipe]
    best = rows[0]
    kept = None
    if best.chosen_by <= present.chosen_by:
        reason = "no other recipe shows the model more of the answers"
    elif best.difference.mean < 0:
        reason = "what was best on the questions to choose by was worse on those held out"
    else:
        kept = best.recipe
        reason = "better on the questions to choose by, and not worse on those held out"
    return Outcome(len(parts.chosen_by), len(parts.held_out), searched, present, rows, kept, reason)
