"""A comparison as one HTML page: figures, plots, and the answers with what changed in them.

The page stands alone: plots are drawn here, it asks nothing of any other machine, and a policy
inside it forbids the browser to. What runs hold is text to it, whatever markup that text may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from groundling.errors import EvaluationError
from groundling.evaluation.compare import Comparison, Difference, Pair, brief
from groundling.evaluation.plan import differences
from groundling.evaluation.plots import forest, histogram, scatter
from groundling.evaluation.preference import Preferences
from groundling.evaluation.results import COMPLETED, Outcome
from groundling.evaluation.score import asked_of, gold_answers, plain_answer_of
from groundling.evaluation.summary import number
from groundling.tracing.as_json import short_id
from groundling.tracing.store import TraceStore

SHOWN = 500  # examples of which the answers are shown, those that lost most
LONGEST = 6_000  # characters of one answer
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 2_000  # beyond which a comparison of words would take too long


@dataclass(frozen=True)
class Stretch:
    """A piece of a text, and whether only this side has it."""

    text: str
    changed: bool


def write_report(
    file: Path,
    found: Comparison,
    store: TraceStore,
    preferences: Preferences | None = None,
) -> None:
    """Write the page, beside the old one and then in its place.

    Raises:
        EvaluationError: the file cannot be written.
    """
    beside = file.with_name(f"{file.name}.new")
    try:
        beside.write_text(html(found, store, preferences), encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        raise EvaluationError(
            f"{file} cannot be written: {error}", hint="Name another file with --html."
        ) from error


def html(found: Comparison, store: TraceStore, preferences: Preferences | None = None) -> str:
    """Return the page."""
    scores = [each for each in found.differences if each.better == "higher"]
    measures = [each for each in found.differences if each.better == "lower"]
    plotted = [each for each in scores if each.key != COMPLETED or each.paired.difference]
    return _page().render(
        a=found.a.experiment,
        b=found.b.experiment,
        begun=[_clock(each.experiment.started) for each in (found.a, found.b)],
        count=len(found.pairs),
        notes=[note for note in found.notes if not note.startswith("They differ in ")],
        settings=list(_settings(found)),
        tables=[
            {"percent": percent, "rows": _rows(part, percent), "axis": _axis(part, percent)}
            for part, percent in ((scores, False), (measures, True))
            if part
        ],
        histograms=[(each.key, histogram(*_values(found.pairs, each.key))) for each in plotted],
        measured=[
            (
                each.key,
                scatter(_points(found.pairs, each.key)),
                histogram(*_values(found.pairs, each.key)),
            )
            for each in measures
        ],
        preferences=preferences,
        examples=[_example(pair, found, store) for pair in found.pairs[:SHOWN]],
        left_out=max(0, len(found.pairs) - SHOWN),
        style=_file("comparison.css"),
        script=_file("comparison.js"),
    )


def changes(a: str, b: str) -> tuple[list[Stretch], list[Stretch]]:
    """Mark in two texts the words that only one of them has."""
    left, right = _WORDS.findall(a), _WORDS.findall(b)
    if max(len(left), len(right)) > _MOST_WORDS:
        return [Stretch(a, False)], [Stretch(b, False)]
    marked: tuple[list[Stretch], list[Stretch]] = ([], [])
    for kind, i, j, k, m in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for side, words in zip(marked, (left[i:j], right[k:m]), strict=True):
            if words:
                side.append(Stretch("".join(words), kind != "equal"))
    return marked


def _rows(part: Sequence[Difference], percent: bool) -> list[dict[str, Any]]:
    axis = _axis(part, percent)
    rows = []
    for each, interval in zip(part, axis.rows, strict=True):
        figures = each.paired
        certain = not figures.low <= 0 <= figures.high
        shown = _shown(each, figures.difference, percent)
        rows.append(
            {
                "key": each.key,
                "a": number(figures.mean_a),
                "b": number(figures.mean_b),
                "difference": shown,
                "low": _shown(each, figures.low, percent),
                "high": _shown(each, figures.high, percent),
                "kind": ("worse" if each.drop > 0 else "better") if certain else "even",
                "interval": interval,
                "examples": figures.examples,
                "wins": each.wins,
                "ties": figures.ties,
                "losses": each.losses,
                "p": f"{figures.p:.2g}",
                "unjudged": each.unjudged_a + each.unjudged_b,
            }
        )
    return rows


def _axis(part: Sequence[Difference], percent: bool) -> Any:
    intervals = []
    for each in part:
        scale = (1 / each.paired.mean_a if each.paired.mean_a else 1.0) if percent else 1.0
        figures = each.paired
        intervals.append((figures.low * scale, figures.difference * scale, figures.high * scale))
    return forest(intervals, percent=percent)


def _shown(each: Difference, value: float, percent: bool) -> str:
    if percent and each.paired.mean_a:
        return f"{value / each.paired.mean_a + 0.0:+.1%}"
    return number(value, signed=True)


def _settings(found: Comparison) -> Iterator[tuple[str, str, str]]:
    differ = differences(found.a.experiment.metadata, found.b.experiment.metadata)
    for name, (left, right) in differ.items():
        yield name.removeprefix("target."), brief(left), brief(right)


def _values(pairs: Sequence[Pair], key: str) -> tuple[list[float], list[float]]:
    both = [(x, y) for pair in pairs if (x := pair.mean_a(key)) is not None
            and (y := pair.mean_b(key)) is not None]  # fmt: skip
    return [x for x, _ in both], [y for _, y in both]


def _points(pairs: Sequence[Pair], key: str) -> list[tuple[float, float, str]]:
    return [
        (x, y, f"{_asked(pair)}\n{number(x)} → {number(y)}")
        for pair in pairs
        if (x := pair.mean_a(key)) is not None and (y := pair.mean_b(key)) is not None
    ]


def _example(pair: Pair, found: Comparison, store: TraceStore) -> dict[str, Any]:
    a, b = (_text(store, outcomes[0]) for outcomes in (pair.a, pair.b))
    moved = []
    harm = 0.0
    for each in found.differences:
        difference = pair.difference(each.key)
        if difference is None or each.better == "lower":
            continue
        harm -= difference
        if difference:
            moved.append(
                {
                    "key": each.key,
                    "difference": number(difference, signed=True),
                    "kind": "worse" if difference < 0 else "better",
                }
            )
    failed = pair.a[0].failed or pair.b[0].failed
    texts = ([Stretch(a, False)], [Stretch(b, False)]) if failed else changes(a, b)
    sides = zip(("A", "B"), (pair.a, pair.b), texts, strict=True)
    return {
        "asked": _asked(pair),
        "gold": gold_answers(pair.example)[:1] if pair.example else [],
        "labels": [
            str(each)
            for each in (pair.example.metadata if pair.example else {}).values()
            if isinstance(each, str)
        ],
        "kind": "worse" if harm > 1e-9 else "better" if harm < -1e-9 else "even",
        "moved": moved,
        "same": a == b,
        "sides": [
            {
                "name": name,
                "text": text,
                "runs": [short_id(each.run.id) for each in outcomes],
                "failed": outcomes[0].failed,
                "verdict": outcomes[0].run.verdict,
                "scores": list(_scores(outcomes)),
            }
            for name, outcomes, text in sides
        ],
    }


def _scores(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str, str]]:
    keys = dict.fromkeys(key for each in outcomes for key in each.scores)
    for key in keys:
        values = [value for each in outcomes if (value := each.value(key)) is not None]
        comments = [said.comment for each in outcomes if (said := each.scores.get(key))]
        mean = number(sum(values) / len(values)) if values else "–"
        yield key, mean, next((each for each in comments if each), "")


def _text(store: TraceStore, outcome: Outcome) -> str:
    if outcome.failed:
        return (outcome.run.error or "").partition("\n")[0][:LONGEST]
    text = plain_answer_of(store.payload(outcome.run).outputs or {})
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _asked(pair: Pair) -> str:
    return asked_of(pair.example) if pair.example else str(pair.a[0].example)


def _clock(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6).strftime("%Y-%m-%d %H:%M")


def _file(name: str) -> str:
    return (resources.files("groundling.data") / "pages" / name).read_text(encoding="utf-8")


@cache
def _page() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_file("comparison.html"))
