"""ZIP archives: each readable file inside of one is a document of its own.

An archive may come from anywhere, so nothing in it is trusted: names never lead to a path of
the machine (a member is written into a temporary folder under its last name alone), sizes
are counted while unpacking, and what would be too much, is locked, or is an archive again is
named with its reason. Names from Korean Windows, which are CP949 without a mark, are read.
Specification: PKWARE's APPNOTE.TXT 6.3.
"""

from __future__ import annotations

import copy
import errno
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from groundling.errors import DocumentError
from groundling.knowledge.loaders import registry
from groundling.knowledge.loaders.document import LoadedDocument
from groundling.knowledge.loaders.members import Member
from groundling.knowledge.loaders.names import free_name, member_name

MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
# Text packs to a tenth, logs to a fiftieth; deflate's limit is 1,032.
MAX_RATIO = 200
_UNSUSPECTED_BYTES = 1024 * 1024  # below this, the ratio does not matter

# The list of an archive's entries is read into memory as a whole, so they are counted before.
_MOST_ENTRIES = 200_000
_ENTRY_MARK = b"PK\x01\x02"
_PIECE = 1024 * 1024
_ENCRYPTED = 0x1
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, ValueError)


def zip_members(path: Path) -> Iterator[Member]:
    """Read the documents of a .zip file one by one.

    Files of kinds that have no reader, hidden ones and macOS's own are passed over.

    Raises:
        DocumentError: the archive as a whole is damaged or has too many members.
        OSError: it cannot be opened.
    """
    if _entries(path) > _MOST_ENTRIES:
        raise _too_many(path, f"more than {_MOST_ENTRIES:,}")
    with path.open("rb") as file, tempfile.TemporaryDirectory() as folder:
        try:
            archive = zipfile.ZipFile(file)
        except (*_DAMAGED, OSError) as error:
            raise DocumentError(
                f"{path.name} is not a readable ZIP archive: it is damaged or cut short.",
                hint="Fetch or make it again, or unpack it and add the folder.",
            ) from error
        with archive:
            infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
            if len(infos) > MAX_MEMBERS:
                raise _too_many(path, f"{len(infos):,}")
            yield from _Reader(archive, Path(folder)).members(infos)


class _Reader:
    """Reads members through a folder, and counts what they unpack to."""

    def __init__(self, archive: zipfile.ZipFile, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._left = MAX_UNPACKED_BYTES

    def members(self, infos: list[zipfile.ZipInfo]) -> Iterator[Member]:
        taken: set[str] = set()
        for info in infos:
            name, safe = member_name(info)
            parts = PurePosixPath(name).parts
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
            if hidden or not registry.readable(Path(name)):
                continue
            name = free_name(name, taken)
            try:
                if not safe:
                    raise DocumentError(f"{name}: its path leads out of the archive.")
                yield Member(name, self._read(info, name))
            except DocumentError as error:
                yield Member(name, None, f"{error} {error.hint}" if error.hint else str(error))

    def _read(self, info: zipfile.ZipInfo, name: str) -> LoadedDocument:
        self._check(info, name)
        # The loader sees this name in place of the path: titles and messages bear it.
        last = PurePosixPath(name)
        file = self._folder / f"{last.stem[:60]}{last.suffix}"
        try:
            self._unpack(info, file)
            return registry.load(file)
        except (*_DAMAGED, OSError) as error:
            # A place before the file's start is an invalid argument to the system.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise DocumentError(f"{name} is damaged, or its size is not what it claims.") from error
        finally:
            file.unlink(missing_ok=True)

    def _check(self, info: zipfile.ZipInfo, name: str) -> None:
        """Raise DocumentError for what is not to be unpacked at all."""
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise DocumentError(f"{name} is a link or a device, not a file.")
        if info.flag_bits & _ENCRYPTED:
            raise DocumentError(
                f"{name} is encrypted.", hint="Unpack it with its password and add the folder."
            )
        if registry.holds_several(Path(name)):
            raise DocumentError(
                f"{name} is an archive inside of an archive.", hint="Unpack it and add it."
            )
        # Of the other methods a few bytes unpack to gigabytes at one stroke.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DocumentError(
                f"{name} is packed with a method that is not read.",
                hint="Unpack it and add the folder.",
            )
        registry.check_size(Path(name), info.file_size)
        if info.file_size > max(_UNSUSPECTED_BYTES, MAX_RATIO * info.compress_size):
            raise DocumentError(f"{name} unpacks to more than {MAX_RATIO} times its size.")
        if info.file_size > self._left:
            raise DocumentError(
                f"{name}: the archive unpacks to more than {MAX_UNPACKED_BYTES / 1e6:,.0f} MB.",
                hint="Unpack it and add the folder.",
            )

    def _unpack(self, info: zipfile.ZipInfo, file: Path) -> None:
        """Write a member into a file; raise BadZipFile if it is longer or shorter than claimed."""
        # zipfile stops at the size that is claimed; as a member that is one byte longer, it
        # shows its true end.
        claim = copy.copy(info)
        claim.file_size += 1
        size = 0
        with self._archive.open(claim) as stream, file.open("wb") as out:
            while piece := stream.read(_PIECE):
                size += len(piece)
                self._left -= len(piece)
                out.write(piece)
        if size != info.file_size:
            raise zipfile.BadZipFile(f"{info.filename} is not as large as it claims")


def _entries(path: Path) -> int:
    """Count the marks of entries, but for the few that stand across two pieces."""
    with path.open("rb") as file:
        return sum(piece.count(_ENTRY_MARK) for piece in iter(lambda: file.read(_PIECE), b""))


def _too_many(path: Path, count: str) -> DocumentError:
    return DocumentError(
        f"{path.name} has {count} members; at most {MAX_MEMBERS:,} are read.",
        hint="Unpack it and add the folder.",
    )
