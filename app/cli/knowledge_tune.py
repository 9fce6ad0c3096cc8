"""`groundling knowledge tune`: retrieval tuned on one's own documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Command, Shell, pass_shell
from groundling.cli.progress import stages

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.home import Home
    from groundling.knowledge.tune.choosing import Row
    from groundling.knowledge.tune.run import Outcome
    from groundling.knowledge.tune.statistics import Estimate
    from groundling.models.reranker import Reranker

_KEPT = "What was asked and measured is kept; the same command goes on from there."


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "-n", "--questions", type=click.IntRange(10, 2000), help="How many to have.  [default: 60]"
)
@click.option(
    "--reranker",
    "rerankers",
    multiple=True,
    metavar="ID",
    help="Try this reranker; `model` is the chat model itself. Default: those installed.",
)
@click.option("--dry-run", is_flag=True, help="Measure and report, and change nothing.")
@pass_shell
def tune(
    shell: Shell,
    name: str | None,
    questions: int | None,
    rerankers: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Find the best way to cut and search the documents of NAME, and keep it.

    The chat model writes questions about your own documents; then passage length, analyser,
    the weight of meaning, the number of passages and rerankers are tried on them. Nothing
    leaves this machine. Interrupted, the same command goes on from there.
    """
    from groundling.cli.prepare import open_home, read_documents
    from groundling.knowledge.tune.plan import QUESTIONS, Plan
    from groundling.knowledge.tune.run import tune as run

    home = open_home(shell, documents=True)
    retrieval = home.settings.retrieval
    # Where the group's own --name stands before the verb.
    meant = name or click.get_current_context().meta.get("groundling.knowledge")
    chosen = str(meant or retrieval.knowledge)
    read_documents(shell, home, chosen, None)
    base = home.knowledge(chosen)
    plan = Plan(
        questions=questions or QUESTIONS,
        budget=retrieval.budget_tokens,
        passages=retrieval.passages,
        rerankers=_rerankers(home, rerankers, base.recipe.reranker),
        dry_run=dry_run,
    )
    with home, stages(shell, _KEPT) as tell:
        outcome = run(base, home.model, plan, tell)
    data = {"name": chosen, "dry_run": dry_run, **dataclasses.asdict(outcome)}
    shell.out(data, _table(outcome))
    if not shell.json:
        shell.status(_summary(chosen, outcome, dry_run=dry_run))


def _rerankers(home: Home, named: Sequence[str], present: str | None) -> dict[str, Reranker]:
    """Make the rerankers to try: the present one, and those named or else on this machine."""
    from groundling.models.choice_reranker import ChoiceReranker
    from groundling.models.reranker import load_reranker

    entries = [installed.entry for installed in home.models.list()]
    here = [one.id for one in entries if one.role == "reranker" and one.format == "gguf"]
    made: dict[str, Reranker] = {}
    for name in dict.fromkeys([*([present] if present else []), *(named or here)]):
        if name != "model":
            made[name] = load_reranker(home.models.installed(name))
            continue
        model: Any = home.model
        if not hasattr(model, "choose_many"):
            raise click.BadParameter(
                f"{type(model).__name__} cannot rerank: it weighs no options.",
                param_hint="--reranker",
            )
        made[name] = ChoiceReranker(model)
    return made


def _table(outcome: Outcome) -> Table:
    """Show the present recipe, and the best of each way to cut, analyse and rerank."""
    from rich.table import Table

    best: dict[tuple[object, ...], Row] = {}
    for row in outcome.rows:
        recipe = row.recipe
        best.setdefault((recipe.chunk_characters, recipe.analyser, recipe.reranker), row)
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in ("", "length", "analyser", "meaning", "k", "reranker"):
        table.add_column(name, no_wrap=True)
    for name in ("chosen", "held out", "difference", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("=", *_cells(outcome.present))
    for row in best.values():
        table.add_row("*" if row.recipe == outcome.kept else "", *_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    recipe = row.recipe
    weights = recipe.dense_weight or {}
    return [
        str(recipe.chunk_characters),
        str(recipe.analyser),
        " ".join(f"{language} {weight:g}" for language, weight in weights.items()),
        str(recipe.passages),
        recipe.reranker or "",
        f"{100 * row.chosen_by:.0f} %",
        _points(row.held_out),
        _points(row.difference, "+"),
        f"{row.milliseconds:.0f}",
    ]


def _points(estimate: Estimate, sign: str = "") -> str:
    mean, low, high = (
        format(100 * value, f"{sign}.0f") for value in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


def _summary(name: str, outcome: Outcome, *, dry_run: bool) -> str:
    """Say what was kept, and what is left to do."""
    measured = (
        "How many answers, in per cent, the model would see: of the "
        f"{outcome.chosen_by} questions to choose by, and of {outcome.held_out} held out, with "
        "95 % intervals (= present, * best; k: passages, meaning: its weight, words count 1)."
    )
    kept = outcome.kept
    if kept is None:
        return f"{measured}\nThe present recipe of {name} stays: {outcome.reason}."
    if dry_run:
        return f"{measured}\nNothing was changed. Without --dry-run, another is kept for {name}."
    now = outcome.present.recipe
    lines = [measured, f"Kept for {name}: {outcome.reason}."]
    if (kept.chunk_characters, kept.analyser) != (now.chunk_characters, now.analyser):
        lines.append(f"To cut its documents anew:  groundling knowledge reindex {name}")
    return "\n".join(lines)
