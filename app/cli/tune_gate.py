"""`groundling tune gate`: has an adapter earned to answer?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from groundling.cli.output import Command, Shell, pass_shell
from groundling.cli.tune_data import short
from groundling.errors import AdapterError, GateFailed

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
    from groundling.models.adapter_shelf import AdapterShelf, fingerprint
    from groundling.models.chat import ChatLlama
    from groundling.models.files.store import ModelStore
    from groundling.tuning.dataset import DataShelf
    from groundling.tuning.gate import gate as judge
    from groundling.tuning.gate import learnt_by, not_learnt

    settings = shell.settings
    shelf, kept = AdapterShelf(settings.adapters_path), DataShelf(settings.tuning_path / "data")
    base = ModelStore(settings.models_path, settings.download).resolve(settings.model.name).path
    card = shelf.for_base(name, fingerprint(base)).card  # before the base is asked for minutes
    heldout = kept.get(data or card.data).heldout()
    learnt, gone = learnt_by(name, shelf, kept)
    asked = not_learnt(heldout, learnt)
    if len(asked) < len(heldout):
        shell.warn(f"{len(heldout) - len(asked)} of {len(heldout)} held-out examples were learnt "
                   "from, and are not asked.")  # fmt: skip
    if gone:
        shell.warn(f"Gone: {', '.join(gone)}. Whether it learnt what it is asked is not known.")
    lost = f"Nothing of it is kept, and {name} is not promoted: the same command begins anew."
    with stages(shell, lost) as tell:
        model = ChatLlama.from_settings(settings)
        verdict = judge(model, name, asked, allowed=allow, tell=tell)
    if shelf.get(name).card.created != card.created:
        raise AdapterError(
            f"{name} was trained anew while it was measured.", hint=f"groundling tune gate {name}"
        )
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
    if verdict.broken and not shell.json:
        shell.status(f"Worse with {name}:")
        for one in verdict.broken[:_SHOWN]:
            shell.status(
                f"  {one.skill}: {short(one.question)}  {one.base:.2f} → {one.adapter:.2f}"
            )
        if len(verdict.broken) > _SHOWN:
            shell.status(f"  and {len(verdict.broken) - _SHOWN} more: --json shows all")
    if not verdict.passed:
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
