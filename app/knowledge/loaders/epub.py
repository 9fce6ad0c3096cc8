"""EPUB: the chapters of a book, in the order it is read in.

A book is a package of XHTML files; its package document (OPF) names them (EPUB 3.3, chapters 4
and 5; EPUB 2 is the same here). Read with the standard library's zipfile, lxml and the HTML
reader: the known reader, EbookLib, is AGPL. Nothing is unpacked to the disk.
"""

from __future__ import annotations

import posixpath
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, one_line
from groundling.knowledge.loaders.html import without_empty_elements, write_html
from groundling.knowledge.loaders.packages import (
    MAX_UNPACKED_BYTES,
    MAX_XML_BYTES,
    check_package,
    refusing,
)
from groundling.knowledge.loaders.text import decode_bytes

if TYPE_CHECKING:
    from lxml.etree import _Element

_KIND = "a readable EPUB book (damaged, or of another kind)"
_ADVICE = "Open it in an e-book reader to see whether it is whole."
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
# Fonts are scrambled by these; that locks nothing that is read here.
_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def load_epub(path: Path) -> LoadedDocument:
    """Read an .epub book; the title is its own, else its first heading, else its file name.

    Raises:
        DocumentError: no book, cut short, copy-protected, or it unpacks to too much.
    """
    with refusing(path, _KIND, _ADVICE):
        check_package(path, MAX_UNPACKED_BYTES, MAX_XML_BYTES)
        builder = TextBuilder()
        with zipfile.ZipFile(path) as package:
            where = _package_document(package)
            book = _parsed(package.read(where))
            there = set(package.namelist())
            chapters = [name for name in _spine(book, where) if name in there]
            if not chapters:
                raise DocumentError(f"{path.name} names no chapter that is in it.", hint=_ADVICE)
            if locked := _encrypted(package) & set(chapters):
                raise DocumentError(
                    f"{path.name} is copy-protected (DRM): {len(locked)} of its "
                    f"{len(chapters)} chapters are encrypted.",
                    hint="Add a copy without protection, from its publisher or library.",
                )
            for name in chapters:
                xhtml = decode_bytes(package.read(name), name)
                write_html(without_empty_elements(xhtml), builder)
        title = one_line(book.findtext("{*}metadata/{*}title") or "")
        if not title and builder.headings:
            title = builder.headings[0].title
        return builder.document(title or path.stem, "epub")


def _package_document(package: zipfile.ZipFile) -> str:
    root = _parsed(package.read(_CONTAINER)).find("{*}rootfiles/{*}rootfile")
    if root is None:
        raise ValueError(f"{_CONTAINER} names no package document")
    return str(root.get("full-path", ""))


def _spine(book: _Element, where: str) -> list[str]:
    """Return the chapters' names in the package, each once, in reading order."""
    items = {item.get("id"): item for item in book.iterfind("{*}manifest/{*}item")}
    names: dict[str, None] = {}
    for reference in book.iterfind("{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and item.get("media-type") in _CHAPTERS:
            names[_resolved(posixpath.dirname(where), item.get("href", ""))] = None
    return list(names)


def _encrypted(package: zipfile.ZipFile) -> set[str]:
    """Return the names of the parts that are encrypted, fonts aside."""
    if _ENCRYPTION not in package.namelist():
        return set()
    names = set()
    for data in _parsed(package.read(_ENCRYPTION)).iter("{*}EncryptedData"):
        method = data.find("{*}EncryptionMethod")
        part = data.find(".//{*}CipherReference")
        scrambled = method is not None and method.get("Algorithm") in _FONT_SCRAMBLING
        if part is not None and not scrambled:
            names.add(_resolved("", part.get("URI", "")))
    return names


def _resolved(folder: str, href: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(urlsplit(href).path))).lstrip("/")


def _parsed(xml: bytes) -> _Element:
    """Parse XML that fetches nothing and whose entities stay unexpanded; it may be sloppy."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True)
    root: _Element | None = etree.fromstring(xml, parser)
    if root is None:
        raise ValueError("no XML")
    return root
