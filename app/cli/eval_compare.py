"""`groundling eval compare`, `gate` and `calibrate`: one experiment beside another."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.eval_prepare import (
    counted,
    data_sets,
    home_with_models,
    judge_model_of,
    plain_home,
)
from groundling.cli.output import Command, Shell, pass_shell
from groundling.errors import EvaluationError

if TYPE_CHECKING:
    from groundling.evaluation.compare import Comparison
    from groundling.evaluation.gate import Check


@click.command(cls=Command)
@click.argument("a")
@click.argument("b")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write a page with plots and answers here."
)
@click.option(
    "--confidence", type=click.FloatRange(0.5, 0.999), default=0.95, help="Of the intervals."
)
@click.option("--judge", is_flag=True, help="Have a model say which answers are better.")
@click.option("--judge-model", metavar="ID|FILE", help="That model (default: the configured one).")
@click.option("--examples", type=click.IntRange(0), default=5, help="How many are shown.")
@pass_shell
def compare(
    shell: Shell,
    a: str,
    b: str,
    html: Path | None,
    confidence: float,
    judge: bool,
    judge_model: str | None,
    examples: int,
) -> None:
    """Compare experiment B with A, example by example.

    A is what stands, B what may take its place. The examples that lost most come first.
    """
    from groundling.cli.eval_tables import comparison_table, pair_lines, shown
    from groundling.evaluation import compare as comparing

    wants_model = judge or judge_model is not None
    home_for = (
        home_with_models(shell, None, ["judge"], judge_model) if wants_model else plain_home(shell)
    )
    with data_sets(shell) as datasets, home_for as home:
        found = comparing.compare(home.traces, datasets, a, b, confidence=confidence)
        preferences = None
        if wants_model:
            from groundling.evaluation.preference import prefer_all

            model = judge_model_of(shell, home, judge_model) or home.model
            with counted(shell, "Judging") as tell:
                preferences = asyncio.run(
                    prefer_all(model, home.traces, found.pairs, progress=tell)
                )
        if html is not None:
            from groundling.evaluation.report import write_report

            write_report(html, found, home.traces, preferences)
        lost = list(pair_lines(found, examples))
    table = comparison_table(found, confidence)
    shell.out(_compared(found, preferences), shown(shell, table))
    for note in found.notes:
        shell.warn(note)
    if shell.json:
        return
    if preferences is not None:
        asked = preferences.wins + preferences.ties + preferences.losses
        shell.out(
            None,
            [
                "",
                f"The judge prefers B {preferences.wins} times, A {preferences.losses} times of "
                f"{asked} (p {preferences.p_sign:.2g}). It kept to its word in "
                f"{preferences.consistency:.0%} when A and B changed places; the answer shown "
                f"first got {preferences.first:.0%}.",
            ],
        )
    shell.out(None, lost)
    if html is not None:
        shell.status(f"Written: {html}")


@click.command(cls=Command)
@click.argument("experiments", nargs=-1, required=True, metavar="[A] B")
@click.option(
    "--max-drop",
    multiple=True,
    metavar="[KEY=]LIMIT",
    help="Most that B may be worse than A: 2%, correct=0, latency=10%.",
)
@click.option("--min", "least", multiple=True, metavar="KEY=MEAN", help="Least mean of B.")
@click.option("--strict", is_flag=True, help="Take the worse end of the interval.")
@pass_shell
def gate(
    shell: Shell,
    experiments: tuple[str, ...],
    max_drop: tuple[str, ...],
    least: tuple[str, ...],
    strict: bool,
) -> None:
    """Exit with 9 if experiment B is worse than A by more than it may be.

    --max-drop 2% lets each score fall by 0.02 (0.80 to 0.78); for latency and tokens, a limit
    is a share of A's, and only where it is named. --min is for B alone.

    \b
    groundling eval gate main candidate --max-drop 2% --max-drop correct=0
    groundling eval gate candidate --min correct=0.8
    """
    from groundling.evaluation import compare as comparing
    from groundling.evaluation.experiments import ExperimentBook
    from groundling.evaluation.gate import check, gate, parse_limits
    from groundling.evaluation.results import read_results

    if len(experiments) > 2:
        raise click.UsageError("Give one experiment or two.")
    try:
        drops, minima = parse_limits(max_drop), parse_limits(least)
    except EvaluationError as error:
        raise click.UsageError(f"{error} {error.hint}") from error
    if drops and len(experiments) == 1:
        raise click.UsageError("--max-drop compares two experiments: A B.")
    with data_sets(shell) as datasets, plain_home(shell) as home:
        results = read_results(home.traces, ExperimentBook(home.traces).get(experiments[-1]))
        found = None
        if len(experiments) == 2:
            found = comparing.compare(home.traces, datasets, *experiments)
            for note in found.notes:
                shell.warn(note)
        limits: dict[str, Any] = {"max_drop": drops, "min": minima, "strict": strict}
        checks = check(results, found, **limits)
        shell.out([dataclasses.asdict(each) for each in checks], _check_lines(checks))
        gate(results, found, **limits)


@click.command(cls=Command)
@click.argument("experiment")
@click.option(
    "--label", default="correct", show_default=True, metavar="KEY", help="Score to agree with."
)
@click.option("--judge", "spec", default="judge", show_default=True, help="Which judge.")
@click.option(
    "--method",
    type=click.Choice(["platt", "isotonic"]),
    default="platt",
    show_default=True,
    help="Of fitting; isotonic wants hundreds of labels.",
)
@click.option("--judge-model", metavar="ID|FILE", help="Its model (default: the configured one).")
@pass_shell
def calibrate(
    shell: Shell, experiment: str, label: str, spec: str, method: str, judge_model: str | None
) -> None:
    """Fit a judge to the labels of an experiment, and tell how far it agrees with them.

    A label is a score of 0.5 or more under --label: of an evaluator, or a person's feedback.
    Judges of the same model and question use the fit from then on.
    """
    from groundling.evaluation.evaluators.registry import Context
    from groundling.evaluation.fitting import fit_judge

    with (
        data_sets(shell) as datasets,
        home_with_models(shell, None, ["judge"], judge_model) as home,
    ):
        context = Context(home, judge=judge_model_of(shell, home, judge_model))
        with counted(shell, "Judging") as tell:
            fitted, file = asyncio.run(
                fit_judge(home, datasets, context, experiment, spec, label, method, tell)
            )
    shell.out(
        {**dataclasses.asdict(fitted), "file": str(file)},
        [
            f"{fitted.examples} labels, {method}; threshold {fitted.threshold:.3f}",
            f"  as it is    agrees {fitted.raw.rate:.0%}, kappa {fitted.raw.kappa:.2f}, "
            f"Brier {fitted.raw.brier:.3f}",
            f"  calibrated  agrees {fitted.fitted.rate:.0%}, kappa {fitted.fitted.kappa:.2f}, "
            f"Brier {fitted.fitted.brier:.3f}  (on labels it was not fitted on)",
        ],
    )


def _check_lines(checks: Sequence[Check]) -> Iterator[str]:
    from groundling.evaluation.summary import number

    for each in checks:
        if each.what == "complete":
            continue
        found = number(each.found)
        bound = "at most" if each.what == "drop" else "at least"
        verdict = "ok" if each.passed else "FAILED"
        yield f"{verdict:<6}  {each.key}: {each.what} {found}, {bound} {number(each.allowed)}"


def _compared(found: Comparison, preferences: Any) -> dict[str, Any]:
    return {
        "a": found.a.experiment.name,
        "b": found.b.experiment.name,
        "examples": len(found.pairs),
        "notes": found.notes,
        "scores": {
            each.key: {
                "better": each.better,
                **dataclasses.asdict(each.paired),
                "wins": each.wins,
                "losses": each.losses,
                "drop": each.drop,
                "unjudged_a": each.unjudged_a,
                "unjudged_b": each.unjudged_b,
            }
            for each in found.differences
        },
        "preferences": None if preferences is None else dataclasses.asdict(preferences),
        "pairs": [
            {
                "example": str(pair.a[0].example),
                "inputs": pair.example.inputs if pair.example else None,
                "a": [str(each.run.id) for each in pair.a],
                "b": [str(each.run.id) for each in pair.b],
                "differences": {each.key: pair.difference(each.key) for each in found.differences},
            }
            for pair in found.pairs
        ],
    }
