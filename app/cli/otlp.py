"""`groundling trace export --otlp`: whole traces to an OpenTelemetry collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from groundling.cli.output import Shell
from groundling.errors import TraceError

if TYPE_CHECKING:
    from groundling.tracing.query import RunFilter
    from groundling.tracing.store import TraceStore


def export_otlp(
    shell: Shell,
    store: TraceStore,
    wanted: RunFilter,
    address: str,
    *,
    headers: tuple[str, ...] = (),
    limit: int | None = None,
) -> None:
    """Send the traces that a filter lets through, and say what became of them.

    Args:
        shell: to speak through; its settings say whether uploads are allowed.
        store: the runs.
        wanted: which traces.
        address: the collector's.
        headers: `NAME=VALUE` each.
        limit: at most so many traces, the newest.

    Raises:
        TraceError: nothing may be sent there, or not all of it arrived.
    """
    from dataclasses import asdict

    from groundling.tracing.otlp import export

    traces = {run.trace: run for run in store.find(wanted, limit=-1)}
    upload = shell.settings.tracing.upload
    with shell.stderr.status(f"sending to {address} …"):
        chosen = list(traces.values())[:limit]
        report = export(store, chosen, address, parse_headers(headers), upload=upload)
    data = {"endpoint": address, "complete": report.complete, **asdict(report)}
    shell.out(data, [f"Sent to {address}: traces {report.traces:,}, runs {report.spans:,}."])
    if report.running:
        shell.warn(f"{report.running:,} runs are not over and were left out.")
    if not report.complete:
        missing = report.failed + report.rejected
        raise TraceError(
            f"{missing:,} runs were not taken by {address}: {'; '.join(report.problems)}.",
            hint="Run it again when that is mended: traces and runs keep their ids.",
        )
    for problem in report.problems:
        shell.warn(f"{address} says: {problem}")


def parse_headers(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read headers from the command line.

    Raises:
        click.UsageError: one has no `=`.
    """
    headers = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError("--header takes NAME=VALUE.")
        headers[name.strip()] = value.strip()
    return headers
