"""PowerPoint: a page for each slide, its shapes in reading order, its notes at the end.

Read with python-pptx. The file stores where shapes stand, not in which order they are read:
that is taken to be from top to bottom, and from left to right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, one_line
from groundling.knowledge.loaders.packages import (
    MAX_UNPACKED_BYTES,
    MAX_XML_BYTES,
    check_package,
    refusing,
)
from groundling.knowledge.loaders.slide_graphics import write_graphic

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide

_KIND = "a readable PowerPoint file (damaged, encrypted, or an old .ppt)"
_ADVICE = "Open it in a presentation program and save it as .pptx without a password."
_SLIDE_LEVEL = 2
_LONGEST_TITLE = 80
# What PowerPoint writes into every new file's title.
_NO_TITLES = (
    "",
    "PowerPoint Presentation",
    "PowerPoint 프레젠테이션",
    "PowerPoint プレゼンテーション",
)


def load_pptx(path: Path) -> LoadedDocument:
    """Read a .pptx file; the title is its property, else the first slide's, else its name.

    Raises:
        DocumentError: not a PowerPoint file, cut short, encrypted, or it unpacks to too much.
    """
    import pptx

    with refusing(path, _KIND, _ADVICE):
        check_package(path, MAX_UNPACKED_BYTES, MAX_XML_BYTES)
        deck = pptx.Presentation(str(path))
        builder = TextBuilder()
        for slide in deck.slides:
            builder.page()
            _write_slide(slide, builder)
        return builder.document(_title(deck, builder) or path.stem, "pptx")


def _title(deck: Presentation, builder: TextBuilder) -> str:
    named = one_line(deck.core_properties.title or "")
    if named not in _NO_TITLES:
        return named
    return builder.headings[0].title if builder.headings else ""


def _write_slide(slide: Slide, builder: TextBuilder) -> None:
    shapes = list(_in_reading_order(slide.shapes))
    title = _title_shape(slide, shapes)
    if title is not None:
        builder.heading(_SLIDE_LEVEL, _text(title))
    for shape in shapes:
        if title is None or shape.element is not title.element:
            _write_shape(shape, builder)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame):
        builder.paragraph(notes.text)


def _in_reading_order(shapes: Iterable[BaseShape]) -> Iterator[BaseShape]:
    """Yield the shapes from top to bottom and left to right; a group's stay together."""
    from pptx.shapes.group import GroupShape

    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if isinstance(shape, GroupShape):
            yield from _in_reading_order(shape.shapes)
        elif not _is_furniture(shape):
            yield shape


def _is_furniture(shape: BaseShape) -> bool:
    """Tell whether a shape is a slide's number, date, header or footer."""
    from pptx.enum.shapes import PP_PLACEHOLDER as KINDS

    furniture = (KINDS.SLIDE_NUMBER, KINDS.DATE, KINDS.FOOTER, KINDS.HEADER)
    return shape.is_placeholder and shape.placeholder_format.type in furniture


def _title_shape(slide: Slide, shapes: list[BaseShape]) -> BaseShape | None:
    """Return the slide's title, or a short line at its top: many decks have text boxes only."""
    title: BaseShape | None = slide.shapes.title
    if title is not None and _text(title).strip():
        return title
    first = next((shape for shape in shapes if _text(shape).strip()), None)
    if first is not None and len(shapes) > 1:
        text = _text(first).strip()
        if len(text) <= _LONGEST_TITLE and "\n" not in text:
            return first
    return None


def _text(shape: BaseShape) -> str:
    from pptx.shapes.autoshape import Shape

    return shape.text_frame.text if isinstance(shape, Shape) else ""


def _write_shape(shape: BaseShape, builder: TextBuilder) -> None:
    from pptx.shapes.graphfrm import GraphicFrame

    if isinstance(shape, GraphicFrame):
        write_graphic(shape, builder)
    else:
        builder.paragraph(_text(shape))
