"""PDF: text by page, tables as rows.

Read with pdfplumber (on pdfminer.six), page by page, each page's objects dropped before the
next is read. Of the readers compared it is the one with a permissive licence that finds
tables: pypdf and pypdfium2 return a table's cells as loose lines, PyMuPDF is AGPL.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder

if TYPE_CHECKING:
    from pdfplumber.page import Page
    from pdfplumber.table import Table


def load_pdf(path: Path) -> LoadedDocument:
    """Read a PDF; the title is its property, else its file name.

    Raises:
        DocumentError: encrypted, damaged, or without any text (a scan).
    """
    import pdfplumber
    from pdfminer.pdfdocument import PDFPasswordIncorrect

    # pdfminer reports every oddity of a file's fonts, which nobody can act on.
    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    builder = TextBuilder()
    images = 0
    try:
        with pdfplumber.open(path) as pdf:
            metadata = pdf.metadata or {}
            for page in pdf.pages:
                builder.page()
                _write_page(page, builder)
                images += len(page.images)
                page.close()
    except Exception as error:
        cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
        if isinstance(cause, PDFPasswordIncorrect):
            raise DocumentError(
                f"{path.name} is encrypted: it needs a password.",
                hint="Save a copy without a password and add that.",
            ) from error
        raise DocumentError(
            f"{path.name} is not a readable PDF: {type(cause).__name__} {cause}".strip(),
            hint="Open it in a PDF viewer and save it anew, then add it again.",
        ) from error
    if not builder.pages:
        raise DocumentError(f"{path.name} is not a readable PDF: it has no pages.")
    if not builder.length:
        what = "only images" if images else "no text"
        raise DocumentError(
            f"{path.name} holds {what} on its {len(builder.pages)} pages: a scan, it seems.",
            hint="Recognise its text first, for example: ocrmypdf IN.pdf OUT.pdf",
        )
    title = metadata.get("Title")
    return builder.document(title if isinstance(title, str) and title.strip() else path.stem, "pdf")


def _write_page(page: Page, builder: TextBuilder) -> None:
    """Write what stands between the tables as text and the tables as rows, top to bottom."""
    tables = sorted(_tables(page), key=lambda table: table.bbox[1])
    left, top, right, bottom = page.bbox
    for table in tables:
        _, table_top, _, table_bottom = table.bbox
        if table_top > top:
            builder.paragraph(page.crop((left, top, right, table_top)).extract_text() or "")
        builder.table([[cell or "" for cell in row] for row in table.extract()])
        top = max(top, min(table_bottom, bottom))
    if top < bottom:
        rest = page.crop((left, top, right, bottom)) if tables else page
        builder.paragraph(rest.extract_text() or "")


def _tables(page: Page) -> list[Table]:
    """Return the ruled tables that stand alone on their lines.

    A table needs two columns and two rows: frames round a paragraph are no tables. Where
    two stand side by side, the page is read as text, so that nothing is read twice.
    """
    if len(page.rects) + len(page.lines) + len(page.curves) < 4:
        return []
    found = [
        table
        for table in page.find_tables()
        if len(table.rows) > 1 and max(len(row.cells) for row in table.rows) > 1
    ]
    boxes = sorted((table.bbox[1], table.bbox[3]) for table in found)
    if any(above[1] > below[0] + 1 for above, below in pairwise(boxes)):
        return []
    return found
