"""PubMedQA (Jin et al. 2019, arXiv:1909.06146; MIT licence): is it so? yes, no, maybe.

The abstracts of all questions are one knowledge base; a question's passages are what is found
there, as `rag` finds them, and may come from other abstracts than its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from groundling.knowledge.base import Knowledge
from groundling.models.embedder import Embedder
from groundling.tuning.example import Example, Turn

OPTIONS = ("yes", "no", "maybe")
EVERY = 10  # one in so many is asked, and the others are learnt
PASSAGES = 3  # shown with a question


def questions(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return PubMedQA's questions to learn from and to ask, in the order of their numbers.

    Raises:
        click.ClickException: the file is not there.
    """
    file = folder / "pqal_train_500.json"
    if not file.is_file():
        raise click.ClickException(f"{file} is not there.")
    told = json.loads(file.read_text(encoding="utf-8"))
    rows = [{"number": number, **told[number]} for number in sorted(told, key=int)]
    asked = rows[::EVERY]
    return [row for place, row in enumerate(rows) if place % EVERY], asked


class Abstracts:
    """A knowledge base of abstracts, one document each.

    Args:
        folder: a new one.
        rows: whose abstracts.
        embedder: None: words alone find passages.
    """

    def __init__(
        self, folder: Path, rows: Sequence[Mapping[str, Any]], embedder: Embedder | None
    ) -> None:
        texts = folder / "abstracts"
        texts.mkdir(parents=True)
        for row in rows:
            (texts / f"{row['number']}.txt").write_text(
                "\n\n".join(row["CONTEXTS"]), encoding="utf-8"
            )
        self._knowledge = Knowledge.open(folder / "knowledge", embedder)
        self._knowledge.add([texts])

    def found(self, row: Mapping[str, Any]) -> tuple[str, bool]:
        """Return the passages of a question, and whether its own abstract is among them."""
        passages = self._knowledge.search(row["QUESTION"], PASSAGES)
        own = any(Path(each.source).stem == row["number"] for each in passages)
        return "\n\n".join(each.text for each in passages), own


def as_example(row: Mapping[str, Any], passages: str = "") -> Example:
    """Return a question with its decision, and with passages in front of it if there are any."""
    text = f"{row['QUESTION']}\nAnswer yes, no or maybe, in one word."
    if passages:
        text = f"{passages}\n\n{text}"
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
