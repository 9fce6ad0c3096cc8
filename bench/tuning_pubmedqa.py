"""PubMedQA (Jin et al. 2019, arXiv:1909.06146; MIT licence): is it so? yes, no, maybe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from groundling.tuning.example import Example, Turn

OPTIONS = ("yes", "no", "maybe")
EVERY = 10  # one in so many is asked, and the others are learnt
_LONGEST = 1_400  # characters of an abstract


def questions(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return PubMedQA's questions to learn from and to ask, in the order of their numbers.

    Raises:
        click.ClickException: the file is not there.
    """
    file = folder / "pqal_train_500.json"
    if not file.is_file():
        raise click.ClickException(f"{file} is not there.")
    told = json.loads(file.read_text(encoding="utf-8"))
    rows = [told[number] for number in sorted(told, key=int)]
    asked = rows[::EVERY]
    return [row for place, row in enumerate(rows) if place % EVERY], asked


def as_example(row: Mapping[str, Any], *, with_abstract: bool) -> Example:
    """Return a question with its decision, and with its abstract in front if it is to be shown."""
    text = f"{row['QUESTION']}\nAnswer yes, no or maybe, in one word."
    if with_abstract:
        text = f"{' '.join(row['CONTEXTS'])[:_LONGEST]}\n\n{text}"
    return Example((Turn("user", text),), row["final_decision"], source="pubmedqa",
                   group=row["QUESTION"])  # fmt: skip


def macro_f1(wanted: Sequence[str], said: Sequence[str]) -> float:
    """Return the mean of the F1 of each answer that is wanted at all."""
    found: list[float] = []
    for option in sorted(set(wanted)):
        both = sum(a == b == option for a, b in zip(wanted, said, strict=True))
        total = wanted.count(option) + said.count(option)
        found.append(2 * both / total)
    return sum(found) / len(found)
