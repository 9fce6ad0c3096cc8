"""PDF: text by page, columns in order, tables as rows with their header.

pdfium tells where words and ruled lines stand; columns, paragraphs and tables are made of
that here. Of the readers compared (`bench/pdf.py`) pdfplumber is many times slower; pypdf
and pdfium's own text have a table's cells as loose lines; PyMuPDF is AGPL.

Pages are read one by one and forgotten, but for a sample that shows the running heads.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder
from groundling.knowledge.loaders.pdf_layout import Item, blocks
from groundling.knowledge.loaders.pdf_margins import Content, RunningHeads
from groundling.knowledge.loaders.pdf_page import PDFIUM, read_page
from groundling.knowledge.loaders.pdf_tables import Table, find_tables
from groundling.knowledge.loaders.pdf_text import runs, shown

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

_log = logging.getLogger(__name__)

_SAMPLE = 200  # pages, spread over the document, that show the running heads
_SAME_PLACE = 4.0  # points by which the columns of a table may move from page to page
# What a table that goes on may have before it, or after it on the page before.
_CONTINUED = re.compile(r".{,60}(?:continue[ds]|cont'd|cont\.|계속|이어짐).{,20}", re.IGNORECASE)
_SAVE_ANEW = "Open it in a PDF viewer and save it anew, then add it again."


def load_pdf(path: Path) -> LoadedDocument:
    """Read a PDF; the title is its property, else its file name.

    A damaged page is left out and named in the log; the pages after it keep their numbers.

    Raises:
        DocumentError: encrypted, damaged, without pages, or without any text (a scan).
    """
    with _opened(path) as document:
        with PDFIUM:
            count, title = len(document), _title(document)
        pages = _Pages(document)
        sample = {index: pages.read(index) for index in range(0, count, count // _SAMPLE + 1)}
        heads = RunningHeads(sample)
        writer = _Writer()
        for index in range(count):
            page = sample.pop(index, None) or pages.read(index)
            writer.page(heads.without(index, page), page.width)
    if len(pages.damaged) == count:
        raise DocumentError(
            f"{path.name} is not a readable PDF: none of its {count} pages can be read.",
            hint=_SAVE_ANEW,
        )
    if not writer.builder.length:
        what = "only images" if pages.images else "no text"
        raise DocumentError(
            f"{path.name} holds {what} on its {count} pages: a scan, it seems.",
            hint="Recognise its text first, for example: ocrmypdf IN.pdf OUT.pdf",
        )
    if pages.damaged:
        numbers = ", ".join(str(index + 1) for index in sorted(pages.damaged))
        _log.warning("%s: page %s is damaged and was left out.", path.name, numbers)
    return writer.builder.document(title or path.stem, "pdf")


@contextmanager
def _opened(path: Path) -> Iterator[PdfDocument]:
    import pypdfium2
    import pypdfium2.raw as pdfium

    try:
        with PDFIUM:
            document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise DocumentError(
                f"{path.name} is encrypted: it needs a password.",
                hint="Save a copy without a password and add that.",
            ) from error
        raise DocumentError(
            f"{path.name} is not a readable PDF: {_reason(path)}.", hint=_SAVE_ANEW
        ) from error
    try:
        yield document
    finally:
        with PDFIUM:
            document.close()


def _reason(path: Path) -> str:
    """Say why a file cannot be opened."""
    with path.open("rb") as file:
        begin = file.read(1024)
        file.seek(max(0, path.stat().st_size - 1024))
        end = file.read()
    if not begin:
        return "it is empty"
    if b"%PDF" not in begin:
        return "it does not begin as one"
    return "it is damaged" if b"%%EOF" in end else "it is cut short"


def _title(document: PdfDocument) -> str:
    try:
        title: str = document.get_metadata_value("Title")
    except UnicodeDecodeError:
        return ""
    return title.strip()


class _Pages:
    """Reads pages, and notes which are damaged and whether any has an image."""

    def __init__(self, document: PdfDocument) -> None:
        self.damaged: set[int] = set()
        self.images = 0
        self._document = document

    def read(self, index: int) -> Content:
        from pypdfium2 import PdfiumError

        try:
            with PDFIUM:
                page = read_page(self._document, index)
        except PdfiumError:
            self.damaged.add(index)
            return Content([], 0.0, 0.0)
        self.images += page.images
        tables, words = find_tables(page.words, page.rules)
        return Content([*runs(words), *tables], page.width, page.height)


class _Writer:
    """Writes pages, and goes on with a table where the last page's ended it."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._open: Table | None = None
        self._header: list[str] = []

    def page(self, items: Sequence[Item], width: float) -> None:
        """Write what stands on a page."""
        self.builder.page()
        before, self._open = self._open, None
        first = True
        for block in blocks(items, width):
            if isinstance(block, Table):
                goes_on = first and before is not None and _same_columns(before, block)
                self._table(block, goes_on)
                first, self._open = False, block
            else:
                self.builder.paragraph(shown(block))
                if not _CONTINUED.fullmatch(block):
                    first, self._open = False, None

    def _table(self, table: Table, goes_on: bool) -> None:
        rows = [[shown(cell) for cell in row] for row in table.rows]
        if not goes_on:
            self._header = rows[0]
        elif rows[0] != self._header:
            rows.insert(0, self._header)
        self.builder.table(rows)


def _same_columns(one: Table, other: Table) -> bool:
    """Tell whether the columns of two tables are as wide as each other's."""
    if len(one.columns) != len(other.columns):
        return False
    return all(
        abs((x - one.left) - (y - other.left)) <= _SAME_PLACE
        for x, y in zip(one.columns, other.columns, strict=True)
    )
