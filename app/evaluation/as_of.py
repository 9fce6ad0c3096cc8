"""Which version is meant: by its name, the beginning of one, a tag, or a time."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from groundling.errors import EvaluationError

LATEST = "latest"
MIN_PREFIX = 6  # digits of a version's name
When = datetime | int | str


def find_version(
    db: sqlite3.Connection, dataset: int, name: str, as_of: When | None
) -> tuple[int, int]:
    """Return the number of a version, and when it was made.

    Args:
        dataset: number of the data set, `name` its name.
        as_of: None is the newest one; a time, the one that stood then, naive ones in UTC.

    Raises:
        EvaluationError: there is none such, or several.
    """
    if as_of is None or as_of == LATEST:
        found = _find(db, dataset, "1")
    elif not isinstance(as_of, str):
        found = _find(db, dataset, "created <= ?", microseconds(as_of))
    elif tagged := _find(
        db,
        dataset,
        "id = (SELECT version FROM tags WHERE tags.dataset = versions.dataset AND tag = ?)",
        as_of,
    ):
        found = tagged
    elif is_prefix(as_of):
        found = _find(db, dataset, "substr(name, 1, ?) = ?", len(as_of), as_of.lower())
        if len({version[2] for version in found}) > 1:
            raise EvaluationError(
                f"Several versions of {name} begin with {as_of}.",
                hint=f"Give more of it: groundling dataset versions {name}",
            )
    else:
        time = _time(as_of)
        found = [] if time is None else _find(db, dataset, "created <= ?", microseconds(time))
    if not found:
        raise EvaluationError(
            f"Data set {name} has no version {as_of}.",
            hint=f"groundling dataset versions {name}",
        )
    return found[0][0], found[0][1]


def microseconds(when: datetime | int) -> int:
    """Return a time as microseconds since 1970."""
    if isinstance(when, int):
        return when
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def is_prefix(text: str) -> bool:
    """Tell whether a text may be the beginning of a version's name."""
    return MIN_PREFIX <= len(text) <= 64 and all(c in "0123456789abcdef" for c in text.lower())


def _find(db: sqlite3.Connection, dataset: int, where: str, *values: object) -> list[Any]:
    return db.execute(
        f"SELECT id, created, name FROM versions WHERE dataset = ? AND {where} "  # noqa: S608
        "ORDER BY id DESC",
        (dataset, *values),
    ).fetchall()


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
