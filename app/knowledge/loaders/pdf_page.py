"""What stands on a page of a PDF: words, ruled lines and images, with their places.

Read by pdfium (Chrome's reader, BSD licence) through pypdfium2. Places are in points
(1/72 inch) from the top left of the page as it is shown, whatever its rotation. pdfium is
not thread-safe: hold `PDFIUM` around every call of it.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

PDFIUM = threading.Lock()

# A page with more path segments than this is a map or a chart: it is read as text alone.
MAX_DRAWN = 20_000
_DEPTH = 8  # forms within forms
_STRAIGHT = 1.0  # points by which the ends of a horizontal rule may differ in height
_FAR = 20_000.0  # points: farther out nothing is shown, and a damaged number may stand there
_SHORTEST = 3.0  # points: what is shorter is a dot or a dash

# In place of a hyphen and line end pdfium writes U+FFFE.
HYPHEN = "\ufffe"
_WORD = re.compile(f"[^\\s\x00{HYPHEN}]+{HYPHEN}?|{HYPHEN}")

# x' = a x + c y + e and y' = b x + d y + f, as ISO 32000-1, 8.3.4 has it.
Matrix = tuple[float, float, float, float, float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
_AS_IT_IS: Matrix = (1, 0, 0, 1, 0, 0)


class Word(NamedTuple):
    """Characters between white space; `after` is the white space that follows in the text."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    after: str
    upright: bool


class Rule(NamedTuple):
    """A drawn line: horizontal at y = `at` from x = `start` to `end`, or vertical."""

    horizontal: bool
    at: float
    start: float
    end: float


class Page(NamedTuple):
    """What was found on a page; the words stand in the order of the file."""

    words: list[Word]
    rules: list[Rule]
    images: int
    width: float
    height: float


def read_page(document: PdfDocument, index: int) -> Page:
    """Read the page of this index, counted from 0.

    Raises:
        PdfiumError: the page is damaged.
    """
    page = document[index]
    try:
        frame = _frame(page)
        rules, images = _drawn(page, frame)
        return Page(_words(page, frame), rules, images, *page.get_size())
    finally:
        page.close()


def _frame(page: PdfPage) -> Matrix:
    """Return the matrix from the file's coordinates to those of the page as it is shown."""
    left, bottom, right, top = page.get_bbox()
    frames: dict[int, Matrix] = {
        0: (1, 0, 0, -1, -left, top),
        90: (0, 1, 1, 0, -bottom, -left),
        180: (-1, 0, 0, 1, right, -bottom),
        270: (0, -1, -1, 0, top, right),
    }
    return frames[page.get_rotation()]


def _words(page: PdfPage, frame: Matrix) -> list[Word]:
    import pypdfium2.raw as pdfium

    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range()
        # Characters that the font gives no meaning are not in the text, but they are counted.
        shifted = len(text) != textpage.count_chars()
        box = _boxes(textpage, frame)
        words = []
        end = len(text)
        for found in reversed(list(_WORD.finditer(text))):
            first, stop = found.span()
            last = stop - 1
            after, end = text[stop:end], first
            if shifted:
                first = pdfium.FPDFText_GetCharIndexFromTextIndex(textpage.raw, first)
                last = pdfium.FPDFText_GetCharIndexFromTextIndex(textpage.raw, last)
            words.append(_word(found[0], box(first), box(last), after))
    finally:
        textpage.close()
    words.reverse()
    return [word for word in words if -_FAR < word.left <= word.right < _FAR]


def _boxes(textpage: PdfTextPage, frame: Matrix) -> Callable[[int], Box]:
    """Return a function from a character's index to its box, as high as its font."""
    import pypdfium2.raw as pdfium

    handle, rect = textpage.raw, pdfium.FS_RECTF()
    get = pdfium.FPDFText_GetLooseCharBox
    a, b, c, d, e, f = frame

    # Most pages are not turned, and this is called twice for every word of a document.
    def plain(index: int) -> Box:
        get(handle, index, rect)
        return rect.left + e, f - rect.top, rect.right + e, f - rect.bottom

    def turned(index: int) -> Box:
        get(handle, index, rect)
        x0, x1 = a * rect.left + c * rect.bottom + e, a * rect.right + c * rect.top + e
        y0, y1 = b * rect.left + d * rect.bottom + f, b * rect.right + d * rect.top + f
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    return plain if (a, b, c, d) == (1, 0, 0, -1) else turned


def _word(text: str, first: Box, last: Box, after: str) -> Word:
    """Make a word of the boxes of its first and last characters."""
    x0, y0, x1, y1 = first
    u0, v0, u1, v1 = last
    across, along = v0 + v1 - y0 - y1, u0 + u1 - x0 - x1
    return Word(
        text,
        x0 if x0 < u0 else u0,
        y0 if y0 < v0 else v0,
        x1 if x1 > u1 else u1,
        y1 if y1 > v1 else v1,
        after,
        -along <= across <= along or along <= across <= -along,
    )


def _drawn(page: PdfPage, frame: Matrix) -> tuple[list[Rule], int]:
    """Return the rules of a page and the number of its images."""
    import pypdfium2.raw as pdfium

    rules: list[Rule] = []
    images = drawn = 0
    for thing, kind, matrix in _objects(page.raw, frame):
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            images += 1
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            count = pdfium.FPDFPath_CountSegments(thing)
            drawn += count
            if drawn > MAX_DRAWN:
                return [], images
            rules.extend(_rules(thing, count, matrix))
    return rules, images


def _objects(page: Any, frame: Matrix) -> Iterator[tuple[Any, int, Matrix]]:
    """Yield what is drawn on a page, what kind it is, and the matrix of its coordinates."""
    import pypdfium2.raw as pdfium

    count, get = pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject
    todo = [(page, count, get, frame, 0)]
    while todo:
        holder, count, get, matrix, depth = todo.pop()
        for index in range(count(holder)):
            thing = get(holder, index)
            kind = pdfium.FPDFPageObj_GetType(thing)
            if kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _DEPTH:
                within = _product(_matrix(thing), matrix)
                inside = (pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject)
                todo.append((thing, *inside, within, depth + 1))
            else:
                yield thing, kind, matrix


def _rules(path: Any, count: int, matrix: Matrix) -> list[Rule]:
    """Return the straight lines of a path that is drawn, and the edges of its rectangles."""
    import pypdfium2.raw as pdfium

    fill, stroke = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(path, fill, stroke)
    if not fill.value and not stroke.value:
        return []
    a, b, c, d, e, f = _product(_matrix(path), matrix)
    x, y = ctypes.c_float(), ctypes.c_float()
    rules: list[Rule | None] = []
    begin = before = (0.0, 0.0)
    for index in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(path, index)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        here = (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            begin = here
        elif kind == pdfium.FPDF_SEGMENT_LINETO:
            rules.append(_rule(before, here))
        if pdfium.FPDFPathSegment_GetClose(segment):
            rules.append(_rule(here, begin))
        before = here
    return [rule for rule in rules if rule]


def _rule(one: tuple[float, float], other: tuple[float, float]) -> Rule | None:
    (x0, y0), (x1, y1) = one, other
    width, height = abs(x1 - x0), abs(y1 - y0)
    if height <= _STRAIGHT and width >= _SHORTEST:
        return Rule(True, (y0 + y1) / 2, min(x0, x1), max(x0, x1))
    if width <= _STRAIGHT and height >= _SHORTEST:
        return Rule(False, (x0 + x1) / 2, min(y0, y1), max(y0, y1))
    return None


def _matrix(thing: Any) -> Matrix:
    import pypdfium2.raw as pdfium

    found = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(thing, found):
        return _AS_IT_IS
    return found.a, found.b, found.c, found.d, found.e, found.f


def _product(first: Matrix, then: Matrix) -> Matrix:
    """Return the matrix that does the one and then the other."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = then
    return (
        *(a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s),
        *(e * p + f * r + t, e * q + f * s + u),
    )
