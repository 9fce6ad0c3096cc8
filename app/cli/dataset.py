"""`groundling dataset`: questions with their right answers, and every version of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from groundling.cli.output import Group, Shell, pass_shell
from groundling.errors import EvaluationError

if TYPE_CHECKING:
    from rich.table import Table

    from groundling.evaluation.datasets import Dataset, DatasetStore, Example, Version
    from groundling.evaluation.importing import ImportReport

VERSION_DIGITS = 10
_SHOWN_PROBLEMS = 20


@click.group(cls=Group)
def dataset() -> None:
    """Keep data sets: what a graph is asked, and what it should answer.

    Every change makes a new version; earlier ones stay readable.
    """


@dataset.command("list")
@click.argument("part", required=False)
@pass_shell
def list_(shell: Shell, part: str | None) -> None:
    """List the data sets, those with PART in their name."""
    from groundling.evaluation.shipped import SHIPPED

    with opened(shell) as store:
        found = store.list(part, limit=-1)
    known = {each.name for each in found}
    waiting = [name for name in SHIPPED if name not in known and (part or "") in name]
    shell.out([_described(each) for each in found], _shown(shell, _table(found)) if found else [])
    if waiting:
        shell.status(f"Shipped, and imported at its first use: {', '.join(waiting)}.")


@dataset.command()
@click.argument("name")
@click.option("--as-of", metavar="VERSION", help="A version, a tag, or a time; default: newest.")
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Only of this split.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@pass_shell
def show(shell: Shell, name: str, as_of: str | None, splits: tuple[str, ...], limit: int) -> None:
    """Show a data set and its first examples."""
    from groundling.evaluation.shipped import dataset_of

    with opened(shell) as store:
        found = dataset_of(store, name)
        version = store.version(found.id, as_of)
        examples = store.examples(found.id, as_of=version.name, splits=splits, limit=limit)
    shell.out(
        {
            **_described(found),
            "version": version.name,
            "example_count": version.example_count,
            "examples": [dataclasses.asdict(each) for each in examples],
        },
        _description(found, version, examples),
    )


@dataset.command("import")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--input", "inputs", multiple=True, metavar="COLUMN", help="An input; or FIELD=COLUMN."
)
@click.option(
    "--output", "outputs", multiple=True, metavar="COLUMN", help="An output; or FIELD=COLUMN."
)
@click.option(
    "--metadata", multiple=True, metavar="COLUMN", help="Metadata (default: all other columns)."
)
@pass_shell
def import_(
    shell: Shell,
    name: str,
    files: tuple[Path, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    metadata: tuple[str, ...],
) -> None:
    """Add the examples of FILES, JSON lines or CSV, to a data set.

    Lines are {"inputs": {…}, "outputs": {…}, "metadata": {…}}, or columns that --input and
    --output name. Lines that cannot be read are named, the others go in; what is there
    already is not added again.

    \b
    groundling dataset import faq faq.jsonl
    groundling dataset import faq faq.csv --input question --output answer
    """
    from groundling.evaluation.importing import import_file
    from groundling.evaluation.reading import Mapped

    mapped = Mapped.parse(inputs, outputs, metadata)
    with opened(shell) as store:
        reports = [import_file(store, name, file, mapped) for file in files]
    _report(shell, reports)


@dataset.command()
@click.argument("name")
@click.option("--from-runs", metavar="FILTER", help='Runs, as "feedback<0" or "graph=rag".')
@click.option("--example", "examples", multiple=True, metavar="JSON", help="One, as in a file.")
@pass_shell
def add(shell: Shell, name: str, from_runs: str | None, examples: tuple[str, ...]) -> None:
    """Add single examples, or runs that were recorded.

    Of a run, the inputs are taken, and as outputs what a person said would have been right,
    else what the run gave. A FILTER joins conditions by `and`: feedback<0,
    feedback.correctness>=0.5, graph=rag, status=error, verdict=refused, since=2026-11-01.

    \b
    groundling dataset add faq --example '{"inputs": {"question": "Why?"}}'
    groundling dataset add hard --from-runs "feedback<0 and graph=rag"
    """
    from groundling.evaluation.filters import parse_filter
    from groundling.evaluation.importing import add_all, import_runs
    from groundling.evaluation.reading import read_text

    if bool(from_runs) == bool(examples):
        raise click.UsageError("Give --from-runs FILTER or --example JSON.")
    with opened(shell) as store:
        if from_runs:
            from groundling.home import Home

            wanted = parse_filter(from_runs)
            with Home(**shell.flags) as home:
                report = import_runs(store, name, home.traces, wanted)
        else:
            report = add_all(store, name, read_text("\n".join(examples)), name="--example")
    _report(shell, [report])
    if report.redacted:
        shell.warn(f"in {report.redacted} of these runs something private is blacked out.")


@dataset.command()
@click.argument("name")
@click.option("--as-of", metavar="VERSION", help="A version, a tag, or a time; default: newest.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file; default: stdout.")
@pass_shell
def export(shell: Shell, name: str, as_of: str | None, output: Path | None) -> None:
    """Write the examples as JSON lines, which `import` reads."""
    from groundling.evaluation.shipped import dataset_of

    with opened(shell) as store:
        examples = store.examples(dataset_of(store, name).id, as_of=as_of)
    lines = [json.dumps(_exported(each), ensure_ascii=False) for each in examples]
    if output is None:
        for line in lines:
            click.echo(line)
        return
    beside = output.with_name(f"{output.name}.new")
    try:
        beside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        beside.replace(output)
    except OSError as error:
        raise EvaluationError(
            f"{output} cannot be written: {error}", hint="Name another file with --output."
        ) from error
    shell.status(f"{len(lines)} examples written to {output}.")


@dataset.command()
@click.argument("name")
@click.option("--example", "ids", multiple=True, metavar="ID", help="Only this example.")
@click.option("--yes", is_flag=True, help="Delete the whole data set without being asked.")
@pass_shell
def remove(shell: Shell, name: str, ids: tuple[str, ...], yes: bool) -> None:
    """Take examples out, or delete a data set with all its versions.

    Examples that were taken out stay in the earlier versions.
    """
    with opened(shell) as store:
        found = store.get(name)
        if ids:
            removed = store.remove([_uuid(each) for each in ids])
        else:
            if not yes:
                click.confirm(
                    f"Delete {name}, {found.example_count} examples and all versions?",
                    abort=True,
                    err=True,
                )
            store.delete(found.id)
            removed = found.example_count
    shell.out({"removed": removed}, [f"Removed: {removed} example{'s' * (removed != 1)}."])


@dataset.command()
@click.argument("name")
@click.option("--tag", metavar="TAG", help="Give a version this name.")
@click.option("--as-of", metavar="VERSION", help="Which version is tagged; default: newest.")
@pass_shell
def versions(shell: Shell, name: str, tag: str | None, as_of: str | None) -> None:
    """List the versions of a data set, the newest first; --tag names one."""
    from groundling.evaluation.shipped import dataset_of

    with opened(shell) as store:
        found = dataset_of(store, name)
        if tag is not None:
            store.tag(found.id, store.version(found.id, as_of).name, tag)
        known = store.versions(found.id)
    shell.out([dataclasses.asdict(each) for each in known], _shown(shell, _versions_table(known)))


@contextmanager
def opened(shell: Shell) -> Iterator[DatasetStore]:
    """Open the data sets of the home folder."""
    from groundling.evaluation.datasets import DatasetStore

    with DatasetStore(shell.settings.evaluation_path) as store:
        yield store


def when(microseconds: int) -> str:
    """Write a time as the clock here shows it."""
    return datetime.fromtimestamp(microseconds / 1e6).strftime("%Y-%m-%d %H:%M")


def _report(shell: Shell, reports: list[ImportReport]) -> None:
    bad = [problem for report in reports for problem in report.bad]
    for problem in bad[:_SHOWN_PROBLEMS]:
        shell.warn(f"left out: {problem}")
    if len(bad) > _SHOWN_PROBLEMS:
        shell.warn(f"and {len(bad) - _SHOWN_PROBLEMS} more were left out.")
    added = sum(report.added for report in reports)
    present = sum(report.present for report in reports)
    version = reports[-1].version
    counted = [f"{added} added"]
    if present:
        counted.append(f"{present} were there already")
    if bad:
        counted.append(f"{len(bad)} left out")
    shell.out(
        {
            "dataset": reports[-1].dataset,
            "added": added,
            "present": present,
            "bad": [dataclasses.asdict(each) for each in bad],
            "version": version,
        },
        [f"{reports[-1].dataset}: {', '.join(counted)}; version {version[:VERSION_DIGITS]}"],
    )
    if bad and not added and not present:
        raise EvaluationError(
            "None of the examples could be read.", hint="The reason of each stands above."
        )


def _exported(example: Example) -> dict[str, Any]:
    written: dict[str, Any] = {"id": str(example.id), "inputs": example.inputs}
    if example.outputs is not None:
        written["outputs"] = example.outputs
    if example.metadata:
        written["metadata"] = example.metadata
    written["split"] = example.split
    return written


def _described(found: Dataset) -> dict[str, Any]:
    return dataclasses.asdict(found)


def _description(found: Dataset, version: Version, examples: list[Example]) -> Iterator[str]:
    from groundling.cli.run_tables import harmless

    yield f"{found.name}: {version.example_count} examples"
    if found.description:
        yield f"  {found.description}"
    yield f"  version {version.name[:VERSION_DIGITS]} of {when(version.created)}"
    for name, schema in (("inputs", found.inputs_schema), ("outputs", found.outputs_schema)):
        if schema is not None:
            yield f"  {name} schema {json.dumps(schema, ensure_ascii=False)}"
    yield ""
    for example in examples:
        yield harmless(f"{example.id}  {json.dumps(example.inputs, ensure_ascii=False)}")
        if example.outputs is not None:
            yield harmless(f"    {json.dumps(example.outputs, ensure_ascii=False)[:300]}")
    if len(examples) < version.example_count:
        yield f"… {version.example_count - len(examples)} more (--limit)"


def _table(found: list[Dataset]) -> Table:
    from rich.table import Table

    table = Table("name", "examples", "version", "changed", "description", box=None)
    for each in found:
        table.add_row(
            each.name,
            str(each.example_count),
            each.version[:VERSION_DIGITS],
            when(each.modified),
            each.description or "",
        )
    return table


def _versions_table(known: list[Version]) -> Table:
    from rich.table import Table

    table = Table("version", "made", "examples", "tags", box=None)
    for each in known:
        table.add_row(
            each.name[:VERSION_DIGITS],
            when(each.created),
            str(each.example_count),
            ", ".join(each.tags),
        )
    return table


def _shown(shell: Shell, table: Table) -> Table | Iterator[str]:
    from groundling.cli.run_tables import lines

    return table if shell.console.is_terminal else lines(table)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise EvaluationError(
            f"{text} is no example's id.", hint="groundling dataset show NAME lists them."
        ) from None
