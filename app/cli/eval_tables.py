"""Experiments and comparisons as tables and lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from rich.table import Table
from rich.text import Text

from groundling.cli.dataset import VERSION_DIGITS, when
from groundling.cli.output import Shell
from groundling.cli.run_tables import harmless, lines, plain
from groundling.evaluation.compare import Comparison, Difference
from groundling.evaluation.example import Example
from groundling.evaluation.results import COMPLETED, Outcome, Results
from groundling.evaluation.score import asked_of
from groundling.evaluation.summary import number, summarise
from groundling.tracing.as_json import short_id

SHOWN_FAILURES = 10


def scores_table(results: Results) -> Table:
    """Lay out the figures of an experiment, one score a line."""
    table = Table(
        box=None, header_style="dim", title=plain(results.experiment.name), title_justify="left"
    )
    table.add_column("score")
    for name in ("mean", "95 % interval", "examples"):
        table.add_column(name, justify="right")
    table.add_column("")
    for line in summarise(results):
        aside = []
        if line.better == "lower":
            aside.append("lower is better")
        if line.inapplicable:
            aside.append(f"does not apply to {line.inapplicable}")
        if line.unjudged:
            aside.append(f"failed on {line.unjudged} runs")
        table.add_row(
            plain(line.key),
            number(line.mean),
            "" if line.mean is None else f"{number(line.low)} – {number(line.high)}",
            str(line.examples),
            Text("; ".join(aside), "dim"),
        )
    return table


def groups_table(groups: Mapping[str, Mapping[str, tuple[float, int]]], field: str) -> Table:
    """Lay out means by group."""
    keys = list(dict.fromkeys(key for scores in groups.values() for key in scores))
    table = Table(box=None, header_style="dim")
    table.add_column(plain(field))
    for key in keys:
        table.add_column(plain(key), justify="right")
    for group, scores in groups.items():
        cells = [
            f"{number(scores[key][0])} of {scores[key][1]}" if key in scores else "–"
            for key in keys
        ]
        table.add_row(plain(group), *cells)
    return table


def shown(shell: Shell, table: Table) -> Table | Iterator[str]:
    """Return a table for a terminal, or its lines, each as long as it needs to be, for a pipe."""
    return table if shell.console.is_terminal else lines(table)


def experiments_table(found: Sequence[Results], datasets: Mapping[UUID, str]) -> Table:
    """Lay out experiments, one a line."""
    table = Table(box=None, header_style="dim")
    for name in ("experiment", "data set", "version", "begun", "runs", "scores"):
        table.add_column(name)
    for results in found:
        experiment = results.experiment
        means = [
            f"{key} {number(mean)}"
            for key in results.keys
            if key != COMPLETED and (mean := results.mean(key)) is not None
        ]
        version = experiment.metadata.get("dataset_version")
        runs = str(len(results.outcomes))
        if results.failed:
            runs += f", {len(results.failed)} failed"
        if not experiment.complete:
            runs += ", unfinished"
        table.add_row(
            plain(experiment.name),
            plain(datasets.get(experiment.dataset, "deleted")),
            str(version or "")[:VERSION_DIGITS],
            when(experiment.started),
            runs,
            plain("  ".join(means)),
        )
    return table


def outcomes_lines(results: Results, examples: Mapping[UUID, Example]) -> Iterator[str]:
    """Show the runs that went worst, with the reasons."""
    judged = [key for key in results.keys if results.better(key) == "higher"]

    def total(outcome: Outcome) -> float:
        return sum(value for key in judged if (value := outcome.value(key)) is not None)

    worst = [each for each in results.outcomes if any(each.value(key) == 0 for key in judged)]
    if not worst:
        return
    yield ""
    yield f"Runs with a 0: {len(worst)} of {len(results.outcomes)}"
    for outcome in sorted(worst, key=total)[:SHOWN_FAILURES]:
        example = examples.get(outcome.example)
        asked = asked_of(example) if example else str(outcome.example)
        yield harmless(f"{short_id(outcome.run.id)}  {_line(asked)}")
        yield harmless(f"    {_line(outcome.run.answer or outcome.run.error or '')}")
        for key in judged:
            said = outcome.scores.get(key)
            if said is not None and said.score == 0:
                yield harmless(f"    {key} 0  {_line(said.comment or '')}")


def comparison_table(found: Comparison, confidence: float) -> Table:
    """Lay out a comparison, one score a line."""
    title = f"{found.a.experiment.name} → {found.b.experiment.name}, {len(found.pairs)} examples"
    table = Table(box=None, header_style="dim", title=plain(title), title_justify="left")
    table.add_column("score")
    for name in ("A", "B", "difference", f"{confidence:.0%} interval", "win / tie / loss", "p"):
        table.add_column(name, justify="right")
    for each in found.differences:
        figures = each.paired
        table.add_row(
            plain(each.key),
            number(figures.mean_a),
            number(figures.mean_b),
            Text(number(figures.difference, signed=True), _colour(each)),
            f"{number(figures.low, signed=True)} … {number(figures.high, signed=True)}",
            f"{each.wins} / {figures.ties} / {each.losses}",
            f"{figures.p:.2g}",
        )
    return table


def pair_lines(found: Comparison, most: int) -> Iterator[str]:
    """Show the examples that lost most, with both answers."""
    lost = [
        pair
        for pair in found.pairs
        if any(
            each.harm(difference) > 0
            for each in found.differences
            if each.better == "higher" and (difference := pair.difference(each.key)) is not None
        )
    ]
    if not lost or not most:
        return
    yield ""
    yield f"Examples that lost, of {len(found.pairs)}: {len(lost)}"
    for pair in lost[:most]:
        asked = asked_of(pair.example) if pair.example else str(pair.a[0].example)
        yield harmless(f"{_line(asked)}")
        moved = [
            f"{each.key} {number(difference, signed=True)}"
            for each in found.differences
            if each.better == "higher" and (difference := pair.difference(each.key))
        ]
        yield harmless(f"    {', '.join(moved)}")
        for name, outcome in (("A", pair.a[0]), ("B", pair.b[0])):
            said = outcome.run.answer or outcome.run.error or ""
            yield harmless(f"    {name} {short_id(outcome.run.id)}  {_line(said)}")


def _colour(difference: Difference) -> str:
    low, high = difference.paired.low, difference.paired.high
    if low <= 0 <= high:
        return ""
    return "red" if difference.drop > 0 else "green"


def _line(text: str) -> str:
    return " ".join(text.split())[:160]
