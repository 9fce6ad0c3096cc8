"""Cases: a question, and the place in a document's text where its answer stands.

The place is counted in characters of the stored text, so that a case outlives every way of
cutting the text into passages. A passage that was asked about and gave no case is noted
too, with the reason: a later run does not ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from groundling.knowledge.base import Knowledge
from groundling.knowledge.tune.journal import Journal

FILE = "cases.jsonl"
# Of five cases of a language, these are held out: forty per cent.
_OF, _HELD_OUT = 5, (1, 3)


@dataclass(frozen=True)
class Case:
    """A question whose answer is `text[start:end]` of the document at `document`.

    `drawn` names the passage that it was made from.
    """

    drawn: str
    language: str
    document: str
    question: str
    answer: str
    start: int
    end: int


class Cases:
    """The cases of one knowledge base, in the order in which they were made.

    Args:
        folder: holds `cases.jsonl`.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder / FILE)
        rows = self._journal.rows()
        self.asked = {str(row.get("drawn")) for row in rows}
        self.kept = [Case(**row) for row in rows if row.keys() == Case.__annotations__.keys()]

    def keep(self, case: Case) -> None:
        """Add a case."""
        self._journal.append(asdict(case))
        self.asked.add(case.drawn)
        self.kept.append(case)

    def refuse(self, drawn: str, reason: str, question: str = "") -> None:
        """Note that a passage gave no case, and why."""
        self._journal.append({"drawn": drawn, "reason": reason, "question": question})
        self.asked.add(drawn)

    def current(self, knowledge: Knowledge) -> list[Case]:
        """Return the cases whose answer still stands where it stood."""
        ids = {document.path: document.id for document in knowledge.documents()}
        return [
            case
            for case in self.kept
            if case.document in ids
            and knowledge.text(ids[case.document], case.start, case.end) == case.answer
        ]


@dataclass(frozen=True)
class Parts:
    """The cases to choose by, and those held out to see whether the choice was luck."""

    chosen_by: list[Case]
    held_out: list[Case]

    @property
    def languages(self) -> list[str]:
        """The languages of the cases, in order."""
        return sorted({case.language for case in self.chosen_by})


def divide(cases: Sequence[Case]) -> Parts:
    """Divide the cases of each language alike.

    Which part a case is in depends on those before it alone: more cases move none.
    """
    parts = Parts([], [])
    seen: dict[str, int] = {}
    for case in cases:
        place = seen.get(case.language, 0)
        seen[case.language] = place + 1
        (parts.held_out if place % _OF in _HELD_OUT else parts.chosen_by).append(case)
    return parts
