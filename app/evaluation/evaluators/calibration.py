"""Calibration: from a judge's probabilities to shares of right answers, and a threshold.

`platt` fits a logistic curve (Platt 1999, with his smoothed targets), for some dozens of
labels; `isotonic` a staircase (pool adjacent violators; Zadrozny & Elkan 2002), for hundreds.
Agreement is measured on labels that were not fitted on: five folds.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from groundling.errors import EvaluationError

Method = Literal["platt", "isotonic"]
Curve = list[tuple[float, float]]
FEWEST = 10  # labels, and 2 of each kind
FOLDS = 5
_EDGE = 1e-6


@dataclass(frozen=True)
class Agreement:
    """How a judge's yes and no compare with the labels.

    Args:
        rate: share of the labels that it agrees with.
        kappa: Cohen's kappa: agreement beyond what chance gives; 0 is none.
        brier: mean squared distance of the probabilities from the labels; 0 is best.
    """

    rate: float
    kappa: float
    brier: float


@dataclass(frozen=True)
class Calibration:
    """A fitted curve.

    Args:
        curve: of isotonic: points between which it is straight; of Platt: one pair (slope,
            offset) of the logit.
        threshold: least calibrated probability that is a yes.
        raw: agreement of the judge as it is, with 0.5 as the threshold.
        fitted: agreement once calibrated, on labels that it was not fitted on.
    """

    method: Method
    curve: Curve
    threshold: float
    examples: int
    raw: Agreement
    fitted: Agreement

    def __call__(self, probability: float) -> float:
        """Return the share of right answers at a probability of the judge's."""
        return float(_apply(self.method, self.curve, np.array([probability]))[0])

    @classmethod
    def fit(
        cls, probabilities: Sequence[float], labels: Sequence[bool], method: Method = "platt"
    ) -> Self:
        """Fit a curve and a threshold.

        Args:
            probabilities: what the judge gave, 0 to 1.
            labels: whether the answers were right.

        Raises:
            EvaluationError: there are too few labels, or all are alike.
        """
        p, y = np.asarray(probabilities, float), np.asarray(labels, bool)
        if len(p) < FEWEST or min(y.sum(), (~y).sum()) < 2:
            raise EvaluationError(
                f"{len(p)} labels, {y.sum()} of them right, are too few to calibrate a judge.",
                hint=f"At least {FEWEST} are needed, 2 of them right and 2 wrong.",
            )
        curve = _fit(method, p, y)
        calibrated = _apply(method, curve, p)
        held_out, decided = np.zeros(len(p)), np.zeros(len(p), bool)
        for fold in _folds(y):
            kept = ~fold
            part = _fit(method, p[kept], y[kept])
            threshold = _threshold(_apply(method, part, p[kept]), y[kept])
            held_out[fold] = _apply(method, part, p[fold])
            decided[fold] = held_out[fold] >= threshold
        return cls(
            method,
            curve,
            _threshold(calibrated, y),
            len(p),
            _agreement(p, p >= 0.5, y),
            _agreement(held_out, decided, y),
        )

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Read one that `write` wrote; None where there is none.

        Raises:
            EvaluationError: the file is damaged.
        """
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                fields["method"],
                [(float(x), float(y)) for x, y in fields["curve"]],
                float(fields["threshold"]),
                int(fields["examples"]),
                Agreement(**fields["raw"]),
                Agreement(**fields["fitted"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"The calibration {file} cannot be read: {error}",
                hint="Delete it, and fit another: groundling eval calibrate EXPERIMENT",
            ) from error

    def write(self, file: Path) -> None:
        """Write it beside the old one, then in its place."""
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}.new")
        beside.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        beside.replace(file)


Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _fit(method: Method, p: Numbers, y: Flags) -> Curve:
    return [_platt(_logit(p), y)] if method == "platt" else _isotonic(p, y)


def _apply(method: Method, curve: Curve, p: Numbers) -> Numbers:
    if method == "platt":
        [(slope, offset)] = curve
        return np.asarray(1 / (1 + np.exp(-np.clip(slope * _logit(p) + offset, -500, 500))))
    xs, ys = zip(*curve, strict=True)
    return np.asarray(np.interp(p, xs, ys))


def _logit(p: Numbers) -> Numbers:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def _platt(x: Numbers, y: Flags) -> tuple[float, float]:
    """Fit slope and offset by Newton's method with step halving; the loss is convex."""
    right, wrong = int(y.sum()), int((~y).sum())
    # Platt's targets: one observation is no certainty.
    target = np.where(y, (right + 1) / (right + 2), 1 / (wrong + 2))
    slope, offset = 0.0, math.log((right + 1) / (wrong + 1))

    def loss(a: float, b: float) -> float:
        z = a * x + b
        return float(np.sum(np.logaddexp(0, z) - target * z))

    now = loss(slope, offset)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(slope * x + offset, -500, 500)))
        weight = p * (1 - p) + 1e-12
        gradient = np.array([np.sum((p - target) * x), np.sum(p - target)])
        hessian = np.array(
            [[np.sum(weight * x * x), np.sum(weight * x)], [np.sum(weight * x), np.sum(weight)]]
        ) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10:
            then = loss(slope - size * step[0], offset - size * step[1])
            if then <= now:
                break
            size /= 2
        else:
            break
        slope, offset = slope - size * float(step[0]), offset - size * float(step[1])
        if now - then < 1e-10:
            break
        now = then
    # More probability of yes never means less: a curve that falls is noise.
    if slope < 0:
        return 0.0, math.log((right + 1) / (wrong + 1))
    return slope, offset


def _isotonic(x: Numbers, y: Flags) -> Curve:
    """Pool adjacent violators; equal probabilities are one point."""
    blocks: list[list[float]] = []  # low, high, sum, count
    for value in np.unique(x):
        same = y[x == value]
        blocks.append([float(value), float(value), float(same.sum()), float(len(same))])
        while len(blocks) > 1 and blocks[-2][2] / blocks[-2][3] >= blocks[-1][2] / blocks[-1][3]:
            low, high, total, count = blocks.pop()
            blocks[-1][1] = high
            blocks[-1][2] += total
            blocks[-1][3] += count
    curve: Curve = []
    for low, high, total, count in blocks:
        curve.append((low, total / count))
        if high > low:
            curve.append((high, total / count))
    return curve


def _threshold(p: Numbers, y: Flags) -> float:
    """Return the threshold that agrees with the most labels; of equals, the nearest to 0.5."""
    values = np.unique(p)
    between = (values[1:] + values[:-1]) / 2
    candidates = np.concatenate([between, [0.5, 0.0, 1.0 + _EDGE]])
    agreed = [int(((p >= candidate) == y).sum()) for candidate in candidates]
    best = max(agreed)
    equals = [c for c, count in zip(candidates, agreed, strict=True) if count == best]
    return float(min(equals, key=lambda c: abs(c - 0.5)))


def _folds(y: Flags) -> list[Flags]:
    """Split into folds that have right and wrong labels in like shares, as masks."""
    order = np.random.default_rng(0).permutation(len(y))
    place = np.zeros(len(y), int)
    for label in (True, False):
        members = [n for n in order if y[n] == label]
        for n, member in enumerate(members):
            place[member] = n % min(FOLDS, len(members))
    return [place == fold for fold in range(FOLDS) if (place == fold).any()]


def _agreement(p: Numbers, decided: Flags, y: Flags) -> Agreement:
    rate = float((decided == y).mean())
    chance = float(decided.mean() * y.mean() + (1 - decided.mean()) * (1 - y.mean()))
    kappa = 0.0 if chance >= 1 else (rate - chance) / (1 - chance)
    return Agreement(rate, kappa, float(((p - y) ** 2).mean()))
