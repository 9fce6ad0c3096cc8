"""Files that hold several documents: archives of files, boxes of mail."""

from __future__ import annotations

from dataclasses import dataclass

from groundling.knowledge.loaders.document import LoadedDocument


@dataclass(frozen=True)
class Member:
    """One document inside of a file, or why it could not be read.

    Args:
        name: its path within the file, "/"-separated, unique there and without "..".
        document: what was read; None where it could not be.
        reason: why not, as one sentence.
    """

    name: str
    document: LoadedDocument | None
    reason: str = ""
