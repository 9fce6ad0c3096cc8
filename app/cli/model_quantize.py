"""`groundling model quantize|compare|merge`: smaller files of a model, and what each costs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.models.comparing import Compared

_LABEL = 18  # characters of a file's name in a table
_TYPES = "Q8_0,Q5_K_M,Q4_K_M"


@click.command(cls=Command)
@click.argument("model")
@click.option(
    "--types", default=_TYPES, show_default=True, metavar="LIST", help="Which, with commas."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The folder that they go into.",
)  # fmt: skip
@click.option(
    "--importance", "texts", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A text of yours: weights that matter for it keep more of their precision.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Default: all cores.")
@pass_shell
def quantize(
    shell: Shell, model: str, types: str, out: Path, texts: Path | None, threads: int | None
) -> None:
    """Write MODEL, an id or a GGUF file, in smaller types.

    Start from a file of F16 or BF16 where there is one: what a smaller type has lost no
    other one wins back. docs/quantisation.md explains the types, with their figures.

    \b
    groundling model quantize ./model-f16.gguf --types Q8_0,Q4_K_M --out ./smaller
    """
    from groundling.models.quantising import check_type, quantise

    source = _file(shell, model)
    wanted = [each.strip() for each in types.split(",") if each.strip()]
    if not wanted:
        raise click.UsageError("--types names no type.")
    for kind in wanted:  # before the first of them takes its minutes
        check_type(kind, weighed=texts is not None)
    importance = None
    if texts is not None:
        from groundling.tuning.importance import importance_of

        shell.status("Reading the text with the model, for what matters in it …")
        importance = importance_of(source, texts)
    out.mkdir(parents=True, exist_ok=True)
    made: list[dict[str, object]] = []
    for kind in wanted:
        target = out / f"{_stem(model, source)}-{kind}.gguf"
        shell.status(f"{kind} …")
        size = quantise(source, target, kind, importance=importance, threads=threads)
        made.append({"type": kind, "file": str(target), "bytes": size})
    shell.out(
        made,
        [
            f"{one['type']:<8} {int(str(one['bytes'])) / 1e6:8,.0f} MB  {one['file']}"
            for one in made
        ],
    )
    shell.status(
        f"Next:  groundling model compare {model} " + " ".join(str(one["file"]) for one in made)
    )


@click.command(cls=Command)
@click.argument("reference")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--text", "text", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What they predict; default: the sample handbook, English and Korean.",
)  # fmt: skip
@click.option(
    "--tokens", type=click.IntRange(64, 20_000), default=512, show_default=True,
    help="How many of it are judged.",
)  # fmt: skip
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="An SVG file.")
@pass_shell
def compare(
    shell: Shell,
    reference: str,
    files: Sequence[Path],
    text: Path | None,
    tokens: int,
    plot: Path | None,
) -> None:
    """Hold smaller FILES of a model against REFERENCE, and recommend one for this machine.

    Printed are size, perplexity (± half of its 95 % interval), divergence with its interval,
    how often the likeliest token is the same, and tokens a second.
    """
    from groundling.cli.progress import stages
    from groundling.knowledge.loaders.text import decode
    from groundling.models.comparing import compare as run
    from groundling.models.recommending import recommend

    source = _file(shell, reference)
    said = decode(text) if text is not None else _sample()
    lost = "Nothing that was measured is kept; the same command begins anew."
    with stages(shell, lost) as tell:
        rows = run(
            source, list(zip(_labels(files), files, strict=True)), said, most=tokens, tell=tell
        )
    found = recommend([(source, rows[0]), *zip(files, rows[1:], strict=True)], shell.settings)
    shell.out(
        {"rows": [asdict(row) for row in rows], "recommended": found.name, "reason": found.reason},
        _table(rows),
    )
    if not shell.json:
        shell.status(found.reason)
    if plot is not None:  # last: what was measured is told, whatever becomes of the file
        _draw(plot, rows)
        shell.status(f"Drawn in {plot}")


@click.command(cls=Command)
@click.argument("adapter")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--type", "kind", default="F16", show_default=True, help="Type of the new file.")
@pass_shell
def merge(shell: Shell, adapter: str, target: Path, kind: str) -> None:
    """Write the configured model with ADAPTER worked into its weights, as one GGUF file."""
    from groundling.models.adapter_shelf import AdapterShelf, fingerprint
    from groundling.tuning.merging import merge as run

    base = _file(shell, shell.settings.model.name)
    shelf = AdapterShelf(shell.settings.adapters_path)
    found = shelf.for_base(adapter, fingerprint(base))
    size = run(base, found.file, target, kind)
    shell.out(
        {"file": str(target), "bytes": size, "type": kind},
        [f"{target}: {size / 1e6:,.0f} MB, {kind}"],
    )
    shell.status(f'Try it:  groundling --model {target} ask "…"')


def _file(shell: Shell, model: str) -> Path:
    from groundling.models.files.store import ModelStore

    settings = shell.settings
    return ModelStore(settings.models_path, settings.download).resolve(model).path


def _stem(model: str, source: Path) -> str:
    """Return a short name for files made of a model: its id, its file's, or its own name."""
    from groundling.models.gguf import read_gguf

    name = Path(model).name.removesuffix(".gguf")
    if name.startswith("sha256-"):  # a file of the model store
        name = read_gguf(source).name.lower()
    return "-".join(re.findall(r"[A-Za-z0-9.]+", name))[:40]


def _labels(files: Sequence[Path]) -> list[str]:
    """Return a short name for each file: its type; with its folder where several have that."""
    from groundling.models.quantising import TYPES

    def kind(file: Path) -> str:
        last = file.stem.rpartition("-")[2]
        return last if last.upper() in TYPES else file.stem[-_LABEL:]

    kinds = [kind(file) for file in files]
    return [
        one if kinds.count(one) == 1 else f"{file.absolute().parent.name}/{one}"[-_LABEL:]
        for file, one in zip(files, kinds, strict=True)
    ]


def _draw(file: Path, rows: Sequence[Compared]) -> None:
    from groundling.errors import ModelError
    from groundling.models.recommending import picture

    try:
        file.write_text(picture(rows), encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"{file} cannot be written: {error.strerror or error}.",
            hint="Give --plot a file in a folder that is there.",
        ) from error


def _sample() -> str:
    from importlib import resources

    folder = resources.files("groundling.data").joinpath("handbook")
    return "\n\n".join(
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("leave-policy.md", "business-travel.md", "it-security.md")
    )


def _table(rows: Sequence[Compared]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    for column in ("MB", "perplexity", "divergence", "same", "reads", "writes"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        perplexity, divergence = row.perplexity, row.divergence
        # Both ends of both intervals do not fit into 80 columns.
        table.add_row(
            row.name,
            f"{row.bytes / 1e6:,.0f}",
            f"{perplexity.mean:.2f} ±{(perplexity.high - perplexity.low) / 2:.2f}",
            "–" if row is rows[0]
            else f"{divergence.mean:.4f} [{divergence.low:.4f}, {divergence.high:.4f}]",
            f"{row.agreement:.1%}",
            f"{row.read:,.0f}/s",
            f"{row.written:,.0f}/s",
        )  # fmt: skip
    return table
