"""`groundling model quantize|compare|merge`: smaller files of a model, and what each costs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundling.cli.output import Command, Shell, pass_shell

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.models.comparing import Compared, Interval

_LABEL = 18  # characters of a file's name in a table
_UNSTEADY = 1.3  # fastest round to slowest
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
@click.option("--force", is_flag=True, help="Write over files that are there.")
@pass_shell
def quantize(
    shell: Shell,
    model: str,
    types: str,
    out: Path,
    texts: Path | None,
    threads: int | None,
    force: bool,
) -> None:
    """Write MODEL, an id or a GGUF file, in smaller types.

    Start from a file of F16 or BF16 where there is one: what a smaller type has lost no
    other one wins back. docs/quantisation.md explains the types, with their figures.

    \b
    groundling model quantize ./model-f16.gguf --types Q8_0,Q4_K_M --out ./smaller
    """
    from groundling.cli.progress import stages
    from groundling.models.quantising import check_type, quantise

    source = _file(shell, model)
    wanted = list(dict.fromkeys(each.strip().upper() for each in types.split(",") if each.strip()))
    if not wanted:
        raise click.UsageError("--types names no type.")
    for kind in wanted:  # before the first of them takes its minutes
        check_type(kind, weighed=texts is not None)
    targets = {kind: out / f"{_stem(model, source)}-{kind}.gguf" for kind in wanted}
    _check_new(list(targets.values()), out, force)
    _tell_of_source(shell, source)
    importance = None
    if texts is not None:
        from groundling.tuning.importance import importance_of

        shell.status("Reading the text with the model, for what matters in it …")
        importance = importance_of(source, texts)
    made: list[dict[str, object]] = []
    for place, (kind, target) in enumerate(targets.items()):
        lost = f"Made and kept: {', '.join(wanted[:place]) or 'none'}. "
        lost += f"To go on: --types {','.join(wanted[place:])}"
        shell.status(f"{kind} …")
        with stages(shell, lost) as tell:
            one = quantise(
                source, target, kind, importance=importance, threads=threads,
                tell=partial(tell, kind),
            )  # fmt: skip
        made.append({"type": kind, "file": str(target), **asdict(one)})
        if one.fallbacks:
            instead = " and ".join(f"{n:,} are {name}" for name, n in one.fallbacks.items())
            shell.warn(
                f"{sum(one.fallbacks.values()):,} of {one.matrices:,} matrices have rows of no "
                f"multiple of 256 numbers, for which {kind} has no blocks: {instead}."
            )
    shell.out(
        made,
        [
            f"{one['type']:<8} {int(str(one['bytes'])) / 1e6:8,.0f} MB "
            f"{float(str(one['seconds'])):5.0f} s  {one['file']}"
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
    "--tokens", type=click.IntRange(64, 100_000), default=510, show_default=True,
    help="How many of it are judged: half of what is read.",
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

    Printed are size, perplexity with its change against the reference, divergence, how often
    the likeliest token is the same, and tokens a second; ± is half of a 95 % interval.
    Windows and definitions are those of llama.cpp's llama-perplexity.
    """
    from groundling.cli.progress import stages
    from groundling.knowledge.loaders.text import decode
    from groundling.models.comparing import compare as run
    from groundling.models.comparing import unsteadiness
    from groundling.models.gguf import read_gguf
    from groundling.models.quantising import quantised_as
    from groundling.models.recommending import recommend

    source = _file(shell, reference)
    if plot is not None:
        _check_writable(plot)
    said = decode(text) if text is not None else _sample()
    kind = quantised_as(read_gguf(source))
    lost = "Nothing that was measured is kept; the same command begins anew."
    with stages(shell, lost) as tell:
        rows = run(
            source,
            list(zip(_labels(files), files, strict=True)),
            said,
            name=f"reference {kind or ''}".rstrip()[:_LABEL],
            most=tokens,
            tell=tell,
        )
    found = recommend([(source, rows[0]), *zip(files, rows[1:], strict=True)], shell.settings)
    shell.out(
        {"rows": [asdict(row) for row in rows], "recommended": found.name, "reason": found.reason},
        _table(rows),
    )
    if not shell.json:
        judged = rows[0].tokens
        fewer = f", all that the text has to judge by (of {tokens:,})" if judged < tokens else ""
        shell.status(f"{judged:,} tokens judged{fewer}.")
        if (spread := unsteadiness(rows)) > _UNSTEADY:
            shell.warn(
                f"Speeds of one file differed by up to {spread:.1f} times between rounds: the "
                "machine had other work. Take them as rough."
            )
        shell.status(found.reason)
    if plot is not None:  # last: what was measured is told, whatever becomes of the file
        _draw(plot, rows)
        shell.status(f"Drawn in {plot}")


@click.command(cls=Command)
@click.argument("adapter")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--type", "kind", default="F16", show_default=True, help="Type of the new file.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@pass_shell
def merge(shell: Shell, adapter: str, target: Path, kind: str, force: bool) -> None:
    """Write the configured model with ADAPTER worked into its weights, as one GGUF file."""
    from groundling.models.adapter_shelf import AdapterShelf, fingerprint
    from groundling.tuning.merging import merge as run

    base = _file(shell, shell.settings.model.name)
    shelf = AdapterShelf(shell.settings.adapters_path)
    found = shelf.for_base(adapter, fingerprint(base))
    kind = kind.upper()
    _check_new([target], target.parent, force)
    _tell_of_source(shell, base)
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


def _check_new(targets: Sequence[Path], folder: Path, force: bool) -> None:
    """Make the folder, and keep files that are there."""
    from groundling.errors import ModelError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            hint="Name another one.",
        ) from error
    there = [str(each) for each in targets if each.exists()]
    if there and not force:
        raise ModelError(
            f"{there[0]} is there already{f', and {len(there) - 1} more' if there[1:] else ''}; "
            "nothing was written.",
            hint="--force writes over it, another folder or name keeps it.",
        )


def _tell_of_source(shell: Shell, source: Path) -> None:
    from groundling.models.gguf import read_gguf
    from groundling.models.quantising import quantised_as

    if kind := quantised_as(read_gguf(source)):
        shell.warn(
            f"The source is {kind} already. What that lost no type wins back: smaller ones lose "
            "on top of it, larger ones take room and gain nothing. F16 or BF16 is the better start."
        )


def _check_writable(file: Path) -> None:
    from groundling.errors import ModelError

    if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise ModelError(
            f"{file} cannot be written; nothing was measured.",
            hint="Give --plot a file in a folder that is there.",
        )


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
    for column in ("MB", "perplexity", "divergence", "same %", "reads", "writes"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        first = row is rows[0]
        table.add_row(
            row.name,
            f"{row.bytes / 1e6:,.0f}",
            f"{row.perplexity.mean:.2f}" + ("" if first else f" {_change(row.ratio)}"),
            "–" if first else f"{row.divergence.mean:.4f} ±{row.divergence.half:.4f}",
            "–"
            if first
            else f"{row.agreement.mean:.1%} ±{row.agreement.half:.1%}".replace("%", ""),
            f"{row.read.median:,.0f}/s",
            f"{row.written.median:,.1f}/s",
        )
    return table


def _change(ratio: Interval) -> str:
    """Write how much a perplexity differs from the reference's: +1.2% ±0.3."""
    if ratio.mean >= 2:
        return f"×{ratio.mean:.3g}"
    change = round(ratio.mean - 1, 3) + 0.0  # no -0.0
    return f"{change:+.1%} ±{100 * ratio.half:.1f}"
