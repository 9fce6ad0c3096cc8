"""Files of examples: JSON lines, a JSON list, CSV or TSV, in whatever encoding they come.

A line that cannot be read costs that line: it is told by its number, and reading goes on with
the next. So it is in CSV, too, where a quotation mark that is never closed would else take
the rest of the file with it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from groundling.errors import DocumentError, TuningError
from groundling.knowledge.loaders.text import decode
from groundling.tuning.example import Example
from groundling.tuning.formats import ASKS, TALKS, parse

Found = tuple[int, Example | str]  # its line, and the example or why there is none
_KNOWN = {*TALKS, *ASKS, "chosen"}
_MAX_CELL = 10_000_000  # characters


def read_file(file: Path) -> Iterator[Found]:
    """Read the examples of a file; what cannot be read is told by line.

    Raises:
        TuningError: it cannot be read at all, or names no columns that are known.
    """
    try:
        text = decode(file)
    except DocumentError as error:
        raise TuningError(str(error), hint=error.hint) from error
    except OSError as error:
        raise TuningError(
            f"{file} cannot be read: {error.strerror or error}.",
            hint="Give a file of JSON lines or CSV.",
        ) from error
    lines = _rows(file, text) if file.suffix.lower() in (".csv", ".tsv") else _objects(text)
    for line, value in lines:
        if isinstance(value, str):
            yield line, value
            continue
        try:
            yield line, parse(value, source=f"file:{file.name}")
        except TuningError as error:
            yield line, str(error)


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    if text.lstrip().startswith("["):
        try:
            for place, value in enumerate(json.loads(text), start=1):
                yield place, "not an object" if isinstance(value, str) else value
            return
        except (ValueError, RecursionError):
            pass  # lines that are lists: each is told below
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            value = json.loads(written)
        except (ValueError, RecursionError) as error:
            yield line, f"not JSON: {error}"
        else:
            yield line, "not an object" if isinstance(value, str) else value


def _rows(file: Path, text: str) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_MAX_CELL)
    lines = list(io.StringIO(text, newline=""))
    header = lines[0] if lines else ""
    delimiter = "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    names, at = _header(file, lines, delimiter)
    while at < len(lines):
        reader = csv.reader(islice(lines, at, None), delimiter=delimiter, strict=True)
        start = at
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield start + 1, f"not CSV: {error}"
                at = start + 1
                break
            if row is None:
                return
            line, start = start + 1, at + reader.line_num
            if len(row) > len(names) and not any(row[len(names) :]):
                row = row[: len(names)]
            if not row:
                continue
            if len(row) != len(names):
                yield line, f"it does not have the {len(names)} columns of the header"
                continue
            yield line, {name: cell for name, cell in zip(names, row, strict=True) if name and cell}


def _header(file: Path, lines: list[str], delimiter: str) -> tuple[list[str], int]:
    """Return the names of the columns, and how many lines they take."""
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise TuningError(
            f"The first line of {file} is no header of CSV: {error}.",
            hint="Quotation marks stand round a whole cell, and are doubled within.",
        ) from error
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise TuningError(
            f"{file} has the column {twice[0]} twice.",
            hint="Give each column a name of its own in the first line.",
        )
    if not _KNOWN.intersection(names):
        raise TuningError(
            f"{file} has no columns that are known: {', '.join(names) or 'none'}.",
            hint="prompt and completion; prompt, chosen and rejected; question and answer; "
            "or instruction, input and output",
        )
    return names, reader.line_num
