"""The engine against every other way to run the same model, side by side in one run.

    uv sync --group bench
    uv run python -m bench.engine                              both models, all sections
    uv run python -m bench.engine --quick                      a minute on SmolLM2
    uv run python -m bench.engine --model smollm2-135m --only single --only choose

Sections: single, concurrent, prefix, choose (and grammar), speculation, equality, variants.
Contenders take turns in every round; medians and ratios are printed. `--llama-server FILE`
names a C++ server that was compiled for this machine: it stands beside the portable one of
`xllamacpp` where there is one chat, and in its place where there are many. From the sources
that llama-cpp-python brings (`vendor/llama.cpp`), about five minutes on two cores:

    CFLAGS=-U__AMX_INT8__ CXXFLAGS=-U__AMX_INT8__ cmake -B build -DCMAKE_BUILD_TYPE=Release \\
        -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF
    cmake --build build --target llama-server
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bench.engines import (
    concurrent,
    decisions,
    equality,
    sharing,
    single,
    speculation,
    variants,
)
from bench.engines.figures import Table
from bench.engines.stage import Stage
from groundling import settings as settings_module
from groundling.models.cpu import default_threads, read_build, read_cpu
from groundling.models.files.store import ModelStore

MODELS = ("smollm2-135m", "qwen2.5-coder-1.5b")
LARGE = MODELS[1]  # ten times as slow: shorter documents and answers, fewer prompts
SECTIONS: dict[str, Callable[[Stage], list[Table]]] = {
    "single": single.measure,
    "concurrent": concurrent.measure,
    "prefix": sharing.measure,
    "choose": decisions.measure,
    "speculation": speculation.measure,
    "equality": equality.measure,
    "variants": variants.measure,
}


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), help="Repeatable.")
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="Repeatable.")
@click.option("--quick", is_flag=True, help="Small counts, once each, on SmolLM2.")
@click.option("--rounds", type=int, help="How often each figure is measured; default: 3.")
@click.option(
    "--llama-server",
    "binary",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A server compiled for this machine, too.",
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--markdown", is_flag=True, help="Print tables for a page.")
def main(
    models: tuple[str, ...],
    only: tuple[str, ...],
    quick: bool,
    rounds: int | None,
    binary: Path | None,
    file: Path | None,
    markdown: bool,
) -> None:
    """Run the sections, printing each one's tables as soon as they are there."""
    home = settings_module.load()
    store = ModelStore(home.models_path, home.download)
    machine = {
        "cpu": read_cpu().describe(),
        "build": read_build().describe(),
        "cores": os.cpu_count(),
        "threads": default_threads(),
        "platform": platform.platform(),
    }
    click.echo(f"{machine['cpu']}\n{machine['build']}")
    results: dict[str, Any] = {"machine": machine}
    for model in models or (MODELS[:1] if quick else MODELS):
        stage = Stage(model, store.resolve(model).path, binary=binary)
        if model == LARGE:
            stage = replace(stage, document=600, reply=32, prompts=40)
        if quick:
            stage = replace(stage, rounds=1, prompt=300, document=300, tokens=16, reply=16)
            stage = replace(stage, chats=(1, 4), passages=5, prompts=10)
        if rounds:
            stage = replace(stage, rounds=rounds)
        results[model] = {}
        for name in only or SECTIONS:
            begun = time.perf_counter()
            tables = SECTIONS[name](stage)
            seconds = time.perf_counter() - begun
            for table in tables:
                click.echo(table.markdown() if markdown else table.text())
            click.echo(f"  ({name}: {seconds:.0f} s)", err=markdown)
            results[model][name] = {
                "seconds": seconds,
                "tables": [table.json() for table in tables],
            }
            if file:
                file.write_text(
                    json.dumps(results, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
                )


if __name__ == "__main__":
    main()
