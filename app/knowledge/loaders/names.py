"""Names of an archive's members: in the right letters, and none that leads elsewhere."""

from __future__ import annotations

import re
import zipfile
from pathlib import PurePosixPath

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import one_line
from groundling.knowledge.loaders.text import decode_bytes

_UTF8_NAME = 0x800
_DRIVE = re.compile(r"[A-Za-z]:")


def member_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """Return a member's path within its archive, and whether it stayed within.

    The path is "/"-separated and relative, without "." and ".."; an absolute one, or one that
    goes up, is told by False.
    """
    path = _letters(info).replace("\\", "/")
    parts = [one_line(part) for part in path.split("/")]
    drive = bool(_DRIVE.match(parts[0]))
    kept = [part for part in parts[drive:] if part not in ("", ".", "..")]
    safe = not (drive or path.startswith("/") or ".." in parts)
    return "/".join(kept) or "unnamed", safe


def free_name(name: str, taken: set[str]) -> str:
    """Return the name, numbered if it is taken already, and note it as taken."""
    path = PurePosixPath(name)
    number = 1
    while name in taken:
        number += 1
        name = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
    taken.add(name)
    return name


def _letters(info: zipfile.ZipInfo) -> str:
    """Read a name: UTF-8 where it is marked so, else what its bytes look like.

    The specification says CP437 for names without the mark; hardly any program keeps to it.
    """
    name = info.filename
    if info.flag_bits & _UTF8_NAME or name.isascii():
        return name
    try:
        return decode_bytes(name.encode("cp437"), name)
    except (DocumentError, UnicodeEncodeError):
        return name
