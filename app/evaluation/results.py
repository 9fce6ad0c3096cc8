"""What an experiment came to: its runs, by example and repetition, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from uuid import UUID

from groundling.evaluation.experiments import Experiment
from groundling.evaluation.score import Better
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Payload, Status, StoredRun
from groundling.tracing.store import TraceStore

OVER = (Status.SUCCESS, Status.INTERRUPTED, Status.ERROR)
LOWER_IS_BETTER = frozenset({"latency", "tokens", "error_rate"})
COMPLETED = "completed"  # 1 where a run came to its end


@dataclass(frozen=True)
class Outcome:
    """A run of an example, and what was said of it.

    Args:
        repetition: counted from 0.
        scores: the newest feedback of each key.
    """

    example: UUID
    repetition: int
    run: StoredRun
    scores: Mapping[str, Feedback]

    def value(self, key: str) -> float | None:
        """Return the score of a key; None where there is none."""
        found = self.scores.get(key)
        return None if found is None else found.score

    @property
    def failed(self) -> bool:
        """Tell whether the run ended in an error."""
        return self.run.status == Status.ERROR


@dataclass(frozen=True)
class Results:
    """The outcomes of an experiment, by example and repetition."""

    experiment: Experiment
    outcomes: Sequence[Outcome]

    @cached_property
    def keys(self) -> list[str]:
        """What was judged, in the order in which it first was."""
        return list(dict.fromkeys(key for each in self.outcomes for key in each.scores))

    @property
    def evaluated(self) -> list[str]:
        """The keys that evaluators gave, not people."""
        given = (each.scores.items() for each in self.outcomes)
        by_models = {
            key for scores in given for key, said in scores if said.source.get("type") == "model"
        }
        return [key for key in self.keys if key in by_models]

    @cached_property
    def examples(self) -> dict[UUID, list[Outcome]]:
        """The outcomes of each example."""
        found: dict[UUID, list[Outcome]] = {}
        for each in self.outcomes:
            found.setdefault(each.example, []).append(each)
        return found

    def by_example(self, key: str) -> dict[UUID, float]:
        """Return the score of each example that has one, averaged over its repetitions."""
        means: dict[UUID, float] = {}
        for example, outcomes in self.examples.items():
            values = [value for each in outcomes if (value := each.value(key)) is not None]
            if values:
                means[example] = fmean(values)
        return means

    def mean(self, key: str) -> float | None:
        """Return the mean over the examples; None where none has a score."""
        means = self.by_example(key)
        return fmean(means.values()) if means else None

    def unjudged(self, key: str) -> list[Outcome]:
        """Return the outcomes that the evaluator failed on."""
        return [
            each
            for each in self.outcomes
            if key in each.scores and each.scores[key].extra.get("error")
        ]

    def better(self, key: str) -> Better:
        """Tell whether higher or lower scores of a key are the good ones."""
        for each in self.outcomes:
            if key in each.scores:
                stated = each.scores[key].extra.get("better")
                if stated in ("higher", "lower"):
                    return "lower" if stated == "lower" else "higher"
        return "lower" if key in LOWER_IS_BETTER else "higher"

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes whose run ended in an error."""
        return [each for each in self.outcomes if each.failed]


def read_results(store: TraceStore, experiment: Experiment) -> Results:
    """Read the runs of an experiment that are over, the last attempt at each, and feedback."""
    runs = store.find(
        RunFilter(project_ids=[experiment.id], status=OVER), limit=-1, oldest_first=True
    )
    runs = [run for run in runs if run.example is not None]
    payloads = store.payloads(runs)
    feedback = FeedbackBook(store).of_traces([run.trace for run in runs])
    latest: dict[tuple[UUID, int], StoredRun] = {}
    counted: dict[UUID, int] = {}
    for run in runs:
        assert run.example is not None
        repetition = _repetition(payloads[run.seq])
        if repetition is None:  # made by another program: each run is a repetition
            repetition = counted.get(run.example, 0)
            counted[run.example] = repetition + 1
        known = latest.get((run.example, repetition))
        if known is None or known.status == Status.ERROR or run.status != Status.ERROR:
            latest[run.example, repetition] = run
    outcomes = []
    for (example, repetition), run in latest.items():
        said = [each for each in feedback.get(run.trace, []) if each.run == run.id]
        scores = {
            each.key: each for each in sorted(said, key=lambda each: (each.modified, each.created))
        }
        outcomes.append(Outcome(example, repetition, run, scores))
    return Results(experiment, outcomes)


def _repetition(payload: Payload) -> int | None:
    stated = payload.metadata.get("repetition")
    return stated if isinstance(stated, int) else None
