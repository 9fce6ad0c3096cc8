"""JSON and JSON Lines as text that a person, or a small model, can read.

    {"name": "Kim", "address": {"city": "Seoul"}}    name: Kim
                                                     address.city: Seoul

A list of flat records with the same keys becomes a table. In an object, each member that is
an object or a list of records becomes a section under a heading, after the plain members.
Numbers are kept as they are written: 1e999 or 5,000 digits are text like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, one_line, storable
from groundling.knowledge.loaders.text import decode

# A longer row is a text with names, not a row of a table.
_LONGEST_ROW = 400
# A path is repeated on each line below it; of a longer one its end is shown.
_LONGEST_PATH = 200
# How many times longer than its file a text may be; an ordinary file stays below 3.
_MOST_GROWTH = 8


class _GrowsTooMuch(Exception):
    """The paths to the values would be many times as long as the values."""


def load_json(path: Path) -> LoadedDocument:
    """Read a .json file; one that holds JSON Lines is read as those.

    What nests deeper than Python reads (about a thousand levels), or would be many times as
    long with the path to each value, is kept as it is written.

    Raises:
        DocumentError: it is not JSON.
    """
    text = decode(path)
    builder = TextBuilder()
    try:
        _Writer(builder, len(text)).document(_parse(text))
    except (RecursionError, _GrowsTooMuch):
        return LoadedDocument(storable(text), path.stem, "json")
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and "\n" not in text[: error.pos].strip():
            return load_json_lines(path)
        raise DocumentError(
            f"{path.name} is not JSON: {error.msg} in line {error.lineno:,}, "
            f"column {error.colno:,}.",
            hint="Mend it there, or give it the suffix .txt to have it read as it is.",
        ) from error
    return builder.document(path.stem, "json")


def load_json_lines(path: Path) -> LoadedDocument:
    """Read a file of one JSON value a line; a line that is none is kept as it is written.

    Raises:
        DocumentError: no line at all is JSON.
    """
    text = decode(path)
    values: list[Any] = []
    failures: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values.append(_parse(line))
        except (json.JSONDecodeError, RecursionError) as error:
            failures.append(f"line {number:,}: {getattr(error, 'msg', 'nested too deep')}")
            values.append(line.strip())
    if failures and len(failures) == len(values):
        raise DocumentError(
            f"{path.name} is not JSON Lines: no line is JSON ({failures[0]}).",
            hint="Give it the suffix .txt to have it read as it is.",
        )
    builder = TextBuilder()
    try:
        _Writer(builder, len(text)).records("", values)
    except _GrowsTooMuch:
        return LoadedDocument(storable(text), path.stem, "json")
    return builder.document(path.stem, "json")


class _Writer:
    """Writes the JSON values of a file of so many characters into a document."""

    def __init__(self, builder: TextBuilder, characters: int) -> None:
        self._builder = builder
        self._left = 1000 + _MOST_GROWTH * characters

    def document(self, value: Any) -> None:
        """Write the whole of a file."""
        if not isinstance(value, dict):
            self.records("", value if isinstance(value, list) else [value])
            return
        if plain := _members(value, plain=True):
            self._value("", plain)
        for key, member in _members(value, plain=False).items():
            self._builder.heading(2, key)
            if isinstance(member, list):
                self.records(_below("", key), member)
            else:
                self._value(_below("", key), member)

    def records(self, path: str, values: Sequence[Any]) -> None:
        """Write the values of a list: as a table where they are one, else each for itself."""
        if rows := _table(values):
            self._builder.table(rows)
            return
        for number, value in enumerate(values):
            self._value(f"{path}[{number}]" if path else "", value)

    def _value(self, path: str, value: Any) -> None:
        lines = []
        for line in _lines(path, value):
            self._left -= len(line)
            if self._left < 0:
                raise _GrowsTooMuch
            lines.append(line)
        self._builder.paragraph("\n".join(lines))


def _parse(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _members(value: dict[str, Any], *, plain: bool) -> dict[str, Any]:
    return {key: member for key, member in value.items() if _is_plain(member) == plain}


def _is_plain(value: Any) -> bool:
    """Tell whether a value fits into a line: a scalar, a list of scalars, or something empty."""
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    return not (isinstance(value, dict) and value)


def _table(values: Sequence[Any]) -> list[list[str]]:
    """Return the rows of records that have the same keys and short plain values, or nothing."""
    first = values[0] if len(values) > 1 else None
    if not isinstance(first, dict) or not first:
        return []
    rows = [list(first)]
    for value in values:
        if not isinstance(value, dict) or value.keys() != first.keys():
            return []
        if not all(_is_plain(member) for member in value.values()):
            return []
        rows.append([_scalar(value[key]) for key in first])
        if sum(map(len, rows[-1])) > _LONGEST_ROW:
            return []
    return rows


def _lines(path: str, value: Any) -> Iterator[str]:
    """Yield "path: value" for each plain value below a path."""
    # A stack instead of recursion: a file may nest as deep as Python's call stack goes.
    levels = [iter([(path, value)])]
    while levels:
        for place, member in levels[-1]:
            if not _is_plain(member):
                levels.append(_children(place, member))
                break
            yield f"{place}: {_scalar(member)}" if place else _scalar(member)
        else:
            levels.pop()


def _children(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((_below(path, key), member) for key, member in value.items())
    else:
        yield from ((f"{path}[{number}]", item) for number, item in enumerate(value))


def _below(path: str, key: str) -> str:
    path = f"{path}.{one_line(key)}" if path else one_line(key)
    return path if len(path) <= _LONGEST_PATH else f"…{path[-_LONGEST_PATH:]}"


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_scalar, value)) if value else "[]"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
