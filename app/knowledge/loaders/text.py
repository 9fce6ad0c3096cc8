"""Plain text and Markdown, in whatever encoding they come."""

from __future__ import annotations

import re
from pathlib import Path

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import Heading, LoadedDocument, Table, one_line, storable

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_RULE = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*\|?[ \t]*")


def load_text(path: Path) -> LoadedDocument:
    """Read a text file; the title is its name."""
    return LoadedDocument(storable(decode(path)), title=path.stem, format="text")


def load_markdown(path: Path) -> LoadedDocument:
    """Read a Markdown file: the text stays as it is, headings and tables are noted.

    Headings inside of fenced code are not headings; front matter is text.
    """
    text = storable(decode(path))
    headings: list[Heading] = []
    tables: list[Table] = []
    fence = ""
    previous = ""
    offset = 0
    table: Table | None = None
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        start, offset = offset, offset + len(line)
        if opened := _FENCE.match(bare):
            mark = opened[1]
            fence = mark if not fence else ("" if bare.strip().startswith(fence) else fence)
            previous = ""
            continue
        if fence:
            continue
        if found := _HEADING.fullmatch(bare):
            headings.append(Heading(start, len(found[1]), one_line(found[2])))
        elif (found := _UNDERLINE.fullmatch(bare)) and previous.strip() and "|" not in previous:
            begin = start - len(previous) - 1
            headings.append(Heading(begin, 1 if found[1][0] == "=" else 2, one_line(previous)))
        if table and "|" in bare:
            table = Table(table.start, start + len(bare), table.header)
            tables[-1] = table
        elif "|" in previous and "|" in bare and _RULE.fullmatch(bare):
            header = previous.strip().strip("|").strip()
            table = Table(start - len(previous) - 1, start + len(bare), header)
            tables.append(table)
        else:
            table = None
        previous = bare
    title = next((heading.title for heading in headings if heading.level == 1), path.stem)
    return LoadedDocument(text, title, "markdown", (), tuple(headings), tuple(tables))


def decode(path: Path) -> str:
    """Return a file's text: UTF-8, what its byte-order mark says, or what it looks like.

    Korean files are often CP949, which charset-normalizer tells from the bytes; it is asked
    only when the file is not UTF-8, because it is slow and can be wrong.

    Raises:
        DocumentError: the file is not text.
    """
    return decode_bytes(path.read_bytes(), path.name)


def decode_bytes(data: bytes, name: str) -> str:
    """Return the text of bytes, as `decode` does; `name` stands in the error."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if b"\x00" in data[:65536]:
        raise DocumentError(f"{name} is not text: it holds NUL bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    # Korean first: short CP949 texts also pass for other East Asian encodings.
    try:
        korean = data.decode("cp949")
    except UnicodeDecodeError:
        korean = ""
    if _mostly_hangul(korean):
        return korean
    best = from_bytes(data[:1_000_000]).best()
    if best is None:
        raise DocumentError(f"{name} is not text in any encoding that could be told.")
    return data.decode(best.encoding, errors="replace")


def _mostly_hangul(text: str) -> bool:
    foreign = [c for c in text if ord(c) > 127]
    syllables = sum("가" <= c <= "힣" for c in foreign)
    return len(foreign) > 0 and syllables >= 0.8 * len(foreign)
