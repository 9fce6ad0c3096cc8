"""What `groundling knowledge` prints: passages, documents, sizes, reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from groundling.cli.output import Shell
    from groundling.knowledge.passage import Document, Passage
    from groundling.knowledge.search import Found
    from groundling.knowledge.statistics import Statistics
    from groundling.knowledge.sync import SyncReport

_SNIPPET = 240
_WORDS_SHOWN = 12
_LETTERS = {"ko": "Hangul", "en": "Latin"}
_LANGUAGES = {"ko": "Korean", "en": "English"}
# A share of the letters below which nobody waits for questions in a language.
_SPOKEN = 0.1


def highlighted(shell: Shell, shown: dict[str, Any]) -> Text:
    from rich.text import Text

    marks = ("", "") if shell.console.is_terminal else (">>>", "<<<")
    return Text.assemble(
        (f"{shown['source']} [{shown['start']}:{shown['end']}]\n\n", "bold"),
        shown["before"].lstrip(),
        (f"{marks[0]}{shown['text']}{marks[1]}", "reverse"),
        shown["after"].rstrip(),
    )


def entry(passage: Passage) -> Iterator[str]:
    where = passage.source if passage.page is None else f"{passage.source}:{passage.page}"
    place = f"{where} [{passage.start}:{passage.end}]  {passage.heading}".rstrip()
    yield f"{passage.score:.3f}  {place}"
    snippet = " ".join(passage.text.split())
    yield f"       {snippet[:_SNIPPET]}{'…' if len(snippet) > _SNIPPET else ''}"


def summary(report: SyncReport) -> str:
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


def description(where: Path, statistics: Statistics) -> list[str]:
    embedder = statistics.embedder
    made_by = (
        f"{str(embedder['model'])[:12]}, {embedder['dimension']} numbers, "
        f"good at: {embedder['languages']}"
        if embedder
        else "none yet"
    )
    shares = ", ".join(f"{_LETTERS[k]} {v:.0%}" for k, v in statistics.languages.items() if v)
    lines = [
        f"{where.name} in {where}",
        f"  documents  {statistics.documents} ({statistics.characters:,} characters)",
        f"  passages   {statistics.passages}",
        f"  vectors    {statistics.vectors} (FAISS: {statistics.index or 'none yet'})",
        f"  words      BM25, analyser {statistics.analyser}",
        f"  embedder   {made_by}",
        f"  letters    {shares or 'none'}",
        f"  disk       {statistics.bytes / 1e6:.1f} MB",
    ]
    if recipe := {k: v for k, v in dataclasses.asdict(statistics.recipe).items() if v is not None}:
        tuned = ", ".join(f"{name} {value}" for name, value in recipe.items())
        lines.insert(-1, f"  tuned      {tuned}")
    if statistics.waiting:
        lines.append(
            f"  {statistics.waiting} passages wait for a vector: "
            f"groundling knowledge reindex {where.name}"
        )
    return lines


def table_of(documents: Sequence[Document]) -> Table:
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


def reasons(found: Found) -> Iterator[str]:
    """Say why a passage was found: both ranks, both scores, and the words."""
    yield from entry(found.passage)
    sides = []
    if found.word_rank is not None:
        sides.append(f"words: rank {found.word_rank}, score {found.word_score:.2f}")
    if found.meaning_rank is not None:
        sides.append(f"meaning: rank {found.meaning_rank}, cosine {found.cosine:.3f}")
    yield f"       {'; '.join(sides)}; meaning counts {found.dense_weight:g}, words 1"
    if found.words:
        more = len(found.words) - _WORDS_SHOWN
        shown = " ".join(found.words[:_WORDS_SHOWN])
        yield f"       has: {shown}{f' and {more} more' if more > 0 else ''}"


def weak_languages(name: str, statistics: Statistics) -> Iterator[str]:
    """Name the documents' languages that the embedder does not know, and what to do."""
    if statistics.embedder is None:
        return
    known = str(statistics.embedder.get("languages", "")).split(",")
    for code, share in statistics.languages.items():
        if share >= _SPOKEN and code not in known:
            yield (
                f"{_LANGUAGES[code]} ({share:.0%} of the letters) is found by words alone: the "
                f"embedder does not know it. A multilingual one: groundling model pull e5-small "
                f"&& groundling config set model.embedder e5-small "
                f"&& groundling knowledge reindex {name}"
            )
