"""Which of several files of a model to use on this machine, and a picture of the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.models.gguf import read_gguf
from groundling.models.memory import plan

if TYPE_CHECKING:
    from groundling.models.comparing import Compared
    from groundling.settings import Settings

_SHARE = 0.6  # of the free memory; the rest is for documents, people and the system
_CLOSE = 0.01  # nats a token: nobody tells such a file from the reference
_WIDTH, _HEIGHT, _EDGE = 640, 360, 56


@dataclass(frozen=True)
class Recommended:
    """The file to use, and why."""

    name: str
    reason: str


def recommend(rows: Sequence[tuple[Path, Compared]], settings: Settings) -> Recommended:
    """Choose the smallest file that is as good as the reference, else the best that fits.

    Args:
        rows: files with what was measured of them.
        settings: whose context they are to have.
    """
    model = settings.model
    fits: list[Compared] = []
    free = 0
    for file, row in rows:
        needed = plan(
            read_gguf(file), model.context, cache=model.cache_tokens, cache_type=model.cache_type
        )
        free = needed.available
        if needed.needed <= _SHARE * needed.available:
            fits.append(row)
    if not fits:
        smallest = min((row for _, row in rows), key=lambda row: row.bytes)
        return Recommended(
            smallest.name,
            f"None of them fits well into {free / 1e9:.1f} GB of free memory; {smallest.name} is "
            "the smallest. A shorter model.context helps, too.",
        )
    close = [row for row in fits if row.divergence.high <= _CLOSE]
    if close:
        best = min(close, key=lambda row: row.bytes)
        why = "the smallest that nobody can tell from the reference"
    else:
        best = min(fits, key=lambda row: row.divergence.mean)
        why = "the closest to the reference of those that fit"
    return Recommended(
        best.name,
        f"Recommended for {free / 1e9:.1f} GB of free memory: {best.name}, {why}.",
    )


def picture(rows: Sequence[Compared]) -> str:
    """Draw size against divergence, with intervals, as SVG."""
    largest = max(row.bytes for row in rows) * 1.1
    furthest = max(max(row.divergence.high for row in rows) * 1.1, 1e-6)

    def x(count: float) -> float:
        return _EDGE + (_WIDTH - 2 * _EDGE) * count / largest

    def y(nats: float) -> float:
        return _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * nats / furthest

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<path d="M{_EDGE} {_EDGE}V{_HEIGHT - _EDGE}H{_WIDTH - _EDGE}" fill="none" '
        'stroke="#999"/>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">size, MB</text>',
        f'<text x="16" y="{_HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 16 {_HEIGHT / 2})">divergence, nats a token</text>',
    ]
    for step in range(5):
        size, nats = largest * step / 4, furthest * step / 4
        parts.append(
            f'<text x="{x(size):.1f}" y="{_HEIGHT - _EDGE + 18}" text-anchor="middle">'
            f"{size / 1e6:,.0f}</text>"
            f'<text x="{_EDGE - 6}" y="{y(nats) + 4:.1f}" text-anchor="end">{nats:.3g}</text>'
        )
    for row in rows:
        at, found = x(row.bytes), row.divergence
        parts.append(
            f'<path d="M{at:.1f} {y(found.low):.1f}V{y(found.high):.1f}" stroke="#2563eb" '
            'stroke-width="2"/>'
            f'<circle cx="{at:.1f}" cy="{y(found.mean):.1f}" r="4" fill="#2563eb"/>'
            f'<text x="{at + 8:.1f}" y="{y(found.mean) - 6:.1f}">{escape(row.name)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])
