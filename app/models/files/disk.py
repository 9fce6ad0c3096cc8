"""Room on the disk: asked for before writing, and explained when it runs out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from groundling.errors import DiskFull

# No space, no quota left, or a file that may not grow (a limit, or a FAT disk's 4 GB).
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def ensure_room(folder: Path, need: int, what: str) -> None:
    """Check that a folder's disk takes `need` more bytes.

    Raises:
        DiskFull: it does not; the message says how much is missing and where.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DiskFull(
            f"{what} needs {show_bytes(need)} more; {show_bytes(free)} are free in {folder}.",
            hint="Free some room and run it again (what had come is kept), or use another disk: "
            "GROUNDLING_HOME=/path/on/another/disk groundling …",
        )


def disk_full(path: Path, error: OSError) -> DiskFull | None:
    """Translate an operating system's error, where it is one about room."""
    if error.errno not in _FULL:
        return None
    return DiskFull(
        f"The disk is full: {path.parent} took {show_bytes(path.stat().st_size)} of {path.name} "
        "and no more. That part is kept.",
        hint="Free some room and run it again, or use another disk: "
        "GROUNDLING_HOME=/path/on/another/disk groundling …",
    )


def show_bytes(count: int) -> str:
    """Write a number of bytes for a person: 98.4 MB."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
