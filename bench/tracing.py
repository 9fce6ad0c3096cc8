"""What recording runs costs, how fast they are found, and whether any gets lost.

    uv run python -m bench.tracing                     all sections, about 15 minutes
    uv run python -m bench.tracing --quick             two minutes
    uv run python -m bench.tracing --only overhead --json figures.json

Sections: overhead (a graph of twelve nodes, beside LangSmith's own client posting to a local
sink), million (lists, filters and text search among 1,000,000 runs), ingest (200 clients that
write at once into the LangSmith-compatible server).
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench.engines.figures import Table
from bench.traces import ingest, million, overhead
from groundling.models.cpu import read_cpu

SECTIONS: dict[str, Callable[[bool], list[Table]]] = {
    "overhead": lambda quick: overhead.measure(rounds=3 if quick else 15, runs=8 if quick else 40),
    "million": lambda quick: million.measure(runs=50_000 if quick else 1_000_000),
    "ingest": lambda quick: ingest.measure(clients=200, runs=10 if quick else 50),
}


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="Repeatable.")
@click.option("--quick", is_flag=True, help="Small counts.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--markdown", is_flag=True, help="Print tables for a page.")
def main(only: tuple[str, ...], quick: bool, file: Path | None, markdown: bool) -> None:
    """Run the sections, printing each one's tables as soon as they are there."""
    machine = {
        "cpu": read_cpu().describe(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
    }
    click.echo(f"{machine['cpu']}, SQLite {machine['sqlite']}")
    results: dict[str, Any] = {"machine": machine}
    for name in only or SECTIONS:
        begun = time.perf_counter()
        tables = SECTIONS[name](quick)
        for table in tables:
            click.echo(table.markdown() if markdown else table.text())
        click.echo(f"  ({name}: {time.perf_counter() - begun:.0f} s)", err=markdown)
        results[name] = [table.json() for table in tables]
        if file:
            file.write_text(json.dumps(results, ensure_ascii=False, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
