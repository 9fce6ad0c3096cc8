"""`groundling tune`: corrections and documents become a better model, on this machine."""

from __future__ import annotations

import click

from groundling.cli.output import Group
from groundling.cli.tune_data import data
from groundling.cli.tune_gate import gate
from groundling.cli.tune_shelf import list_, promote, remove, rollback, show
from groundling.cli.tune_train import dpo, kto, sft


@click.group(cls=Group)
def tune() -> None:
    """Make a better model of corrections and documents, and prove that it is one.

    Training wants the extra `tune`: docs/tuning.md.
    """


for command in (data, sft, dpo, kto, gate, list_, show, promote, rollback, remove):
    tune.add_command(command)
