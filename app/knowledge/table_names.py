"""Names of tables and columns: as SQL takes them, and as a model can type them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 40  # characters

# Words that SQLite takes for a name only between quotes: https://sqlite.org/lang_keywords.html
# fmt: off
_RESERVED = frozenset({
    "add", "all", "alter", "and", "as", "autoincrement", "between", "case", "cast", "check",
    "collate", "commit", "constraint", "create", "cross", "current_date", "current_time",
    "current_timestamp", "default", "deferrable", "delete", "distinct", "drop", "else", "escape",
    "except", "exists", "false", "foreign", "from", "full", "group", "having", "if", "in", "index",
    "inner", "insert", "intersect", "into", "is", "isnull", "join", "left", "limit", "natural",
    "not", "nothing", "notnull", "null", "on", "or", "order", "outer", "primary", "raise",
    "references", "returning", "right", "rowid", "select", "set", "table", "then", "to",
    "transaction", "true", "union", "unique", "update", "using", "values", "when", "where",
})
# fmt: on


def quoted(name: str) -> str:
    """Write a name as SQL does where it is not a plain word."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _RESERVED
    return name if plain else f'"{name}"'


def identifier(name: str) -> str:
    """Make one word of a file's or sheet's name."""
    plain = re.sub(r"\W+", "_", unicodedata.normalize("NFC", name)).strip("_")[:LONGEST]
    # SQLite keeps names that begin with sqlite_ for itself.
    return f"t_{plain}" if plain.lower().startswith("sqlite") else plain or "table"


def clean(name: str) -> str:
    """Return a column's name on one line, without quotes and what cannot be seen."""
    plain = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", name)
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return " ".join(plain.replace('"', "").split())[:LONGEST].strip()


def free(name: str, taken: Iterable[str]) -> str:
    """Number a name that is taken; upper and lower case are the same."""
    folded = {other.casefold() for other in taken}
    numbered, number = name, 2
    while numbered.casefold() in folded:
        numbered, number = f"{name}_{number}", number + 1
    return numbered
