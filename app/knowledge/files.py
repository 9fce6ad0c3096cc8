"""Which files a person means by the paths they name, and what each is called."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundling.errors import KnowledgeError
from groundling.knowledge.loaders.registry import Community, kinds, readable


@dataclass(frozen=True)
class Found:
    """A file to read: where it is, and its name among the sources."""

    path: Path
    source: str


def find(
    paths: Sequence[Path], community: Community | None = None
) -> tuple[list[Found], list[tuple[str, str]], int]:
    """Return the readable files, what was skipped and why, and how many were not readable kinds.

    Folders are searched to the bottom. Hidden files and folders are passed over; links that
    lead out of the folder are skipped; a link to a folder is not followed. A source is named
    from the folder that was given on: `add handbook/` makes "handbook/leave.md".

    Raises:
        KnowledgeError: a path does not exist, or there is nothing to read in all of them.
    """
    found: dict[Path, Found] = {}
    skipped: list[tuple[str, str]] = []
    ignored = 0
    for path in paths:
        path = absolute(path)
        if not path.exists():
            raise KnowledgeError(
                f"{path} does not exist.", hint="groundling knowledge add FILE_OR_FOLDER"
            )
        if path.is_file():
            if reason := _unfit(path, path.parent, linked=True):
                skipped.append((_printable(path), reason))
            else:
                found.setdefault(path, Found(path, path.name))
            continue
        for file in _walk(path, skipped):
            if not readable(file, community):
                ignored += 1
            elif reason := _unfit(file, path):
                skipped.append((_printable(file), reason))
            else:
                source = (Path(path.name) / file.relative_to(path)).as_posix()
                found.setdefault(file, Found(file, source))
    if not found and not skipped:
        raise KnowledgeError(
            f"There is no document in {', '.join(str(path) for path in paths) or 'nothing'}"
            + (f"; {ignored} files are of other kinds." if ignored else "."),
            hint=f"Readable are {', '.join(kinds())}.",
        )
    return list(found.values()), skipped, ignored


def absolute(path: Path) -> Path:
    """Return the one name of a path; not resolved, so that a link keeps its own."""
    return Path(os.path.normpath(path.expanduser().absolute()))


def _walk(folder: Path, skipped: list[tuple[str, str]]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        skipped.append((str(error.filename), error.strerror or str(error)))

    for where, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(where) / name


def _unfit(file: Path, folder: Path, *, linked: bool = False) -> str:
    """Say why a file is not to be opened; empty if it is.

    Args:
        file: a file that was named, or found in a folder.
        folder: where it was found; no link may lead out of it.
        linked: a link may lead anywhere, because a person named it.
    """
    if file.is_symlink() and not linked:
        # Not Path.resolve, which raises where links go round in a circle.
        target = Path(os.path.realpath(file))
        if not target.is_relative_to(os.path.realpath(folder)):
            return "the link leads out of the folder"
        if not target.exists():
            return "the link leads nowhere"
    if not file.is_file():
        return "it is no file but a pipe, a socket or a device"
    if _printable(file) != str(file):
        return "its name is not valid Unicode; give it another name"
    return ""


def _printable(file: Path) -> str:
    """Return a path as text, with a mark for the bytes that are none."""
    return os.fsencode(file).decode(errors="replace")
