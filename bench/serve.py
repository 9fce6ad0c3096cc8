"""What serving costs: the server beside a graph in process, `langgraph dev`, and llama.cpp's own.

    uv run python -m bench.serve                              all sections, about 15 minutes
    uv run python -m bench.serve --quick                      three minutes
    uv run python -m bench.serve --only soak --soak 1800      half an hour
    uv run python -m bench.serve --only overhead --json figures.json

Sections: start (from the program's start to its first answers), overhead (first event over the
graph in process, scripted model), throughput (runs a second beside `langgraph dev`, which the
group `reference` installs), chats (1, 8 and 32 at once on a real model beside llama.cpp's C++
server), idle (500 open streams), soak (eight chats: growth and losses), page (bytes and first
paint in Chromium). Server and load generator share the machine.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench.engines.figures import Table
from bench.serving import chats, idle, opening, overhead, page, soak, throughput
from groundling import settings as settings_module
from groundling.models.cpu import read_cpu
from groundling.models.files.store import ModelStore

SECTIONS = ("start", "overhead", "throughput", "chats", "idle", "soak", "page")


def tell(what: str) -> None:
    """Say what is being measured."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def sections(
    quick: bool, seconds: float, model: str, store: ModelStore
) -> dict[str, Callable[[], list[Table]]]:
    """Return what each section measures."""
    models = store.root.resolve()

    def file() -> Path:
        return store.installed(model).path

    counts = (1, 4) if quick else (1, 8, 32)
    return {
        "start": lambda: opening.measure(model, models, 2 if quick else 10, tell),
        "overhead": lambda: overhead.measure(30 if quick else 500),
        "throughput": lambda: throughput.measure(2.0 if quick else 10.0, 1 if quick else 3, tell),
        "chats": lambda: chats.measure(
            model, models, file(), counts, 1 if quick else 3, 16 if quick else 64, tell
        ),
        "idle": lambda: idle.measure(50 if quick else 500, tell),
        "soak": lambda: soak.measure(model, models, 15.0 if quick else seconds, tell),
        "page": lambda: page.measure(3 if quick else 15, tell),
    }


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--only", multiple=True, type=click.Choice(SECTIONS), help="Repeatable.")
@click.option("--quick", is_flag=True, help="Small counts.")
@click.option("--soak", "seconds", default=60.0, show_default=True, help="Seconds of the soak.")
@click.option("--model", default="smollm2-135m", show_default=True, help="For chats and soak.")
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that has it; default: the home folder's.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--markdown", is_flag=True, help="Print tables for a page.")
def main(
    only: tuple[str, ...],
    quick: bool,
    seconds: float,
    model: str,
    models: Path | None,
    out: Path | None,
    markdown: bool,
) -> None:
    """Run the sections, printing each one's tables as soon as they are there."""
    settings = settings_module.load()
    store = ModelStore(models or settings.models_path, settings.download)
    machine = {
        "cpu": read_cpu().describe(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }
    click.echo(f"{machine['cpu']}, Python {machine['python']}")
    results: dict[str, Any] = {"machine": machine}
    measures = sections(quick, seconds, model, store)
    for name in only or SECTIONS:
        begun = time.perf_counter()
        tables = measures[name]()
        for table in tables:
            click.echo(table.markdown() if markdown else table.text())
        click.echo(f"  ({name}: {time.perf_counter() - begun:.0f} s)", err=markdown)
        results[name] = [table.json() for table in tables]
        if out:
            out.write_text(json.dumps(results, ensure_ascii=False, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
