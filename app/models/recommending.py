"""Which of several files of a model to use on this machine, and a picture of the choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.models.gguf import read_gguf
from groundling.models.memory import BATCH, OUTPUTS, MemoryPlan, plan

if TYPE_CHECKING:
    from groundling.models.comparing import Compared
    from groundling.settings import Settings

_SHARE = 0.6  # of the free memory; the rest is for documents, people and the system
_CLOSE = 0.01  # nats a token: nobody tells such a file from the reference
_FLOOR = 1e-6  # nats a token: rounding
_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _ABOVE, _BELOW = 64, 20, 36, 52
_LETTER, _LINE = 7.5, 15  # of a label, in the picture's units
_TICKS = 7
Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True)
class Recommended:
    """The file to use, and why."""

    name: str
    reason: str


def recommend(rows: Sequence[tuple[Path, Compared]], settings: Settings) -> Recommended:
    """Choose the smallest file that is as good as the reference, else the best that fits.

    A larger file that nobody can tell from a smaller one only costs memory and speed.

    Args:
        rows: files with what was measured of them.
        settings: whose context, cache and number of calls the model is to have.
    """
    fits: list[tuple[Compared, MemoryPlan]] = []
    sized = [(row, _plan(file, settings)) for file, row in rows]
    for row, sums in sized:
        if sums.needed <= _SHARE * sums.available:
            fits.append((row, sums))
    free = max(sums.available for _, sums in sized)
    if not fits:
        smallest, sums = min(sized, key=lambda one: one[0].bytes)
        return Recommended(
            smallest.name,
            f"None of them fits well into {free / 1e9:.1f} GB of free memory; {smallest.name} is "
            f"the smallest and takes {sums.needed / 1e9:.1f} GB with a context of "
            f"{sums.context:,}. A shorter model.context helps, too.",
        )
    close = [one for one in fits if one[0].divergence.high <= _CLOSE]
    if close:
        best, sums = min(close, key=lambda one: one[0].bytes)
        why = "the smallest that nobody can tell from the reference"
    else:
        best, sums = min(fits, key=lambda one: (one[0].divergence.mean, one[0].bytes))
        why = "the closest to the reference of those that fit"
    return Recommended(
        best.name,
        f"Recommended for {free / 1e9:.1f} GB of free memory: {best.name}, {why}; it takes "
        f"{sums.needed / 1e9:.1f} GB with a context of {sums.context:,}.",
    )


def _plan(file: Path, settings: Settings) -> MemoryPlan:
    """Work out what a file takes as the settings would run it."""
    model = settings.model
    return plan(
        read_gguf(file),
        model.context,
        cache=model.cache_tokens,
        batch=BATCH,
        outputs=max(OUTPUTS, 2 * model.parallel),
        repack=bool(model.repack),
        cache_type=model.cache_type,
        flash_attention=model.flash_attention,
    )


def picture(rows: Sequence[Compared]) -> str:
    """Draw size against divergence, with intervals, as SVG.

    The divergence is on a logarithmic scale; the reference, the first row, has none and is a
    line at its size. What diverges less than the scale shows is a ring on its lower edge.
    """
    reference, *others = rows
    sizes = [row.bytes / 1e6 for row in rows]
    x_step = _step(max(sizes) - min(sizes) or max(sizes))
    left, right = (min(sizes) // x_step) * x_step, (max(sizes) // x_step + 1) * x_step
    nats = [value for row in others for value in _ends(row) if value > _FLOOR]
    # The line below which files are close is always on the scale.
    bottom = math.floor(math.log10(min([*nats, _CLOSE / 10])))
    top = math.ceil(math.log10(max([*nats, _CLOSE])))

    def x(count: float) -> float:
        share = (count / 1e6 - left) / (right - left)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    def y(value: float) -> float:
        exponent = math.log10(value) if value > _FLOOR else bottom
        share = (max(exponent, bottom) - bottom) / (top - bottom)
        return _HEIGHT - _BELOW - (_HEIGHT - _BELOW - _ABOVE) * share

    edge, floor = _WIDTH - _RIGHT, _HEIGHT - _BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="13" fill="#333">',
        "<title>Size of each file against its divergence from the reference</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text((_LEFT + edge) / 2, _HEIGHT - 10, "size of the file, MB", "middle"),
        _text(12, 18, "divergence from the reference, nats a token (lower is closer)"),
    ]
    for power in range(bottom, top + 1):
        at = y(10.0**power)
        parts += [
            _line(_LEFT, at, edge, at, "#e5e5e5"),
            _text(_LEFT - 8, at + 4, f"{10.0**power:g}", "end"),
        ]
    for tick in range(round((right - left) / x_step) + 1):
        size = left + tick * x_step
        parts.append(_text(x(size * 1e6), floor + 20, f"{size:,.0f}", "middle"))
    parts += [
        _line(_LEFT, y(_CLOSE), edge, y(_CLOSE), "#15803d", "5 4"),
        _text(edge, y(_CLOSE) - 5, "below: nobody tells", "end", "#15803d"),
        _line(x(reference.bytes), _ABOVE, x(reference.bytes), floor, "#999", "2 4"),
        _text(x(reference.bytes) + 5, _ABOVE + 10, reference.name, "start", "#777"),
    ]
    taken = [(x(row.bytes) - 6, y(row.divergence.mean) - 6, 12.0, 12.0) for row in others]
    for row in sorted(others, key=lambda row: row.divergence.mean):
        at, middle, found = x(row.bytes), y(row.divergence.mean), row.divergence
        parts.append(_line(at, y(found.low), at, y(found.high), "#2563eb", width=2))
        fill = "#2563eb" if found.mean > _FLOOR else "#fff"
        parts.append(
            f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="4" fill="{fill}" stroke="#2563eb"/>'
        )
        parts.append(_label(row.name, at, middle, edge, taken))
    return "\n".join([*parts, "</svg>\n"])


def _ends(row: Compared) -> tuple[float, float, float]:
    return row.divergence.low, row.divergence.mean, row.divergence.high


def _step(span: float) -> float:
    """Return a round distance of ticks, at most seven of which make a span."""
    power: float = 10.0 ** math.floor(math.log10(span))
    return next(step * power for step in (0.2, 0.5, 1.0, 2.0) if span / (step * power) <= _TICKS)


def _label(name: str, at: float, middle: float, edge: float, taken: list[Box]) -> str:
    """Write a name beside its point, at the nearest height where nothing else is."""
    width = _LETTER * len(name)
    start = at + 9 if at + 9 + width <= edge else at - 9 - width
    tops = (middle - _LINE / 2 + sign * step for step in range(200) for sign in (1, -1))
    room = (
        top
        for top in tops
        if _ABOVE - _LINE <= top <= _HEIGHT - _BELOW - _LINE
        and not any(
            top < y + height and y < top + _LINE and start < x + wide and x < start + width
            for x, y, wide, height in taken
        )
    )
    top = next(room, middle - _LINE / 2)  # of a hundred files not all names find a place
    taken.append((start, top, width, _LINE))
    return _text(
        start, top + 12, name, extra=' paint-order="stroke" stroke="#fff" stroke-width="3"'
    )


def _text(
    x: float, y: float, text: str, anchor: str = "start", fill: str = "#333", extra: str = ""
) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{extra}'
    return f"<text {where}>{escape(text)}</text>"


def _line(
    x1: float, y1: float, x2: float, y2: float, stroke: str, dashes: str = "", width: int = 1
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{stroke}" '
        f'stroke-width="{width}"{dashed}/>'
    )
