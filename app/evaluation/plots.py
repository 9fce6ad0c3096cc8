"""Plots as numbers: where the marks of a picture lie, for a template to draw as SVG.

Coordinates are those of a view box whose size is in each plot; y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10
_LEAST = 1e-9  # of an axis; what is smaller is nothing


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Interval:
    """A difference and its interval, on the axis of its plot."""

    low: float
    at: float
    high: float


@dataclass(frozen=True)
class Forest:
    """Differences under each other, on one axis with nothing in the middle of it."""

    width: float
    zero: float
    ticks: list[Tick]
    rows: list[Interval]


@dataclass(frozen=True)
class Bar:
    """Two bars beside each other, of A and of B; heights from 0 to `height` of the plot."""

    x: float
    width: float
    a: float
    b: float
    label: str
    count_a: int
    count_b: int


@dataclass(frozen=True)
class Histogram:
    """How often A and B have scores of each bin."""

    width: float
    height: float
    bars: list[Bar]


@dataclass(frozen=True)
class Dot:
    """An example, at A's value across and B's value up."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Scatter:
    """A's values against B's, both on the same axis; logarithmic where they span decades."""

    size: float
    dots: list[Dot]
    ticks: list[Tick]
    logarithmic: bool


def forest(intervals: Sequence[tuple[float, float, float]], *, percent: bool = False) -> Forest:
    """Place (low, difference, high) of each row on one axis."""
    width = 340.0
    reach = max((abs(each) for row in intervals for each in row), default=0.0)
    reach = _round_up(reach) if reach > _LEAST else 1.0

    def place(value: float) -> float:
        return round(width / 2 + value / reach * (width / 2 - 20), 2)

    labels = [-reach, -reach / 2, 0.0, reach / 2, reach]
    ticks = [Tick(place(each), _signed(each, percent)) for each in labels]
    rows = [Interval(*map(place, row)) for row in intervals]
    return Forest(width, place(0), ticks, rows)


def histogram(a: Sequence[float], b: Sequence[float]) -> Histogram:
    """Count values in bins that A and B share; two distinct values get a bin each."""
    width, height = 320.0, 120.0
    distinct = sorted({*a, *b})
    if len(distinct) <= 6:
        edges = [(value, value) for value in distinct]
    else:
        low, high = distinct[0], distinct[-1]
        step = (high - low) / BINS
        edges = [(low + n * step, low + (n + 1) * step) for n in range(BINS)]
    counts = [(_count(a, n, edges), _count(b, n, edges)) for n in range(len(edges))]
    most = max((max(pair) for pair in counts), default=1) or 1
    room = width / max(1, len(edges))
    bars = []
    for n, ((low, high), (of_a, of_b)) in enumerate(zip(edges, counts, strict=True)):
        label = _short(low) if low == high else f"{_short(low)} – {_short(high)}"
        a_high, b_high = (round(count / most * height, 2) for count in (of_a, of_b))
        bars.append(Bar(round(n * room, 2), round(room, 2), a_high, b_high, label, of_a, of_b))
    return Histogram(width, height, bars)


def scatter(points: Sequence[tuple[float, float, str]]) -> Scatter:
    """Place (A, B, title) of each example."""
    size = 260.0
    values = [value for a, b, _ in points for value in (a, b)]
    low, high = min(values), max(values)
    logarithmic = low > _LEAST and high / low > 20
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        ends, marks = (float(first), float(last)), [10.0**n for n in range(first, last + 1)]
    else:
        top = _round_up(high) if high > _LEAST else 1.0
        ends, marks = (min(0.0, low), top), [top * n / 4 for n in range(5)]

    def place(value: float) -> float:
        on_axis = math.log10(value) if logarithmic else value
        return round((on_axis - ends[0]) / ((ends[1] - ends[0]) or 1) * size, 2)

    dots = [Dot(place(a), size - place(b), title) for a, b, title in points]
    return Scatter(size, dots, [Tick(place(each), _short(each)) for each in marks], logarithmic)


def _count(values: Sequence[float], n: int, edges: Sequence[tuple[float, float]]) -> int:
    low, high = edges[n]
    if low == high:
        return sum(value == low for value in values)
    last = n == len(edges) - 1
    return sum(low <= value < high or (last and value >= high) for value in values)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten."""
    value = max(value, _LEAST)
    power = 10.0 ** math.floor(math.log10(value))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= value * (1 - 1e-9))


def _signed(value: float, percent: bool) -> str:
    if not value:
        return "0"
    return f"{value:+.0%}" if percent else f"{value:+.3g}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
