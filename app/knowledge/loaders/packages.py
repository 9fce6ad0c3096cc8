"""Packages: documents that are ZIP files of parts (.docx, .pptx, .xlsx, .epub).

A package may come from anywhere, so its parts are unpacked here once, in small pieces, before
a library unpacks them into memory: what a ZIP file says of its sizes may be a lie.
Specifications: ECMA-376 part 2 (Open Packaging Conventions), EPUB Open Container Format 3.3.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundling.errors import DocumentError

# The largest that a document's parts may unpack to: an ordinary file is 5 to 20 times its size.
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
# Of these, the parts that are XML: as a tree in memory they are up to 30 times as large.
MAX_XML_BYTES = 128 * 1024 * 1024

_MOST_PARTS = 100_000
_PART_MARK = b"PK\x01\x02"  # begins each entry of a ZIP file's list
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # all that the specifications allow
_PIECE = 1024 * 1024
_BEFORE_XML = b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n"  # byte-order marks and white space


def check_package(path: Path, most: int, most_xml: int | None = None) -> None:
    """Unpack every part once and throw it away.

    Args:
        path: the package.
        most: how many bytes all parts together may have.
        most_xml: how many bytes the parts that are XML may have; default: as `most`.

    Raises:
        DocumentError: the parts are too many or too large.
        zipfile.BadZipFile: the file is damaged, or its sizes are a lie; other exceptions of
            `zipfile` and `zlib` mean the same.
    """
    if _count(path, _PART_MARK) > _MOST_PARTS:
        raise DocumentError(f"{path.name} has more than {_MOST_PARTS:,} parts: too big.")
    with zipfile.ZipFile(path) as package:
        parts = package.infolist()
        _check_sum(path, sum(part.file_size for part in parts), most)
        xml = sum(part.file_size for part in parts if _check_part(package, part))
        _check_sum(path, xml, most_xml or most)


@contextmanager
def refusing(path: Path, kind: str, advice: str) -> Iterator[None]:
    """Turn whatever a library raises on a broken file into a DocumentError.

    Args:
        path: the file that is read inside of the `with` block.
        kind: what it should be, such as "a readable Word document (damaged, or old)".
        advice: the error's hint.
    """
    try:
        yield
    except (DocumentError, FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # zip, XML, and the libraries' own: they let everything through
        raise DocumentError(f"{path.name} is not {kind}.", hint=advice) from error


def _check_sum(path: Path, unpacked: int, most: int) -> None:
    if unpacked > most:
        raise DocumentError(f"{path.name} unpacks to {unpacked / 1e6:,.0f} MB: too big.")


def _check_part(package: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    """Tell whether a part looks like XML; raise BadZipFile if its size is a lie."""
    if part.compress_type not in _METHODS:
        raise zipfile.BadZipFile(f"{part.filename} is packed in an unknown way")
    # Asked for as much as the part claims, zipfile first unpacks all there is. Read in pieces
    # as a part that is one byte longer, it shows its true end.
    claim = copy.copy(part)
    claim.file_size += 1
    with package.open(claim) as stream:
        first = piece = stream.read(_PIECE)
        size = 0
        while piece:
            size += len(piece)
            piece = stream.read(_PIECE)
    if size != part.file_size:
        raise zipfile.BadZipFile(f"{part.filename} is not as large as it claims")
    # Names tell nothing: a package may call its parts what it likes.
    return first.lstrip(_BEFORE_XML)[:1] in (b"<", b"")


def _count(path: Path, mark: bytes) -> int:
    """Count a mark in a file, but for the few that stand across two pieces."""
    with path.open("rb") as file:
        return sum(piece.count(mark) for piece in iter(lambda: file.read(_PIECE), b""))
