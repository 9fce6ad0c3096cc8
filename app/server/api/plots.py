"""Plots of experiments as SVG files: marks alone, no script, no outside reference.

Colours are of the file's own style sheet, light or dark as the reader's system is. What runs
hold is text to it, whatever markup that text may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from groundling.evaluation.compare import Comparison, Difference
from groundling.evaluation.plots import forest, histogram, scatter
from groundling.evaluation.score import asked_of
from groundling.evaluation.summary import Line, number
from groundling.server.problems import not_found

_LABELS = 150  # width of the names at the left
_ROW = 26
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 } .soft { fill: #777 }
.axis { stroke: #bbb } .zero { stroke: #777; stroke-dasharray: 3 3 }
.whisker { stroke: #5b6b9a; stroke-width: 2 } .dot, .a { fill: #5b6b9a } .b { fill: #c07a2c }
.better { fill: #2c8a4b; stroke: #2c8a4b } .worse { fill: #b3362c; stroke: #b3362c }
.even { fill: #777; stroke: #777 } .scatter circle { fill-opacity: 0.6; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .soft { fill: #999 } .axis { stroke: #555 }
}
"""


def of_one(lines: Sequence[Line]) -> str:
    """Draw means with their intervals, each on an axis from 0 to what is its most."""
    width = 340
    rows = []
    for n, line in enumerate(lines):
        y = 20 + n * _ROW
        rows.append(_text(0, y + 4, _short(line.key)))
        if line.mean is None or line.low is None or line.high is None:
            rows.append(_text(_LABELS, y + 4, "–", "soft"))
            continue
        most = max(1.0 if line.better == "higher" else 0.0, line.high, 1e-9)
        least = min(0.0, line.low)

        def place(value: float, least: float = least, most: float = most) -> float:
            return _LABELS + (value - least) / (most - least) * width

        rows.append(_line(_LABELS, y, _LABELS + width, y, "axis"))
        rows.append(_line(place(line.low), y, place(line.high), y, "whisker"))
        title = f"{line.key}: {number(line.mean)} ({number(line.low)} … {number(line.high)})"
        rows.append(_dot(place(line.mean), y, 5, "dot", title))
        rows.append(_text(_LABELS + width + 10, y + 4, number(line.mean)))
    return _svg(_LABELS + width + 80, 30 + len(lines) * _ROW, rows)


def of_two(
    found: Comparison, by: Literal["differences", "histogram", "scatter"], key: str | None
) -> str:
    """Draw a comparison.

    Args:
        by: the differences of all scores, or the values of one.
        key: that one; default: the first.

    Raises:
        Problem: 404, nothing was judged by that key in both.
    """
    if by == "differences":
        chosen = [each for each in found.differences if key in (None, each.key)]
        if not chosen:
            raise not_found(f"score {key} in both")
        return _differences(chosen)
    keys = [each.key for each in found.differences]
    chosen_key = key or next(iter(keys), "")
    if chosen_key not in keys:
        raise not_found(f"score {chosen_key} in both")
    points = [
        (x, y, asked_of(pair.example) if pair.example else str(pair.a[0].example))
        for pair in found.pairs
        if (x := pair.mean_a(chosen_key)) is not None and (y := pair.mean_b(chosen_key)) is not None
    ]
    return _histogram(points, chosen_key) if by == "histogram" else _scatter(points, chosen_key)


def _differences(chosen: Sequence[Difference]) -> str:
    """Draw a forest: as shares of A where less is better, as points where more is."""
    rows: list[str] = []
    y = 0
    width = 0.0
    for better, percent in (("higher", False), ("lower", True)):
        part = [each for each in chosen if each.better == better]
        if not part:
            continue
        scales = [
            1 / each.paired.mean_a if percent and each.paired.mean_a else 1.0 for each in part
        ]
        plot = forest(
            [
                (p.paired.low * s, p.paired.difference * s, p.paired.high * s)
                for p, s in zip(part, scales, strict=True)
            ],
            percent=percent,
        )
        width = plot.width
        y += 16
        rows += [_text(_LABELS + t.at, y, t.label, "soft", "middle") for t in plot.ticks]
        top = y
        for each, interval in zip(part, plot.rows, strict=True):
            y += _ROW
            figures = each.paired
            certain = not figures.low <= 0 <= figures.high
            kind = ("worse" if each.drop > 0 else "better") if certain else "even"
            title = (
                f"{each.key}: {number(figures.difference, signed=True)} "
                f"({number(figures.low, signed=True)} … {number(figures.high, signed=True)}), "
                f"p {figures.p:.2g}"
            )
            rows.append(_text(0, y + 4, _short(each.key)))
            rows.append(_line(_LABELS + interval.low, y, _LABELS + interval.high, y, kind))
            rows.append(_dot(_LABELS + interval.at, y, 5, kind, title))
        rows.append(_line(_LABELS + plot.zero, top + 6, _LABELS + plot.zero, y + 10, "zero"))
        y += 16
    return _svg(_LABELS + width + 20, y + 10, rows)


def _histogram(points: Sequence[tuple[float, float, str]], key: str) -> str:
    plot = histogram([x for x, _, _ in points], [y for _, y, _ in points])
    left, top, base = 10, 30, 30 + plot.height
    rows = [_text(left, 16, key), _line(left, base, left + plot.width, base, "axis")]
    for bar in plot.bars:
        half = bar.width * 0.4
        x = left + bar.x + bar.width * 0.1
        sides = ((x, bar.a, "a", bar.count_a), (x + half, bar.b, "b", bar.count_b))
        for at, height, kind, count in sides:
            title = f"{kind.upper()}, {bar.label}: {count}"
            rows.append(
                f'<rect class="{kind}" x="{at:.2f}" y="{base - height:.2f}" width="{half:.2f}" '
                f'height="{height:.2f}"><title>{escape(title)}</title></rect>'
            )
        rows.append(_text(left + bar.x + bar.width / 2, base + 16, bar.label, "soft", "middle"))
    return _svg(plot.width + 20, top + plot.height + 30, rows)


def _scatter(points: Sequence[tuple[float, float, str]], key: str) -> str:
    plot = scatter(points)
    left, top, size = 60, 30, plot.size
    rows = [_text(left, 16, f"{key}: A →, B ↑")]
    for tick in plot.ticks:
        rows.append(_line(left + tick.at, top, left + tick.at, top + size, "axis"))
        rows.append(_line(left, top + size - tick.at, left + size, top + size - tick.at, "axis"))
        rows.append(_text(left + tick.at, top + size + 16, tick.label, "soft", "middle"))
        rows.append(_text(left - 6, top + size - tick.at + 4, tick.label, "soft", "end"))
    rows.append(_line(left, top + size, left + size, top, "zero"))
    rows.append('<g class="scatter">')
    rows += [_dot(left + d.x, top + d.y, 4, "a", d.title[:200]) for d in plot.dots]
    rows.append("</g>")
    return _svg(left + size + 20, top + size + 30, rows)


def _svg(width: float, height: float, rows: Sequence[str]) -> str:
    inside = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">\n<style>{_STYLE}</style>\n'
        f"{inside}\n</svg>\n"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    marks = f' class="{kind}"' if kind else ""
    return f'<text{marks} x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{_plain(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'


def _dot(x: float, y: float, radius: float, kind: str, title: str) -> str:
    return (
        f'<circle class={quoteattr(kind)} cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}">'
        f"<title>{_plain(title)}</title></circle>"
    )


def _plain(text: str) -> str:
    """Return a text without what XML has no place for."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in text))


def _short(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:21]}…"
