"""Examples in files: JSON lines, a JSON list, CSV. What cannot be read is named, not lost.

A line of JSON is `{"inputs": {…}, "outputs": {…}, "metadata": {…}, "split": …}`, or flat, as a
row of CSV is; of flat ones a mapping says which columns are inputs and which outputs.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundling.errors import DocumentError, EvaluationError
from groundling.evaluation.example import DEFAULT_SPLIT, NewExample
from groundling.knowledge.loaders.text import decode

INPUTS = ("question", "query", "input", "prompt", "질문")
OUTPUTS = ("answer", "output", "expected", "reference", "답", "정답", "답변")
_RENAMED = {"질문": "question", "답": "answer", "정답": "answer", "답변": "answer"}
_MAX_FIELD = 100_000_000  # characters of a cell


@dataclass(frozen=True)
class Mapped:
    """Which columns are what; names of fields by names of columns.

    Columns that are in none of the three are metadata where `metadata` is None.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    metadata: Mapping[str, str] | None = None

    @classmethod
    def parse(
        cls, inputs: Sequence[str], outputs: Sequence[str], metadata: Sequence[str] = ()
    ) -> Mapped | None:
        """Read `COLUMN` and `NAME=COLUMN`; None where there are none.

        Raises:
            EvaluationError: there are outputs, and no inputs.
        """
        if not inputs and (outputs or metadata):
            raise EvaluationError(
                "It is not said which columns are inputs.", hint="--input question --output answer"
            )
        if not inputs:
            return None
        parts = [dict(map(_pair, part)) for part in (inputs, outputs, metadata)]
        return cls(parts[0], parts[1], parts[2] if metadata else None)


Found = tuple[int, NewExample | str]  # its line, and the example or why there is none


def read_examples(file: Path, mapped: Mapped | None = None) -> Iterator[Found]:
    """Read a file; its ending says what it is (`.csv`, `.tsv`, else JSON).

    Args:
        file: UTF-8, CP949, UTF-16 or what else it turns out to be.
        mapped: of flat lines; default: columns of well-known names.

    Raises:
        EvaluationError: it cannot be read at all; it lacks a column.
    """
    try:
        text = decode(file)
    except (OSError, DocumentError) as error:
        raise EvaluationError(
            f"{file} cannot be read: {error}", hint="Give a file of JSON lines or CSV."
        ) from error
    if file.suffix.lower() in (".csv", ".tsv"):
        return _rows(file, text, mapped)
    return _objects(text, mapped)


def read_text(text: str, mapped: Mapped | None = None) -> Iterator[Found]:
    """Read JSON lines, or a JSON list."""
    return _objects(text, mapped)


def _objects(text: str, mapped: Mapped | None) -> Iterator[Found]:
    for line, value in _json(text):
        if isinstance(value, _NotJson):
            yield line, f"not JSON: {value}"
            continue
        try:
            yield line, _example(value, mapped)
        except EvaluationError as error:
            yield line, str(error)


class _NotJson(str):
    """Why a line is not JSON."""


def _json(text: str) -> Iterator[tuple[int, Any]]:
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            listed = None  # lines that are lists: each is named below
        if isinstance(listed, list):
            yield from enumerate(listed, start=1)
            return
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            yield line, json.loads(written)
        except json.JSONDecodeError as error:
            yield line, _NotJson(f"{error.msg} at character {error.colno}")
        except (ValueError, RecursionError) as error:
            yield line, _NotJson(error)


def _example(value: Any, mapped: Mapped | None) -> NewExample:
    if not isinstance(value, dict):
        raise EvaluationError("not an object")
    if mapped is None and "inputs" in value:
        split = value.get("split") or DEFAULT_SPLIT
        return NewExample(
            value["inputs"],
            value.get("outputs", value.get("reference_outputs")),
            value.get("metadata"),
            [split] if isinstance(split, str) else split,
        )
    return _flat(value, mapped or _guess(list(value)))


def _rows(file: Path, text: str, mapped: Mapped | None) -> Iterator[Found]:
    csv.field_size_limit(_MAX_FIELD)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(file, text), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise EvaluationError(
            f"{file} has no readable header: {error}.", hint="Its first line names the columns."
        ) from error
    if not any(header) or len(set(header)) < len(header):
        raise EvaluationError(
            f"{file} does not name its columns, each differently: {', '.join(header)}",
            hint="Its first line should.",
        )
    wanted = mapped or _guess(header)
    _check_columns(file, header, wanted)
    return _data(rows, header, wanted)


def _data(rows: Any, header: list[str], mapped: Mapped) -> Iterator[Found]:
    while True:
        begun = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield begun, f"not CSV: {error}"
            continue
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            yield begun, f"{len(row)} columns instead of {len(header)}"
            continue
        try:
            given = {key: cell for key, cell in zip(header, row, strict=True) if cell != ""}
            yield begun, _flat(given, mapped)
        except EvaluationError as error:
            yield begun, str(error)


def _flat(value: Mapping[str, Any], mapped: Mapped) -> NewExample:
    inputs = {name: value[column] for column, name in mapped.inputs.items() if column in value}
    if not inputs:
        raise EvaluationError(f"no {' or '.join(mapped.inputs)}")
    outputs = {name: value[column] for column, name in mapped.outputs.items() if column in value}
    if mapped.metadata is None:
        used = {*mapped.inputs, *mapped.outputs}
        metadata = {column: each for column, each in value.items() if column not in used}
    else:
        metadata = {name: value[c] for c, name in mapped.metadata.items() if c in value}
    return NewExample(inputs, outputs or None, metadata)


def _guess(columns: Sequence[str]) -> Mapped:
    """Take columns of well-known names.

    Raises:
        EvaluationError: there are none.
    """
    inputs = {each: _RENAMED.get(each, each) for each in columns if each.lower() in INPUTS}
    outputs = {each: _RENAMED.get(each, each) for each in columns if each.lower() in OUTPUTS}
    if not inputs:
        raise EvaluationError(
            f"it is not said which are inputs: {', '.join(columns) or 'there are no columns'}",
            hint="--input COLUMN --output COLUMN",
        )
    return Mapped(inputs, outputs)


def _check_columns(file: Path, header: Sequence[str], mapped: Mapped) -> None:
    wanted = [*mapped.inputs, *mapped.outputs, *(mapped.metadata or {})]
    if missing := [column for column in wanted if column not in header]:
        raise EvaluationError(
            f"{file} has no column {', '.join(missing)}.",
            hint=f"It has: {', '.join(header)}.",
        )


def _delimiter(file: Path, text: str) -> str:
    if file.suffix.lower() == ".tsv":
        return "\t"
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    return (column, name) if equals else (text, text)
