"""The figures of an experiment: a mean of each score, how sure it is, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from groundling.evaluation.example import Example
from groundling.evaluation.paired import bootstrap
from groundling.evaluation.results import Results
from groundling.evaluation.score import Better

Grouping = Callable[[Example], str]


@dataclass(frozen=True)
class Line:
    """The figures of one score.

    Args:
        low: lower end of the mean's interval (bootstrap over examples); `high` the upper one.
        examples: how many have a score.
        inapplicable: how many it does not apply to.
        unjudged: runs that the evaluator failed on.
    """

    key: str
    better: Better
    mean: float | None
    low: float | None
    high: float | None
    examples: int
    inapplicable: int
    unjudged: int


def number(value: float | None, signed: bool = False) -> str:
    """Write a score or a measure with as many digits as it is worth."""
    if value is None:
        return "–"
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    rounded = round(value, digits) + 0.0  # nothing is written as -0
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}"


def summarise(results: Results) -> list[Line]:
    """Return the figures of each score of an experiment."""
    lines = []
    for key in results.keys:
        means = results.by_example(key)
        low = high = mean = None
        if means:
            values = np.array(list(means.values()))
            mean = float(values.mean())
            low, high = bootstrap(values)
        unjudged = results.unjudged(key)
        missing = {each.example for each in unjudged} - set(means)
        given = {each.example for each in results.outcomes if key in each.scores}
        inapplicable = len(given - set(means) - missing)
        lines.append(
            Line(
                key,
                results.better(key),
                mean,
                low,
                high,
                len(means),
                inapplicable,
                len(unjudged),
            )
        )
    return lines


def grouped(
    results: Results, examples: Mapping[Any, Example], field: str
) -> dict[str, dict[str, tuple[float, int]]]:
    """Return the mean and the count of each score, by a field of the examples' metadata."""
    groups: dict[str, dict[str, list[float]]] = {}
    for key in results.keys:
        for example, value in results.by_example(key).items():
            known = examples.get(example)
            group = str(known.metadata.get(field, "")) if known else ""
            groups.setdefault(group, {}).setdefault(key, []).append(value)
    return {
        group: {key: (sum(values) / len(values), len(values)) for key, values in scores.items()}
        for group, scores in sorted(groups.items())
    }


def as_json(results: Results) -> dict[str, Any]:
    """Return an experiment and its figures as JSON."""
    experiment = results.experiment
    return {
        "experiment": experiment.name,
        "id": str(experiment.id),
        "dataset": str(experiment.dataset),
        "complete": experiment.complete,
        "metadata": dict(experiment.metadata),
        "runs": len(results.outcomes),
        "failed": len(results.failed),
        "scores": {line.key: asdict(line) for line in summarise(results)},
    }
