"""Worked examples from a file, for few-shot prompts."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import click


def read_examples(file: Path, *, questions: bool = False) -> list[dict[str, Any]]:
    """Read examples with `text` and `output`, and with `question` where the task asks for one.

    Args:
        file: `.jsonl` (an object a line), `.csv` (with a header) or `.toml` (`[[example]]`).
        questions: whether each example needs a question.

    Raises:
        click.UsageError: the file cannot be read, or an example lacks something.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = list(_parse(file, text))
    except (OSError, ValueError, csv.Error) as error:
        raise click.UsageError(f"{file} cannot be read as examples: {error}") from error
    needed = ("text", "output", *(("question",) if questions else ()))
    for number, example in enumerate(found, start=1):
        if not isinstance(example, dict) or (lacking := [n for n in needed if not example.get(n)]):
            lacks = ", ".join(lacking) if isinstance(example, dict) else "everything"
            raise click.UsageError(f"{file}, example {number}: {lacks} is missing.")
    if not found:
        raise click.UsageError(f"{file} has no examples.")
    return found


def _parse(file: Path, text: str) -> list[Any]:
    kind = file.suffix.lower()
    if kind == ".toml":
        return list(tomllib.loads(text).get("example", []))
    if kind == ".csv":
        return list(csv.DictReader(text.splitlines()))
    if kind in (".jsonl", ".ndjson"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    raise ValueError("the name must end in .jsonl, .csv or .toml")
