"""Markdown: the text stays as it is; where headings and tables stand is noted.

A scanner of lines, not a parser: what an index needs of Markdown is its headings, its tables
and its fenced code (in which "# x" is no heading). Every test of a line takes time linear in
its length, because a file may be one line of many megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from groundling.knowledge.loaders.document import (
    LONGEST_TITLE,
    Heading,
    LoadedDocument,
    Table,
    one_line,
)

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(?=\S)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_RULE = frozenset(" \t:|-")


def read_markdown(text: str, name: str) -> LoadedDocument:
    """Note the headings and tables of a Markdown text that is already `storable`.

    The title is the first heading of level 1, else `name`. Headings inside of fenced code are
    not headings; front matter is text.
    """
    headings: list[Heading] = []
    tables: list[Table] = []
    fence = ""
    before, before_start = "", 0
    table: Table | None = None
    for start, line in lines(text):
        if opened := _FENCE.match(line):
            mark = opened[1]
            fence = mark if not fence else ("" if line.strip().startswith(fence) else fence)
            before = ""
            continue
        if fence:
            continue
        if found := _HEADING.match(line):
            headings.append(Heading(start, len(found[1]), _title(line[found.end() :])))
        elif (found := _UNDERLINE.fullmatch(line)) and before.strip() and "|" not in before:
            level = 1 if found[1][0] == "=" else 2
            headings.append(Heading(before_start, level, one_line(before)))
        if table and "|" in line:
            table = Table(table.start, start + len(line), table.header)
            tables[-1] = table
        elif "|" in before and _is_rule(line):
            header = before.strip().strip("|").strip()
            table = Table(before_start, start + len(line), header)
            tables.append(table)
        else:
            table = None
        before, before_start = line, start
    headings = [heading for heading in headings if heading.title]
    title = next((heading.title for heading in headings if heading.level == 1), name)
    return LoadedDocument(
        text, title[:LONGEST_TITLE], "markdown", (), tuple(headings), tuple(tables)
    )


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each line of a text begins, and the line without its end.

    Unlike `str.splitlines`, only "\\n" ends a line, as in all stored text.
    """
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start:end]
        start = end + 1


def _title(rest: str) -> str:
    """Return a heading's title without the "##" that may close it."""
    rest = rest.strip()
    kept = rest.rstrip("#")
    closed = not kept or kept[-1] in " \t"
    return one_line(kept if closed else rest)


def _is_rule(line: str) -> bool:
    """Tell whether a line is the "|---|" under a table's header."""
    return "|" in line and "-" in line and _RULE.issuperset(line)
