"""What a loader returns, and the builder that keeps its offsets exact.

All loaders write through `TextBuilder`, so one place decides what stored text looks like:
NFC, "\\n" line ends, no NUL and no lone surrogates, table rows as "a | b".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")
# SQLite ends a text at NUL; UTF-8 cannot carry a lone surrogate.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Every passage is found by its document's title, too.
LONGEST_TITLE = 200
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Heading:
    """A heading that stands at `start`; level 1 is the highest."""

    start: int
    level: int
    title: str


@dataclass(frozen=True)
class Table:
    """Lines `start` to `end` of which the first, `header`, names the columns."""

    start: int
    end: int
    header: str


@dataclass(frozen=True)
class LoadedDocument:
    """A document as text, and what is known of its shape.

    All positions are character offsets into `text`. `pages` holds where each page begins,
    and is empty for formats without pages.
    """

    text: str
    title: str
    format: str
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
    tables: tuple[Table, ...] = ()


def storable(text: str) -> str:
    """Return the text as it will be stored."""
    text = unicodedata.normalize("NFC", _LINE_END.sub("\n", text))
    return _UNSTORABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return the text with every run of white space made one space."""
    return _SPACE.sub(" ", storable(text)).strip()


class TextBuilder:
    """Writes a document's text piece by piece and notes where things stand."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.pages: list[int] = []
        self.headings: list[Heading] = []
        self.tables: list[Table] = []

    @property
    def length(self) -> int:
        return self._length

    def page(self) -> None:
        """Begin a page."""
        self.pages.append(self._length)

    def heading(self, level: int, title: str) -> None:
        """Write a heading as a Markdown line."""
        if title := one_line(title):
            self.headings.append(Heading(self._length, level, title))
            self._write(f"{'#' * level} {title}\n\n")

    def paragraph(self, text: str) -> None:
        """Write a block of text; its own line ends are kept."""
        if text := storable(text).strip():
            self._write(f"{text}\n\n")

    def table(self, rows: Iterable[Iterable[str]]) -> None:
        """Write a table, a line for each row; the first row is its header."""
        lines: list[str] = []
        for row in rows:
            cells = [one_line(cell).replace("|", "/") for cell in row]
            if any(cells):
                lines.append(" | ".join(cells))
        if not lines:
            return
        body = "\n".join(lines)
        if len(lines) > 1:
            self.tables.append(Table(self._length, self._length + len(body), lines[0]))
        self._write(f"{body}\n\n")

    def section(self, document: LoadedDocument, above: int) -> None:
        """Write a whole document, such as one that is attached, below a heading of a level."""
        at = self._length
        self.headings += [
            Heading(at + heading.start, min(6, above + heading.level), heading.title)
            for heading in document.headings
        ]
        self.tables += [
            Table(at + table.start, at + table.end, table.header) for table in document.tables
        ]
        self._write(f"{document.text.rstrip()}\n\n")

    def document(self, title: str, format: str) -> LoadedDocument:
        """Return what was written."""
        return LoadedDocument(
            text="".join(self._pieces),
            title=one_line(title)[:LONGEST_TITLE],
            format=format,
            pages=tuple(self.pages),
            headings=tuple(self.headings),
            tables=tuple(self.tables),
        )

    def _write(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
