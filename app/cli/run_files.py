"""Runs out of this machine and in, and what keeps their file in order: parts of `trace`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from groundling.cli.output import Command, Shell, pass_shell
from groundling.cli.run_filters import filters, wanted
from groundling.cli.run_store import existing, nothing_yet, opened
from groundling.errors import TraceError


@click.command(cls=Command)
@filters
@click.option("-n", "--limit", type=click.IntRange(1), help="At most so many traces.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Default: standard output.",
)
@click.option(
    "--otlp", metavar="URL", help="Send them to an OpenTelemetry collector at this address instead."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="A header to send along with --otlp.",
)
@pass_shell
def export(
    shell: Shell,
    /,
    output: Path | None,
    limit: int | None,
    otlp: str | None,
    headers: tuple[str, ...],
    **options: Any,
) -> None:
    """Write whole traces as JSON lines: one line a run, with all that is known of it.

    Inputs, outputs, attachments and feedback are in it; `import` reads it back. With --otlp
    they go to a collector, such as Phoenix or Jaeger: --otlp http://127.0.0.1:4318
    """
    from groundling.tracing.exports import export_traces, written

    if otlp is None and headers:
        raise click.UsageError("--header goes with --otlp.")
    if otlp is not None and output is not None:
        raise click.UsageError("--otlp sends the traces; it goes without --output.")
    with existing(shell) as store:
        chosen = wanted(**options)
        if otlp is not None:
            from groundling.cli.otlp import export_otlp

            export_otlp(shell, store, chosen, otlp, headers=headers, limit=limit)
            return
        if output is None:
            for line in export_traces(store, chosen, limit=limit):
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return
        with written(output) as file:
            runs = 0
            for line in export_traces(store, chosen, limit=limit):
                file.write(line)
                runs += 1
    shell.out({"file": str(output), "runs": runs}, [f"{runs:,} runs written to {output}."])


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@pass_shell
def import_(shell: Shell, file: str) -> None:
    """Read traces that `export` wrote (- reads stdin); known runs are brought up to date."""
    from groundling.tracing.imports import import_traces

    with opened(shell, create=True, writes=True) as store:
        assert store is not None
        with click.open_file(file, "rb") as source:
            report = import_traces(store, source)
    shell.out(
        {"runs": report.runs, "feedback": report.feedback, "bad": report.bad},
        [f"{report.runs:,} runs and {report.feedback:,} pieces of feedback read."],
    )
    for line, reason in report.bad[:10]:
        shell.warn(f"line {line} was left out: {reason}")
    if report.bad:
        raise TraceError(
            f"{len(report.bad):,} lines of {file} could not be read; the others are stored.",
            hint="Mend them and import the file again: what is there already stays as it is.",
        )


@click.command(cls=Command)
@pass_shell
def prune(shell: Shell) -> None:
    """Remove what is older or larger than the settings tracing.keep_… allow, now.

    Traces with feedback, and those of experiments, stay. This also happens by itself.
    """
    with opened(shell) as store:
        if store is None:
            nothing_yet(shell, {"traces": 0, "runs": 0})
            return
        from groundling.tracing.phrases import size
        from groundling.tracing.retention import prune as remove

        pruned = remove(store, shell.settings.tracing)
    shell.out(
        {"traces": pruned.traces, "runs": pruned.runs, "bytes": pruned.size},
        [
            f"{pruned.traces:,} traces with {pruned.runs:,} runs removed; "
            f"{size(pruned.size)} are left."
        ],
    )


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Move it aside even if it seems to be whole.")
@pass_shell
def repair(shell: Shell, force: bool) -> None:
    """Move a damaged traces.sqlite aside; new runs go into a new one."""
    from groundling.tracing.damage import damage_of
    from groundling.tracing.writer import move_aside

    file = shell.settings.traces_path
    if not file.exists():
        nothing_yet(shell, {"moved": None})
        return
    found = damage_of(file)
    if found is None and not force:
        shell.out({"moved": None, "damage": None}, [f"{file} is whole; it stays where it is."])
        return
    try:
        aside = move_aside(file)
    except OSError as error:
        raise TraceError(
            f"{file} cannot be moved: {error}",
            hint="End the programs that have it open, and run it again.",
        ) from error
    shell.out(
        {"moved": str(aside), "damage": found},
        [
            f"{file} {f'is damaged ({found})' if found else 'was moved'}.",
            f"It is now {aside}",
            "New runs go into a new file. What the old one still holds: "
            f"sqlite3 '{aside}' .recover",
        ],
    )
