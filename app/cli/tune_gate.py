"""`groundling tune gate`: has an adapter earned to answer?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from groundling.cli.output import Command, Shell, pass_shell
from groundling.errors import GateFailed

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.tuning.gate import Verdict

_SHOWN = 8


@click.command(cls=Command)
@click.argument("name")
@click.option("--data", "data", metavar="DATA", help="Default: what it learnt from.")
@click.option(
    "--allow", type=click.FloatRange(0, 1), default=0.05, show_default=True,
    help="Most that a skill may fall.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Measure, and promote nothing.")
@pass_shell
def gate(shell: Shell, name: str, data: str | None, allow: float, dry_run: bool) -> None:
    """Compare an adapter with its base, and let it answer if it is better and breaks nothing.

    Asked are the examples held out of its training data, and a suite of what any model
    should do: general questions, the guard's judgement, refusals, answers from passages.
    The exit code is 9 where it does not pass.
    """
    from groundling.cli.progress import stages
    from groundling.models.adapter_shelf import AdapterShelf
    from groundling.models.chat import ChatLlama
    from groundling.tuning.dataset import DataShelf
    from groundling.tuning.gate import gate as judge

    settings = shell.settings
    shelf = AdapterShelf(settings.adapters_path)
    card = shelf.get(name).card
    found = DataShelf(settings.tuning_path / "data").get(data or card.data)
    lost = f"Nothing of it is kept, and {name} is not promoted: the same command begins anew."
    with stages(shell, lost) as tell:
        model = ChatLlama.from_settings(settings)
        verdict = judge(model, name, found.heldout(), allowed=allow, tell=tell)
    shelf.score(name, verdict.scores)
    promoted = verdict.passed and not dry_run
    before = shelf.promote(name) if promoted else shelf.promoted(card.base)
    shell.out(
        {
            "adapter": name,
            "passed": verdict.passed,
            "promoted": promoted,
            "before": before,
            "comparisons": [asdict(each) for each in verdict.comparisons],
            "broken": [asdict(each) for each in verdict.broken],
        },
        _table(verdict),
    )
    if not verdict.passed:
        if not shell.json:
            for one in verdict.broken[:_SHOWN]:
                shell.status(f"  {one.skill}: {one.question}  {one.base:.2f} → {one.adapter:.2f}")
        why = "; ".join(f"{one.skill}: {one.reason}" for one in verdict.comparisons if one.reason)
        raise GateFailed(
            f"{name} does not answer in place of its base. {why}.",
            hint=f"groundling tune show {name}; more or other examples, fewer steps",
        )
    said = "passes" if dry_run else f"answers from here on; before: {before or 'the bare model'}"
    shell.status(f"{name} {said}.")


def _table(verdict: Verdict) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    for column in ("examples", "base", "adapter", "difference", "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for each in verdict.comparisons:
        pair = each.paired
        table.add_row(
            each.skill, str(pair.examples), f"{pair.mean_a:.2f}", f"{pair.mean_b:.2f}",
            f"{pair.difference:+.2f}", f"{pair.low:+.2f} … {pair.high:+.2f}",
            "ok" if each.reason is None else "no",
        )  # fmt: skip
    return table
