"""Uploaded files, on their way from the network to the disk; never whole in memory.

They arrive in a hidden folder beside the documents, under numbers. Only when all of them are
there are they given names, which are single plain parts of a path: nothing that a client
says leads out of the folder.
"""

from __future__ import annotations

import errno
import re
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from groundling.server.problems import Problem
from groundling.server.services import Services

MOST_FILES = 500
_INCOMING = ".incoming-"
_BUFFER = 1 << 20
_ABANDONED = 86_400  # seconds
_HEADERS = 8_000
_LONGEST = 120  # characters of a name
_NAME_BYTES = 230  # most file systems take 255, and a number may be added
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


@dataclass(frozen=True)
class Upload:
    """A file that has arrived.

    Args:
        name: what the client calls it, made fit for the disk.
        path: where it is.
    """

    name: str
    path: Path


def plain_name(given: str) -> str:
    """Return what a client calls a file as one plain part of a path.

    Folders are left out, and what no file system or terminal takes; a leading dot, too, for
    hidden files are never read.
    """
    text = unicodedata.normalize("NFC", given.encode("utf-8", "replace").decode("utf-8"))
    last = re.split(r"[/\\]", text)[-1]
    seen = "".join(c if c.isprintable() else " " for c in _UNFIT.sub(" ", last))
    name = " ".join(seen.split()).lstrip(". ").rstrip(". ")
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 12:
        stem, suffix = name, ""
    tail = f".{suffix}" if suffix else ""
    stem = stem[:_LONGEST].strip() or "document"
    while len((stem + tail).encode()) > _NAME_BYTES:
        stem = stem[:-1]
    return stem + tail


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken, however letters are written: `leave (2).md`."""
    known = {each.casefold() for each in taken}
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    number, tried = 1, name
    while tried.casefold() in known:
        number += 1
        tried = f"{stem} ({number}){dot}{suffix}"
    return tried


async def receive(request: Request, held: Services, folder: Path) -> list[Upload]:
    """Write the files of a request to a folder; return them when all have arrived.

    Args:
        folder: of the knowledge base's documents; it is made.

    Raises:
        Problem: 413, too large; 415 or 422, no such body; 507, the disk is full; 404, the base
            is deleted meanwhile.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise Problem(415, "The body should be multipart/form-data, with the files in it.")
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > 200:
        raise Problem(422, "The Content-Type names no boundary.")
    where = folder / f"{_INCOMING}{uuid.uuid4().hex}"
    arriving = _Arriving(where, boundary)
    most, size, waiting = held.settings.server.upload_bytes, 0, bytearray()
    try:
        await held.work(_prepare, where)
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise Problem(413, f"The upload has more than {most:,} bytes.", hint=_LARGER)
            waiting += chunk
            if len(waiting) >= _BUFFER:
                await held.work(arriving.write, bytes(waiting))
                waiting.clear()
        await held.work(arriving.write, bytes(waiting))
        await held.work(arriving.end)
    except BaseException as error:
        arriving.close()
        await held.work(shutil.rmtree, where, ignore_errors=True)
        raise _told(error) from error
    return arriving.files


def _prepare(where: Path) -> None:
    """Make the folder; remove those of uploads that a killed server has left half way."""
    where.parent.mkdir(exist_ok=True)  # not the base itself: it may be deleted meanwhile
    where.mkdir()
    for each in where.parent.glob(f"{_INCOMING}*"):
        with suppress(FileNotFoundError):  # another upload has come to its end
            if each.stat().st_mtime < time.time() - _ABANDONED:
                shutil.rmtree(each, ignore_errors=True)


def _told(error: BaseException) -> BaseException:
    if isinstance(error, FormParserError):
        return Problem(422, "The body is not multipart/form-data, or ends too early.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem(507, "The disk is full; nothing of the upload was kept.", code="disk_full")
    if isinstance(error, FileNotFoundError):
        return Problem(404, "The knowledge base was deleted while the files arrived.", hint=_AGAIN)
    return error


_AGAIN = "Make it again, then add them."
_LARGER = "server.upload_bytes in the settings is the bound; or add fewer files at once."


class _Arriving:
    """Parts become files while they arrive."""

    def __init__(self, where: Path, boundary: bytes) -> None:
        self._where = where
        self.files: list[Upload] = []
        self._file: BinaryIO | None = None
        self._name, self._value, self._disposition = b"", b"", b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self.close,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_end": self._end,
            },
            max_header_size=_HEADERS,
        )

    def write(self, data: bytes) -> None:
        self._parser.write(data)

    def end(self) -> None:
        self._parser.finalize()
        self.close()
        if not self._ended:
            raise FormParserError("no final boundary")
        if not self.files:
            raise Problem(
                422, "There is no file in the upload.", hint="Parts need a filename.", param="files"
            )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._name, self._value, self._disposition = b"", b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        given = options.get(b"filename")
        if not given:
            return  # a field of the form; nothing here reads one
        if len(self.files) >= MOST_FILES:
            raise Problem(413, f"There are more than {MOST_FILES} files in one upload.")
        path = self._where / f"{len(self.files):04}"
        self._file = path.open("xb")
        self.files.append(Upload(plain_name(given.decode("utf-8", "replace")), path))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self._ended = True
