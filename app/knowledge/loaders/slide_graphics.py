"""What a slide draws instead of writing: tables, charts and diagrams (SmartArt).

Charts and diagrams are read from their XML (ECMA-376 part 1, 21.2 and 21.4), because a chart
says itself how many points it has: python-pptx would count to any number that stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from groundling.knowledge.loaders.document import TextBuilder

if TYPE_CHECKING:
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.table import Table

_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_DIAGRAM_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"


def write_graphic(shape: GraphicFrame, builder: TextBuilder) -> None:
    """Write a table or a chart as rows, a diagram as a line for each of its boxes."""
    if shape.has_table:
        builder.table(_rows(shape.table))
    elif shape.has_chart:
        _write_chart(shape.chart.element, builder)
    else:
        for data in shape.element.iter(f"{_DIAGRAM}relIds"):
            part = shape.part.related_part(data.get(_DIAGRAM_DATA))
            builder.paragraph("\n".join(_boxes(part.blob)))


def _rows(table: Table) -> Iterator[list[str]]:
    """Yield the cells' texts; a merged cell is named once."""
    for row in table.rows:
        yield ["" if cell.is_spanned else cell.text for cell in row.cells]


def _write_chart(chart: Any, builder: TextBuilder) -> None:
    """Write a chart's title, and its figures with a row for each category."""
    builder.paragraph("".join(text.text or "" for text in chart.xpath("c:chart/c:title//a:t")))
    series = chart.xpath(".//c:ser")
    if not series:
        return
    categories = _points(series[0], "c:cat//c:pt | c:xVal//c:pt")
    columns = [_points(one, "c:val//c:pt | c:yVal//c:pt") for one in series]
    names = [" ".join(_points(one, "c:tx//c:pt").values()) for one in series]
    places = categories or dict.fromkeys(place for column in columns for place in column)
    rows = [["", *names]]
    rows += [
        [categories.get(place, ""), *(column.get(place, "") for column in columns)]
        for place in places
    ]
    builder.table(rows)


def _points(series: Any, where: str) -> dict[str, str]:
    """Return the values that a chart keeps of its workbook, by their places."""
    points: dict[str, str] = {}
    for point in series.xpath(where):
        text = "".join(value.text or "" for value in point.xpath("c:v"))
        points.setdefault(point.get("idx"), _plain(text))
    return points


def _plain(text: str) -> str:
    """Drop the noise of binary fractions: 0.30000000000000004 is 0.3."""
    try:
        return f"{float(text):.15g}" if "." in text else text
    except ValueError:
        return text


def _boxes(data: bytes) -> Iterator[str]:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for point in etree.fromstring(data, parser).iter(f"{_DIAGRAM}pt"):
        yield "".join(text.text or "" for text in point.iter(f"{_DRAWING}t"))
