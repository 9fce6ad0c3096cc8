"""One server for one home folder.

A server that starts goes on with runs that a killed one left behind; a second one beside it
would take the first one's for such. The operating system lets go of the lock when a process
ends, however it ends, so that nothing has to be removed by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from groundling.errors import SettingsError

LOCK = "server.lock"
NOTE = "server.json"  # beside the lock, because taking a lock empties its file


@contextmanager
def lease(home: Path, address: str) -> Iterator[None]:
    """Have a home folder for oneself while the block lasts.

    Args:
        home: the folder; it is made where there is none.
        address: where this server listens, which a second one will be told.

    Raises:
        SettingsError: another server has it, or it cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / LOCK)
        lock.acquire(blocking=False)
    except Timeout:
        raise SettingsError(
            f"Another server {_other(home)}has this home folder already.",
            hint="Use that one, end it first, or give this one a home of its own with --home.",
        ) from None
    except OSError as error:
        raise SettingsError(
            f"The home folder cannot be written: {error.strerror or error}.",
            hint="Choose another with --home.",
        ) from error
    note = home / NOTE
    try:
        with suppress(OSError):  # only for the words of a message
            note.write_bytes(orjson.dumps({"pid": os.getpid(), "address": address}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _other(home: Path) -> str:
    try:
        told = orjson.loads((home / NOTE).read_bytes())
        return f"({told['address']}, process {told['pid']}) "
    except (OSError, ValueError, KeyError, TypeError):
        return ""
