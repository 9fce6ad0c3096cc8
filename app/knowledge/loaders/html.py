"""HTML: the text a reader sees, with its headings, lists and tables.

Read with selectolax (lexbor, a C parser of the HTML standard), which never fails on broken
markup. Boilerplate that is marked as such (nav, footer, aside, forms) is dropped; guessing
at unmarked boilerplate, as trafilatura does, loses text of handbooks and tables.
"""

from __future__ import annotations

import re
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, one_line
from groundling.knowledge.loaders.text import decode

_DROPPED = {
    *("script", "style", "noscript", "template", "svg", "canvas", "iframe", "object", "head"),
    *("nav", "footer", "aside", "form", "button", "select", "input", "dialog"),
}
_BLOCKS = {
    *("address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt"),
    *("fieldset", "figcaption", "figure", "header", "hr", "html", "li", "main", "menu", "ol"),
    *("p", "section", "summary", "ul"),
}
# An element of XHTML that closes itself; XML allows no "<" in the values of attributes.
_EMPTY = re.compile(
    r"""<(?P<tag>[A-Za-z][\w:.-]*)(?P<rest>(?:\s(?:[^<>"'/]|/(?!>)|"[^"<]*"|'[^'<]*')*+)?)/>"""
)
_VOID = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"),
    *("track", "wbr"),
}
_SPACES = re.compile(r"[ \t\n\f\r]+")


def load_html(path: Path) -> LoadedDocument:
    """Read an HTML page; the title is that of the page, else its first heading."""
    return read_html(decode(path), path.stem)


def read_html(markup: str, name: str) -> LoadedDocument:
    """Read a page from its markup; `name` is its title where it has none."""
    builder = TextBuilder()
    title = write_html(markup, builder)
    if not title:
        title = builder.headings[0].title if builder.headings else name
    return builder.document(title, "html")


def write_html(markup: str, builder: TextBuilder) -> str:
    """Write a page into a document, and return the page's own title, which may be ""."""
    if markup.lstrip("\ufeff \t\r\n").startswith("<?xml"):
        markup = without_empty_elements(markup)
    tree = LexborHTMLParser(markup)
    if tree.body is not None:
        _Walk(builder).body(tree.body)
    named = tree.css_first("title")
    return one_line(named.text()) if named else ""


def without_empty_elements(xhtml: str) -> str:
    """Write XHTML's `<title/>`, to HTML the start of a title without end, as `<title></title>`."""
    return _EMPTY.sub(_opened_and_closed, xhtml)


def _opened_and_closed(element: re.Match[str]) -> str:
    tag = element["tag"]
    return element[0] if tag.lower() in _VOID else f"<{tag}{element['rest']}></{tag}>"


class _Walk:
    """Goes through the elements in document order, gathering inline text into blocks."""

    def __init__(self, builder: TextBuilder) -> None:
        self.builder = builder
        self.inline: list[str] = []

    def body(self, root: LexborNode) -> None:
        # A stack instead of recursion: pages nest deeper than Python's call stack goes.
        todo: list[LexborNode | str] = [root]
        while todo:
            node = todo.pop()
            if isinstance(node, str):
                self._flush()
                continue
            tag = node.tag or ""
            if tag == "-text":
                self.inline.append(_SPACES.sub(" ", node.text_content or ""))
            elif tag in _DROPPED or tag == "-comment":
                continue
            elif len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
                self._flush()
                self.builder.heading(int(tag[1]), node.text())
            elif tag == "table" and not node.css("table table"):
                self._flush()
                self._table(node)
            elif tag == "pre":
                self._flush()
                self.builder.paragraph(node.text())
            elif tag == "br":
                self.inline.append("\n")
            else:
                block = tag in _BLOCKS
                if block:
                    self._flush()
                    todo.append("end of block")
                if tag == "li":
                    self.inline.append("- ")
                elif tag in ("td", "th"):
                    self.inline.append(" ")
                todo.extend(reversed(list(node.iter(include_text=True))))
        self._flush()

    def _table(self, table: LexborNode) -> None:
        if caption := table.css_first("caption"):
            self.builder.paragraph(one_line(caption.text()))
        rows = [[cell.text() for cell in row.css("td, th")] for row in table.css("tr")]
        if max((len(row) for row in rows), default=0) > 1:
            self.builder.table(rows)
        else:  # one column: a table for layout
            for row in rows:
                self.builder.paragraph(" ".join(one_line(cell) for cell in row))

    def _flush(self) -> None:
        lines = "".join(self.inline).split("\n")
        text = "\n".join(_SPACES.sub(" ", line).strip() for line in lines)
        if text.strip(" -\n"):
            self.builder.paragraph(text)
        self.inline = []
