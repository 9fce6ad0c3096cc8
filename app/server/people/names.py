"""Names of users, and of what is theirs on the disk.

A name stands in paths, namespaces and log lines, so it is short and plain. It has no `--`,
which parts the owner from the name of a knowledge base in a folder's name.
"""

from __future__ import annotations

import re

from groundling.errors import SettingsError

SEPARATOR = "--"
_USER = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
# One plain part of a path, on every system.
_FOLDER = re.compile(r"\w[\w .-]{0,95}")
_LONGEST = 64


def is_user(name: str) -> bool:
    """Tell whether a user may have a name."""
    return _USER.fullmatch(name) is not None and SEPARATOR not in name


def checked_user(name: str) -> str:
    """Return a name that a user may have.

    Raises:
        SettingsError: they may not.
    """
    if not is_user(name):
        raise SettingsError(
            f"{name!r} is no name for a user.",
            hint="Up to 32 of a-z, 0-9, _ and -, beginning with a letter or digit, without --.",
        )
    return name


def is_folder(name: str) -> bool:
    """Tell whether a name is one plain part of a path, and no way out of a folder."""
    return _FOLDER.fullmatch(name) is not None and not name.endswith((".", " "))


def is_knowledge(name: str) -> bool:
    """Tell whether a new knowledge base may have a name."""
    return is_folder(name) and len(name) <= _LONGEST and SEPARATOR not in name
