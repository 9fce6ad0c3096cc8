"""A gate for a build: an experiment passes when it is not worse than it may be.

`max_drop` bounds how much worse B may be than A on the examples they share: points of a score
that should be high (0.02, or 2 %: from 0.80 to 0.78), growth of what should be low (2 %: from
10 s to 10.2 s). `*` stands for every score that should be high. `min` bounds what B must reach
by itself, over all of its examples. A score that is missing, or that an evaluator failed to
give, does not pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from groundling.errors import EvaluationError, GateFailed
from groundling.evaluation.compare import Comparison
from groundling.evaluation.results import Results
from groundling.evaluation.summary import number

ALL = "*"
_SLACK = 1e-9  # of sums of floats


@dataclass(frozen=True)
class Check:
    """One condition of a gate.

    Args:
        what: `drop` or `min`.
        allowed: the bound.
        found: what was measured; None where nothing could be.
        reason: why it does not pass; None where it does.
    """

    key: str
    what: str
    allowed: float
    found: float | None
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether the condition holds."""
        return self.reason is None


def check(
    results: Results,
    comparison: Comparison | None = None,
    *,
    max_drop: Mapping[str, float] | None = None,
    min: Mapping[str, float] | None = None,
    strict: bool = False,
) -> list[Check]:
    """Check every condition.

    Args:
        results: of B.
        comparison: of A and B, where there is an A.
        max_drop: most that B may be worse, by key.
        min: least mean of B, by key.
        strict: take the end of the interval that is against B, not the difference itself.
    """
    made: list[Check] = []
    drops = dict(max_drop or {})
    if comparison is not None and drops:
        if (general := drops.pop(ALL, None)) is not None:
            for each in comparison.differences:
                if each.better == "higher":
                    drops.setdefault(each.key, general)
            for key in comparison.a.evaluated:
                if comparison.a.better(key) == "higher" and comparison.a.mean(key) is not None:
                    drops.setdefault(key, general)
        made += [_drop(comparison, key, allowed, strict) for key, allowed in drops.items()]
    made += [_least(results, key, allowed) for key, allowed in (min or {}).items()]
    if not results.experiment.complete:
        name = results.experiment.name
        made.append(Check("", "complete", 1.0, 0.0, f"{name} is not complete"))
    return made


def gate(
    results: Results,
    comparison: Comparison | None = None,
    *,
    max_drop: Mapping[str, float] | None = None,
    min: Mapping[str, float] | None = None,
    strict: bool = False,
) -> list[Check]:
    """Return the conditions, all of which hold; see `check`.

    Raises:
        GateFailed: one does not hold.
        EvaluationError: there is no condition.
    """
    made = check(results, comparison, max_drop=max_drop, min=min, strict=strict)
    if not made:
        raise EvaluationError(
            "The gate has no condition.", hint="Give --max-drop 2% or --min correct=0.8."
        )
    if reasons := [each.reason for each in made if each.reason is not None]:
        raise GateFailed(
            f"{results.experiment.name} does not pass: {'; '.join(reasons)}.",
            hint=_next_step(results, comparison),
        )
    return made


def parse_limit(text: str) -> tuple[str, float]:
    """Read `2%`, `0.02`, `correct=0` or `latency=10%` as a key and a number.

    Raises:
        EvaluationError: it is none of these.
    """
    key, equals, number = text.strip().rpartition("=")
    key = key.strip() if equals else ALL
    written = number.strip()
    try:
        value = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not key or not 0 <= value < float("inf"):
        raise EvaluationError(
            f"{text} is no limit.", hint="Write 2%, 0.02, or KEY=2%; not less than 0."
        )
    return key, value


def parse_limits(texts: tuple[str, ...] | list[str]) -> dict[str, float]:
    """Read limits, several in a text with commas between them.

    Raises:
        EvaluationError: one is none, or a key has two.
    """
    found: dict[str, float] = {}
    for text in (part for each in texts for part in each.split(",")):
        key, value = parse_limit(text)
        if key in found:
            raise EvaluationError(f"{key} has two limits.", hint="Give each key one.")
        found[key] = value
    return found


def _drop(comparison: Comparison, key: str, allowed: float, strict: bool) -> Check:
    difference = comparison.by_key.get(key)
    if difference is None:
        return Check(key, "drop", allowed, None, f"{key} has no scores to compare")
    if difference.unjudged_b:
        count = difference.unjudged_b
        return Check(key, "drop", allowed, None, f"{key} could not be judged on {count} runs")
    found = difference.worst_drop if strict else difference.drop
    if found <= allowed + _SLACK:
        return Check(key, "drop", allowed, found)
    points = difference.better == "higher"
    amounts = [number(each) if points else f"{each:.1%}" for each in (found, allowed)]
    verb = (
        ("may have fallen" if strict else "fell")
        if points
        else ("may have grown" if strict else "grew")
    )
    means = f"{number(difference.paired.mean_a)} → {number(difference.paired.mean_b)}"
    reason = f"{key} {verb} by {amounts[0]} ({means}); {amounts[1]} is allowed"
    return Check(key, "drop", allowed, found, reason)


def _least(results: Results, key: str, allowed: float) -> Check:
    if key == ALL:
        raise EvaluationError("--min needs a key.", hint="--min correct=0.8")
    mean = results.mean(key)
    if mean is None:
        known = ", ".join(results.keys) or "nothing"
        return Check(key, "min", allowed, None, f"{key} has no scores (there are: {known})")
    if unjudged := len(results.unjudged(key)):
        return Check(key, "min", allowed, mean, f"{key} could not be judged on {unjudged} runs")
    if mean + _SLACK >= allowed:
        return Check(key, "min", allowed, mean)
    return Check(key, "min", allowed, mean, f"{key} is {number(mean)}, less than {number(allowed)}")


def _next_step(results: Results, comparison: Comparison | None) -> str:
    if comparison is None:
        return f"groundling eval show {results.experiment.name}"
    a, b = comparison.a.experiment.name, comparison.b.experiment.name
    return f"groundling eval compare {a} {b} shows the examples that lost most."
