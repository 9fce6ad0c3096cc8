"""`groundling trace replay`: run a recorded trace again and show what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from groundling.evaluation.differences import Difference
    from groundling.evaluation.replay import Replay


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--model", metavar="ID|FILE", help="Another chat model than the run had.")
@pass_shell
def replay(shell: Shell, run: str, model: str | None) -> None:
    """Run the trace of RUN again, with the same inputs and seed, and show what differs.

    Graphs are replayed whole, whichever of their runs is named. The replay is a run of its
    own, with the tag replay.
    """
    from groundling.evaluation.replay import replay as run_again
    from groundling.home import Home

    model = model or shell.flags.get("model", {}).get("name")
    with Home(**shell.flags) as home:
        found = home.traces.resolve(run)
        if not shell.json:
            shell.status(f"Replaying {found.graph or found.name} …")
        outcome = run_again(home, found, model=model)
    for warning in outcome.warnings:
        shell.warn(warning)
    shell.out(outcome.as_json(), list(report(outcome)))


def report(outcome: Replay) -> Iterator[str]:
    """Write what came of a replay as lines."""
    from groundling.tracing.as_json import short_id

    old, new = short_id(outcome.original.id), short_id(outcome.replayed.id)
    if outcome.same:
        yield f"The same outputs: {old}, and now {new}."
    else:
        keys = ", ".join(each.key for each in outcome.differences)
        yield f"Other outputs: {old}, and now {new}. Not the same: {keys}."
        for each in outcome.differences:
            if each.key != "messages" or len(outcome.differences) == 1:  # they repeat the answer
                yield ""
                yield from _difference(each)
    if outcome.fork is not None:
        yield ""
        yield f"They part at the node {outcome.fork.node}: {outcome.fork.reason}."
        shown = {each.diff for each in outcome.differences}
        for each in outcome.fork.differences[:1]:
            if each.diff not in shown:
                yield from _difference(each)


def _difference(found: Difference) -> Iterator[str]:
    yield f"{found.key}:"
    yield from (f"  {line}" for line in found.diff)
