"""Word documents: headings, paragraphs and tables in the order they stand in.

Read with python-docx. Word stores no pages (they are made when it is laid out), so a
citation into a .docx has none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder
from groundling.knowledge.loaders.packages import (
    MAX_UNPACKED_BYTES,
    MAX_XML_BYTES,
    check_package,
    refusing,
)

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import Table
    from docx.text.paragraph import Paragraph

_KIND = "a readable Word document (damaged, encrypted, or an old .doc)"
_ADVICE = "Open it in a word processor and save it as .docx without a password."
_STYLE = re.compile(r"(?:heading|제목)\s*(\d)", re.IGNORECASE)


def load_docx(path: Path) -> LoadedDocument:
    """Read a .docx file; the title is its property, else its title or first heading.

    Raises:
        DocumentError: not a Word document, cut short, encrypted, or it unpacks to too much.
    """
    import docx

    with refusing(path, _KIND, _ADVICE):
        check_package(path, MAX_UNPACKED_BYTES, MAX_XML_BYTES)
        word = docx.Document(str(path))
        builder = TextBuilder()
        titled = _write(word, builder)
        return builder.document(word.core_properties.title or titled or path.stem, "docx")


def _write(word: Document, builder: TextBuilder) -> str:
    """Write the blocks in order, and return the first heading."""
    from docx.table import Table

    titled = ""
    for block in word.iter_inner_content():
        if isinstance(block, Table):
            builder.table(_rows(block))
            continue
        level = _level(block)
        if level is None:
            builder.paragraph(f"- {block.text}" if _listed(block) else block.text)
        else:
            titled = titled or block.text
            builder.heading(max(1, level), block.text)
    return titled


def _rows(table: Table) -> list[list[str]]:
    """Return the cells' texts; a merged cell is named once."""
    rows = []
    for row in table.rows:
        cells = list(dict.fromkeys(row.cells))
        rows.append([cell.text for cell in cells])
    return rows


def _level(paragraph: Paragraph) -> int | None:
    name = paragraph.style.name if paragraph.style is not None else None
    if name == "Title":
        return 0
    found = _STYLE.match(name or "")
    return min(6, int(found[1])) if found else None


def _listed(paragraph: Paragraph) -> bool:
    name = paragraph.style.name if paragraph.style is not None else None
    return (name or "").startswith("List")
