"""`groundling knowledge`: add, search and read documents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from groundling.cli.knowledge_tables import (
    description,
    entry,
    highlighted,
    reasons,
    summary,
    table_of,
    weak_languages,
)
from groundling.cli.knowledge_tune import tune
from groundling.cli.output import Group, Shell, pass_shell
from groundling.errors import DocumentError, KnowledgeError

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge
    from groundling.knowledge.passage import Document, Passage
    from groundling.knowledge.preparation import Progress
    from groundling.knowledge.sync import SyncReport
    from groundling.models.embeddings import Embedder

_NAME = "groundling.knowledge"
_CONTEXT = 300


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
@click.option(
    "--loader",
    "loaders",
    multiple=True,
    metavar="SUFFIX=CLASS",
    help="Read such files with a loader of LangChain's, as in .srt=SRTLoader (extra community).",
)
@named
@pass_shell
def add(shell: Shell, paths: tuple[Path, ...], prune: bool, loaders: tuple[str, ...]) -> None:
    """Read files and folders in; what has not changed is passed over.

    Text, Markdown, HTML, PDF, Word, PowerPoint, Excel, CSV, EPUB, mail, notebooks, JSON,
    source code and ZIP archives of them are read, others ignored. A file that cannot be
    read is named with the reason, and the rest goes on.
    """
    chosen = dict(_loader(value) for value in loaders)
    with _opened(shell, _embedder(shell), create=True) as base:
        report = add_with_progress(shell, base, paths, prune=prune, loaders=chosen)
        if report.added + report.updated:
            for note in weak_languages(base.path.name, base.statistics()):
                shell.warn(note)
    shell.out(dataclasses.asdict(report), [summary(report)])
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
@click.option("--explain", is_flag=True, help="Also say of each passage why it was found.")
@named
@pass_shell
def search(
    shell: Shell, query: tuple[str, ...], passages: int | None, by: str, explain: bool
) -> None:
    """Show the passages that fit a question, without asking a model."""
    question = " ".join(query)
    if explain:
        if by != "both":
            raise click.UsageError("--explain tells both sides; leave --by away.")
        _explain(shell, question, passages)
        return
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
        [line for passage in found for line in entry(passage)]
        or ["Nothing in these documents fits."],
    )


def _explain(shell: Shell, question: str, passages: int | None) -> None:
    with _opened(shell, _embedder(shell)) as base:
        found = base.explain(question, passages or shell.settings.retrieval.passages)
    shell.out(
        {"query": question, "found": [dataclasses.asdict(one) for one in found]},
        [line for one in found for line in reasons(one)] or ["Nothing in these documents fits."],
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
        [*description(where, statistics), *weak_languages(where.name, statistics)],
    )


@knowledge.command("list")
@named
@pass_shell
def list_(shell: Shell) -> None:
    """List the documents."""
    with _opened(shell, None) as base:
        documents = base.documents()
    shell.out([dataclasses.asdict(document) for document in documents], table_of(documents))


knowledge.add_command(list_, "documents")
knowledge.add_command(named(tune))


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
    shell.out(shown, highlighted(shell, shown) if at else [stored])


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
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
@click.option("--vectors", is_flag=True, help="Also the passages' vectors.")
@named
@pass_shell
def export(shell: Shell, file: TextIO, vectors: bool) -> None:
    """Write all documents with text and passages as JSON Lines, to FILE or stdout."""
    from groundling.knowledge.export import records

    with _opened(shell, None) as base:
        for record in records(base, vectors=vectors):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        shell.status(f"{base.statistics().documents} documents written.")


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
    shell: Shell,
    base: Knowledge,
    paths: Sequence[Path],
    *,
    prune: bool = False,
    loaders: Mapping[str, str] | None = None,
) -> SyncReport:
    """Add documents with a bar on a terminal; what was skipped is told on stderr."""
    with _bar(shell) as progress:
        report = base.add(paths, progress=progress, prune=prune, loaders=loaders)
    for path, reason in report.skipped:
        shell.warn(f"skipped {path}: {reason}")
    return report


def _name(shell: Shell) -> str:
    chosen = click.get_current_context().meta.get(_NAME)
    return str(chosen or shell.settings.retrieval.knowledge)


def _embedder(shell: Shell) -> Embedder:
    from groundling.models.configured import embedding_model

    return embedding_model(shell.settings)


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


def _loader(value: str) -> tuple[str, str]:
    suffix, equals, name = value.partition("=")
    if not (equals and suffix.startswith(".") and name):
        raise click.BadParameter(f"{value} is not SUFFIX=CLASS, as in .srt=SRTLoader.")
    return suffix.lower(), name


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
