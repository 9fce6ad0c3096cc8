"""Boxes of mail: one file in which messages follow each other (.mbox, RFC 4155).

Each message begins with a line such as "From a@b.kr Sat Mar  2 09:05:00 2024". Lines of a text
that begin with "From " should have got a ">", but not every program gave them one: so where
the first such line ends with a time of day, all must have one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from groundling.errors import DocumentError

MOST_MESSAGE_BYTES = 64 * 1024 * 1024

_WITH_TIME = re.compile(rb"From .*\d:\d\d")
_QUOTED = re.compile(rb">+From ")
_LONGEST_LINE = 1024 * 1024


def raw_messages(path: Path) -> Iterator[bytes | None]:
    """Yield the messages one by one; None for one that is larger than a message may be.

    Raises:
        DocumentError: the file does not begin as a mailbox does.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        first = file.readline(_LONGEST_LINE)
        if not first.startswith(b"From "):
            raise DocumentError(
                f"{path.name} is not a mailbox: its first line does not begin with “From ”.",
                hint="Export the mails again, as mbox or as .eml files.",
            )
        timed = _WITH_TIME.match(first) is not None
        message, size, before = bytearray(), 0, b""
        for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
            if _begins(line, before, timed):
                yield _message(message, size)
                message, size = bytearray(), 0
            else:
                size += len(line)
                if size <= MOST_MESSAGE_BYTES:
                    message += line[1:] if _QUOTED.match(line) else line
            before = line
        yield _message(message, size)


def _begins(line: bytes, before: bytes, timed: bool) -> bool:
    if not line.startswith(b"From "):
        return False
    if timed:
        return before.endswith(b"\n") and _WITH_TIME.match(line) is not None
    return before in (b"\n", b"\r\n")


def _message(data: bytearray, size: int) -> bytes | None:
    return None if size > MOST_MESSAGE_BYTES else bytes(data)
