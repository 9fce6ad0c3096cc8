"""A stored document made ready to be cut in another way, without its file.

A knowledge base keeps a document's text and, with every passage, its page and headings. No
passage crosses a page or a heading, so the first passage of a new page or heading tells
where that begins; tables are known by their lines. Cut at the same length again, a document
gives the same passages.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from groundling.knowledge.loaders.document import Heading, LoadedDocument, Table
from groundling.knowledge.passage import Document, Passage

_ROWS = re.compile(r"(?:^.*[^\s|].* \|.*$\n?){2,}", re.MULTILINE)


def as_loaded(document: Document, text: str, passages: Sequence[Passage]) -> LoadedDocument:
    """Return a document as its loader gave it, as far as its passages tell.

    Headings come back as one level whose title is the whole path; a section whose path is
    that of the section before it becomes one with it.

    Args:
        document: its row.
        text: its whole stored text.
        passages: all its passages, in order.
    """
    tables = _tables(text)
    headings: list[Heading] = []
    pages: list[int] = []
    for passage in passages:
        path = _path(passage, tables)
        if path != (headings[-1].title if headings else ""):
            headings.append(Heading(passage.start, 1, path))
        # Pages without a passage begin where the next one with text does.
        if passage.page is not None:
            pages += [passage.start] * (passage.page - len(pages))
    return LoadedDocument(
        text=text,
        title=document.title,
        format=document.format,
        pages=tuple(pages),
        headings=tuple(headings),
        tables=tuple(tables),
    )


def _tables(text: str) -> list[Table]:
    """Find lines of cells: as Markdown writes them, and as the other loaders do."""
    return [
        Table(found.start(), found.start() + len(found[0].rstrip("\n")), _header(found[0]))
        for found in _ROWS.finditer(text)
    ]


def _header(rows: str) -> str:
    return rows.partition("\n")[0].strip().strip("|").strip()


def _path(passage: Passage, tables: Sequence[Table]) -> str:
    """Return a passage's headings without the header row of the table it begins in."""
    place = bisect_left([table.start for table in tables], passage.start) - 1
    if place < 0 or passage.start >= tables[place].end:
        return passage.heading
    header = tables[place].header
    return "" if passage.heading == header else passage.heading.removesuffix(f" | {header}")
