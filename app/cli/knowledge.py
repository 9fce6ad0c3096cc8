"""`groundling knowledge`: add, search and read documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundling.cli.output import Group, Shell, pass_shell
from groundling.errors import DocumentError, KnowledgeError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from groundling.knowledge.base import Knowledge, Statistics
    from groundling.knowledge.passage import Document, Passage
    from groundling.knowledge.sync import Progress, SyncReport
    from groundling.models.embeddings import Embedder

_NAME = "groundling.knowledge"
_CONTEXT = 300
_SNIPPET = 240


def _remember_name(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        context.meta[_NAME] = value


# On the group and on its commands, so that it may stand on either side of the verb.
named = click.option(
    "-k",
    "--name",
    "knowledge_name",
    metavar="NAME",
    expose_value=False,
    callback=_remember_name,
    help="Which knowledge base (default: the setting retrieval.knowledge).",
)


@click.group(cls=Group)
@named
def knowledge() -> None:
    """Add, search and read documents."""


@knowledge.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option("--prune", is_flag=True, help="Remove documents whose files are gone.")
@named
@pass_shell
def add(shell: Shell, paths: tuple[Path, ...], prune: bool) -> None:
    """Read files and folders in; what has not changed is passed over.

    Text, Markdown, HTML, PDF and Word files are read, others ignored. A file that cannot
    be read is named with the reason, and the rest goes on.
    """
    with _opened(shell, _embedder(shell), create=True) as base:
        report = add_with_progress(shell, base, paths, prune=prune)
    shell.out(dataclasses.asdict(report), [_summary(report)])
    if report.skipped and not report.added + report.updated + report.unchanged:
        raise DocumentError(
            "None of the documents could be read.", hint="The reason of each stands above."
        )


@knowledge.command()
@click.argument("query", nargs=-1, required=True)
@click.option("-n", "--passages", type=click.IntRange(1), help="How many (default: the setting).")
@click.option(
    "--by", type=click.Choice(["both", "words", "meaning"]), default="both", help="Which index."
)
@named
@pass_shell
def search(shell: Shell, query: tuple[str, ...], passages: int | None, by: str) -> None:
    """Show the passages that fit a question, without asking a model."""
    question = " ".join(query)
    with _opened(shell, _embedder(shell)) as base:
        find: dict[str, Callable[[str, int], list[Passage]]] = {
            "both": base.search,
            "words": base.search_lexical,
            "meaning": base.search_dense,
        }
        found = find[by](question, passages or shell.settings.retrieval.passages)
        covered = base.coverage(question, found)
    shell.out(
        {
            "query": question,
            "coverage": round(covered, 3),
            "passages": [dataclasses.asdict(passage) for passage in found],
        },
        [line for passage in found for line in _entry(passage)]
        or ["Nothing in these documents fits."],
    )


@knowledge.command()
@named
@pass_shell
def show(shell: Shell) -> None:
    """Show the size, the languages, the embedder and the index."""
    with _opened(shell, None) as base:
        statistics = base.statistics()
        where = base.path
    shell.out(
        {"name": where.name, "path": str(where), **dataclasses.asdict(statistics)},
        _description(where, statistics),
    )


@knowledge.command("list")
@named
@pass_shell
def list_(shell: Shell) -> None:
    """List the documents."""
    with _opened(shell, None) as base:
        documents = base.documents()
    shell.out([dataclasses.asdict(document) for document in documents], _table(documents))


knowledge.add_command(list_, "documents")


@knowledge.command()
@click.argument("document")
@click.option(
    "--at", metavar="START:END", help="Show this span, highlighted, and what is round it."
)
@named
@pass_shell
def text(shell: Shell, document: str, at: str | None) -> None:
    """Print the stored text of a document; --at opens a citation.

    DOCUMENT is a source as `list` and the citations name it, or an id.
    """
    with _opened(shell, None) as base:
        found = _document(base, document)
        stored = base.text(found.id)
    start, end = _span(at, len(stored)) if at else (0, len(stored))
    shown = {
        "document_id": found.id,
        "source": found.source,
        "start": start,
        "end": end,
        "before": stored[max(0, start - _CONTEXT) : start],
        "text": stored[start:end],
        "after": stored[end : end + _CONTEXT],
    }
    shell.out(shown, _highlighted(shell, shown) if at else [stored])


@knowledge.command()
@click.argument("source")
@named
@pass_shell
def remove(shell: Shell, source: str) -> None:
    """Remove a document, or a folder of documents, from the knowledge base.

    The files themselves are not touched.
    """
    with _opened(shell, None) as base:
        removed = base.remove(source)
    shell.out({"removed": removed}, [f"Removed: {removed} document{'s' * (removed != 1)}."])


@knowledge.command()
@click.argument("which", required=False, metavar="[NAME]")
@named
@pass_shell
@click.pass_context
def reindex(context: click.Context, shell: Shell, which: str | None) -> None:
    """Make all vectors anew, with the embedder that is now configured."""
    if which:
        context.meta[_NAME] = which
    with _opened(shell, _embedder(shell), reindexing=True) as base, _bar(shell) as progress:
        report = base.reindex(progress=progress)
    shell.out(
        dataclasses.asdict(report),
        [f"{report.chunks} passages have new vectors, made in {report.seconds:.1f} s."],
    )


@knowledge.command()
@named
@pass_shell
def check(shell: Shell) -> None:
    """Prove that text, full-text index and vectors agree."""
    with _opened(shell, None) as base:
        problems = base.check()
    shell.out({"ok": not problems, "problems": problems}, problems or ["All agree."])
    if problems:
        raise KnowledgeError(
            f"{len(problems)} problems in {_name(shell)}.",
            hint=f"groundling knowledge reindex {_name(shell)}; if that does not help, "
            "move its folder away and add the documents again.",
        )


def add_with_progress(
    shell: Shell, base: Knowledge, paths: Sequence[Path], *, prune: bool = False
) -> SyncReport:
    """Add documents with a bar on a terminal; what was skipped is told on stderr."""
    with _bar(shell) as progress:
        report = base.add(paths, progress=progress, prune=prune)
    for path, reason in report.skipped:
        shell.warn(f"skipped {path}: {reason}")
    return report


def _name(shell: Shell) -> str:
    chosen = click.get_current_context().meta.get(_NAME)
    return str(chosen or shell.settings.retrieval.knowledge)


def _embedder(shell: Shell) -> Embedder:
    from groundling.models.embeddings import load_embedder
    from groundling.models.files.store import ModelStore

    settings = shell.settings
    store = ModelStore(settings.models_path, settings.download)
    return load_embedder(store.installed(settings.model.embedder))


@contextmanager
def _opened(
    shell: Shell, embedder: Embedder | None, *, create: bool = False, reindexing: bool = False
) -> Iterator[Knowledge]:
    from groundling.knowledge.base import Knowledge

    with Knowledge.open(
        shell.settings.knowledge_path(_name(shell)),
        embedder,
        create=create,
        reindexing=reindexing,
        chunk_characters=shell.settings.retrieval.chunk_characters,
    ) as base:
        yield base


@contextmanager
def _bar(shell: Shell) -> Iterator[Progress | None]:
    """Give a progress callback that draws a bar; None where nobody is watching."""
    if shell.json or not shell.stderr.is_terminal:
        yield None
        return
    from rich.progress import Progress as Bar

    with Bar(console=shell.stderr, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage.capitalize())
            bar.update(tasks[stage], completed=done, total=total)

        yield tell


def _document(base: Knowledge, wanted: str) -> Document:
    documents = base.documents()
    for document in documents:
        if wanted in (document.source, document.path, str(document.id)):
            return document
    named = [document for document in documents if document.source.endswith(f"/{wanted}")]
    if len(named) == 1:
        return named[0]
    raise KnowledgeError(
        f"There is no document {wanted} in {base.path.name}.",
        hint=f"groundling knowledge list --name {base.path.name}",
    )


def _span(at: str, length: int) -> tuple[int, int]:
    start, colon, end = at.partition(":")
    if not (colon and start.isdecimal() and end.isdecimal()) or int(start) > int(end):
        raise click.BadParameter(f"{at} is not START:END, as in 120:245.", param_hint="--at")
    if int(end) > length:
        raise click.BadParameter(f"the text has {length} characters.", param_hint="--at")
    return int(start), int(end)


def _highlighted(shell: Shell, shown: dict[str, Any]) -> Text:
    from rich.text import Text

    marks = ("", "") if shell.console.is_terminal else (">>>", "<<<")
    return Text.assemble(
        (f"{shown['source']} [{shown['start']}:{shown['end']}]\n\n", "bold"),
        shown["before"].lstrip(),
        (f"{marks[0]}{shown['text']}{marks[1]}", "reverse"),
        shown["after"].rstrip(),
    )


def _entry(passage: Passage) -> Iterator[str]:
    where = passage.source if passage.page is None else f"{passage.source}:{passage.page}"
    place = f"{where} [{passage.start}:{passage.end}]  {passage.heading}".rstrip()
    yield f"{passage.score:.3f}  {place}"
    snippet = " ".join(passage.text.split())
    yield f"       {snippet[:_SNIPPET]}{'…' if len(snippet) > _SNIPPET else ''}"


def _summary(report: SyncReport) -> str:
    counts = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "skipped": len(report.skipped),
        "of other kinds": report.ignored,
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing new"
    return f"{said}; {report.chunks} passages in all; {report.seconds:.1f} s."


def _description(where: Path, statistics: Statistics) -> list[str]:
    embedder = statistics.embedder
    made_by = (
        f"{str(embedder['model'])[:12]}, {embedder['dimension']} numbers, "
        f"good at: {embedder['languages']}"
        if embedder
        else "none yet"
    )
    letters = {"ko": "Hangul", "en": "Latin"}
    shares = ", ".join(f"{letters[k]} {v:.0%}" for k, v in statistics.languages.items() if v)
    lines = [
        f"{where.name} in {where}",
        f"  documents  {statistics.documents} ({statistics.characters:,} characters)",
        f"  passages   {statistics.passages}",
        f"  vectors    {statistics.vectors} ({statistics.index} FAISS index)",
        f"  embedder   {made_by}",
        f"  letters    {shares or 'none'}",
        f"  disk       {statistics.bytes / 1e6:.1f} MB",
    ]
    if statistics.waiting:
        lines.append(
            f"  {statistics.waiting} passages wait for a vector: "
            f"groundling knowledge reindex {where.name}"
        )
    return lines


def _table(documents: Sequence[Document]) -> Table:
    from rich.table import Table

    table = Table("id", "source", "title", "pages", "characters", "passages", box=None)
    for document in documents:
        table.add_row(
            str(document.id),
            document.source,
            document.title,
            str(document.pages or ""),
            str(document.characters),
            str(document.chunks),
        )
    return table
