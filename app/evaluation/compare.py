"""Two experiments side by side, on the examples that both ran.

A is the one that stands, B the one that may take its place. An example counts as the same
where its inputs and outputs are: in other versions of a data set by its id, in other data sets
by its content. What is not the same is left out and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from uuid import UUID

from groundling.errors import EvaluationError
from groundling.evaluation.datasets import DatasetStore
from groundling.evaluation.example import Content, Example
from groundling.evaluation.experiments import Experiment, ExperimentBook
from groundling.evaluation.paired import CONFIDENCE, RESAMPLES, Paired, paired
from groundling.evaluation.plan import differences
from groundling.evaluation.results import Outcome, Results, read_results
from groundling.evaluation.score import Better
from groundling.tracing.store import TraceStore


@dataclass(frozen=True)
class Difference:
    """How B differs from A by one evaluator.

    Args:
        better: which scores are the good ones.
        unjudged_a: runs of A that the evaluator failed on; `unjudged_b`, of B.
    """

    key: str
    better: Better
    paired: Paired
    unjudged_a: int = 0
    unjudged_b: int = 0

    @property
    def wins(self) -> int:
        """Examples where B is better."""
        return self.paired.higher if self.better == "higher" else self.paired.lower

    @property
    def losses(self) -> int:
        """Examples where B is worse."""
        return self.paired.lower if self.better == "higher" else self.paired.higher

    @property
    def drop(self) -> float:
        """By how much B is worse, on average; see `harm`."""
        return self.harm(self.paired.difference)

    @property
    def worst_drop(self) -> float:
        """By how much B may be worse, at the end of the interval that is against it."""
        return max(self.harm(self.paired.low), self.harm(self.paired.high))

    def harm(self, difference: float) -> float:
        """Return how much worse a difference is: in points, or as a share of A's mean.

        Of scores that should be high it is the difference itself; of what should be low, such
        as seconds, how much larger it became (0.02: by 2 %).
        """
        if self.better == "higher":
            return -difference
        return difference / self.paired.mean_a if self.paired.mean_a else difference


@dataclass(frozen=True)
class Pair:
    """An example, and what A and B made of it."""

    example: Example | None
    a: list[Outcome]
    b: list[Outcome]

    def difference(self, key: str) -> float | None:
        """Return B's score less A's, repetitions averaged; None where one is missing."""
        a, b = self.mean_a(key), self.mean_b(key)
        return None if a is None or b is None else b - a

    def mean_a(self, key: str) -> float | None:
        """Return A's score, repetitions averaged; None where there is none."""
        return _mean(self.a, key)

    def mean_b(self, key: str) -> float | None:
        """Return B's score, repetitions averaged; None where there is none."""
        return _mean(self.b, key)


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Args:
        pairs: the shared examples, the one that lost most first.
        notes: what has to be known to read the figures rightly.
    """

    a: Results
    b: Results
    differences: list[Difference]
    pairs: list[Pair]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def by_key(self) -> Mapping[str, Difference]:
        """The differences by evaluator."""
        return {each.key: each for each in self.differences}


def compare(
    store: TraceStore,
    datasets: DatasetStore,
    a: str,
    b: str,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two experiments.

    Args:
        a: name or id of the one that stands.
        b: of the other.
        confidence: of the intervals.

    Raises:
        EvaluationError: there is none of that name; they share no example.
    """
    book = ExperimentBook(store)
    left, right = read_results(store, book.get(a)), read_results(store, book.get(b))
    notes: list[str] = []
    pairs = _pairs(datasets, left, right, notes)
    if not pairs:
        raise EvaluationError(
            f"{left.experiment.name} and {right.experiment.name} have no example in common.",
            hint="Run both on the same data set: groundling eval list",
        )
    found = []
    for key in dict.fromkeys([*left.keys, *right.keys]):
        both = [(x, y) for pair in pairs if (x := _mean(pair.a, key)) is not None
                and (y := _mean(pair.b, key)) is not None]  # fmt: skip
        if not both:
            only = _only(key, left, right)
            notes.append(f"{key}: {only}.")
            continue
        scores_a, scores_b = zip(*both, strict=True)
        figures = paired(scores_a, scores_b, confidence=confidence, resamples=resamples)
        unjudged = len(left.unjudged(key)), len(right.unjudged(key))
        found.append(Difference(key, right.better(key), figures, *unjudged))
        notes += [
            f"{key}: the evaluator failed on {count} runs of {results.experiment.name}."
            for results, count in zip((left, right), unjudged, strict=True)
            if count
        ]
    pairs.sort(key=lambda pair: -_harm(pair, found))
    return Comparison(left, right, found, pairs, notes + _about(left) + _about(right))


def _pairs(datasets: DatasetStore, a: Results, b: Results, notes: list[str]) -> list[Pair]:
    """Pair the examples off, and tell what is left over."""
    known_a, known_b = _examples(datasets, a.experiment), _examples(datasets, b.experiment)
    if differ := differences(a.experiment.metadata, b.experiment.metadata):
        told = [f"{name} ({brief(x)} → {brief(y)})" for name, (x, y) in differ.items()]
        notes.append(f"They differ in {', '.join(told)}.")
    same_set = a.experiment.dataset == b.experiment.dataset
    if not same_set:
        notes.append("They ran on different data sets; examples are paired by their content.")
        twins = {_content(known_b[each]): each for each in reversed(b.examples) if each in known_b}
    pairs: list[Pair] = []
    changed = 0
    for example, outcomes in a.examples.items():
        known = known_a.get(example)
        if same_set:
            twin = example if example in b.examples else None
            other = known_b.get(example)
            if twin and known and other and _content(known) != _content(other):
                changed += 1
                continue
        else:
            twin = twins.pop(_content(known), None) if known else None
        if twin is not None:
            pairs.append(Pair(known, outcomes, b.examples[twin]))
    if same_set and _version(datasets, a.experiment) != _version(datasets, b.experiment):
        notes.append("They ran on different versions of the data set.")
    if changed:
        notes.append(f"{_examples_are(changed)} left out: changed between the versions.")
    alone = len(a.examples) - len(pairs) - changed, len(b.examples) - len(pairs) - changed
    for results, count in zip((a, b), alone, strict=True):
        if count:
            notes.append(f"{_examples_are(count)} left out: only in {results.experiment.name}.")
    return pairs


def _examples(datasets: DatasetStore, experiment: Experiment) -> dict[UUID, Example]:
    """Return the examples as they stood when the experiment ran; none of a deleted set."""
    try:
        found = datasets.examples(experiment.dataset, as_of=experiment.version)
    except EvaluationError:
        return {}
    return {example.id: example for example in found}


def _version(datasets: DatasetStore, experiment: Experiment) -> str | None:
    try:
        return datasets.version(experiment.dataset, experiment.version).name
    except EvaluationError:
        return None


def _about(results: Results) -> list[str]:
    notes = []
    if not results.experiment.complete:
        notes.append(f"{results.experiment.name} is not complete.")
    if failed := len(results.failed):
        runs = "1 run" if failed == 1 else f"{failed} runs"
        notes.append(f"{runs} of {results.experiment.name} failed and score 0.")
    return notes


def _only(key: str, a: Results, b: Results) -> str:
    if (key in a.keys) != (key in b.keys):
        return f"only in {(a if key in a.keys else b).experiment.name}"
    return "no example has a score in both"


def _harm(pair: Pair, found: list[Difference]) -> float:
    """Return how much was lost by the evaluators whose scores should be high."""
    lost = [pair.difference(each.key) for each in found if each.better == "higher"]
    return -sum(each for each in lost if each is not None)


def _mean(outcomes: list[Outcome], key: str) -> float | None:
    values = [value for each in outcomes if (value := each.value(key)) is not None]
    return fmean(values) if values else None


def _content(example: Example) -> bytes:
    return Content.of(example.inputs, example.outputs).digest


def brief(value: object) -> str:
    """Write a setting in few characters; of a hash, its beginning."""
    written = "–" if value is None else str(value)
    hashed = len(written) >= 16 and all(each in "0123456789abcdef" for each in written)
    return written[:8] if hashed else written[:60]


def _examples_are(count: int) -> str:
    return f"{count} example{'s are' if count != 1 else ' is'}"
