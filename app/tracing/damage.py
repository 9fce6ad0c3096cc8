"""Whether a `traces.sqlite` is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from groundling.database import connect


def damage_of(file: Path) -> str | None:
    """Return what is wrong with a database; None where nothing is."""
    try:
        db = connect(file)
    except sqlite3.DatabaseError as error:
        return str(error)
    try:
        [[first], *_] = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        db.close()
    return None if first == "ok" else str(first)
