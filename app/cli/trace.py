"""`groundling trace`: look at what ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from groundling.cli.output import Group, Shell, pass_shell
from groundling.cli.replay import replay
from groundling.cli.run_files import export, import_, prune, repair
from groundling.cli.run_filters import filters, period, wanted
from groundling.cli.run_server import serve
from groundling.cli.run_store import emit, existing, nothing_yet, opened, width
from groundling.errors import TraceError


@click.group(cls=Group)
def trace() -> None:
    """Look at runs: what happened, how long it took, what it cost.

    RUN is `last`, or at least 4 of the first or last digits of a run's id.
    """


@trace.command("list")
@filters
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many."
)
@pass_shell
def list_(shell: Shell, /, limit: int, **options: Any) -> None:
    """List runs, the newest first."""
    with opened(shell) as store:
        if store is None:
            nothing_yet(shell, [])
            return
        from groundling.cli.run_tables import run_table
        from groundling.tracing.as_json import feedback_as_json, run_as_json
        from groundling.tracing.feedback import FeedbackBook

        runs = store.find(wanted(**options), limit=limit)
        said = FeedbackBook(store).of_traces(list({run.trace for run in runs}))
        if not runs and not shell.json and not store.find(limit=1):
            nothing_yet(shell, [])
            return
    data = [
        {**run_as_json(run), "feedback": [feedback_as_json(one) for one in said.get(run.trace, [])]}
        for run in runs
    ]
    if runs:
        emit(shell, data, run_table(runs, said, width=width(shell)))
    else:
        shell.out(data, ["No run is like that."])
    if len(runs) == limit and not shell.json:
        shell.status(f"The newest {limit}; -n shows more, groundling trace show ID one of them.")


@trace.command()
@click.argument("run", metavar="RUN")
@click.option("--full", is_flag=True, help="Print all of the inputs and outputs.")
@click.option("--all", "every", is_flag=True, help="Runs, too, that only repeat the one above.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the trace as a waterfall, a page that needs nothing else.",
)
@pass_shell
def show(shell: Shell, run: str, full: bool, every: bool, page: Path | None) -> None:
    """Show the trace of RUN: what ran inside what, how long, and what came of it.

    With --full and the id of a run inside a trace, only that run's inputs and outputs.
    """
    from groundling.tracing import waterfall

    with existing(shell) as store:
        found = store.resolve(run)
        view = waterfall.view(store, found.trace)
    if page is not None:
        try:
            page.write_text(waterfall.html(view), encoding="utf-8")
        except OSError as error:
            raise TraceError(
                f"{page} cannot be written: {error}", hint="Name a file in a folder of yours."
            ) from error
        shell.out({"trace": view["trace"], "file": str(page)}, [f"Written: {page}"])
        return
    if shell.json:
        shell.out(view)
        return
    from rich.console import Group as Lines
    from rich.table import Table
    from rich.text import Text

    from groundling.cli.run_tables import lines
    from groundling.cli.run_tree import head, tree, whole

    chosen = "" if found.parent is None else str(found.id)
    columns = width(shell)
    parts: list[Table | Text] = [
        head(view),
        Text(),
        tree(view, width=columns, every=every, chosen=chosen),
    ]
    if full:
        runs = [one for one in view["runs"] if every or not one["folded"]]
        parts += whole([one for one in runs if chosen in ("", one["id"])])
    if columns is None:
        shell.out(view, (line for part in parts for line in lines(part)))
    else:
        shell.out(view, Lines(*parts))


@trace.command()
@filters
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Earlier ones first.",
)
@click.option(
    "--every", "interval", type=click.FloatRange(0.05), default=0.5, hidden=True, help="Seconds."
)
@pass_shell
def tail(shell: Shell, /, limit: int, interval: float, **options: Any) -> None:
    """Follow runs as they begin and end, until Ctrl-C.

    With --json one line for each change.
    """
    from groundling.cli.run_tail import follow

    with opened(shell, create=True) as store:
        assert store is not None
        follow(shell, store, wanted(**options), earlier=limit, interval=interval)


@trace.command()
@click.option("-g", "--graph", metavar="NAME", help="Of this graph alone.")
@click.option("--project", metavar="NAME", help="Filed under this project.")
@period[0]
@period[1]
@pass_shell
def stats(
    shell: Shell, graph: str | None, project: str | None, since: int | None, until: int | None
) -> None:
    """Count runs by graph and node: errors, durations, tokens, what was dropped."""
    with opened(shell) as store:
        if store is None:
            nothing_yet(shell, {"graphs": [], "dropped": {}})
            return
        import dataclasses

        from groundling.cli.run_tables import statistics_table
        from groundling.tracing.statistics import statistics

        rows = statistics(store, since=since, until=until, graph=graph, project=project)
        dropped = store.drops()
    data = {
        "graphs": [
            {
                **dataclasses.asdict(row),
                "error_share": row.error_share,
                "cached_share": row.cached_share,
            }
            for row in rows
        ],
        "dropped": dropped,
    }
    if rows:
        emit(shell, data, statistics_table(rows, width=width(shell)))
    else:
        shell.out(data, ["No run is like that."])
    if dropped and not shell.json:
        shell.status("")
        for reason, count in dropped.items():
            shell.warn(f"{count:,} runs or parts of them were not recorded: {reason}.")


for _command in (replay, serve, export, import_, prune, repair):
    trace.add_command(_command)
