"""The vocabulary of fact checking: claims, verdicts, and what can check them.

Verdicts as in FEVER (Thorne et al. 2018, arXiv:1803.05355), with two more: a claim that no
source could ever settle is not checkable, and a source that failed is an error, which is
neither for nor against the claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from typing_extensions import TypedDict

from groundling.knowledge.passage import Passage

Verdict = Literal["SUPPORTED", "REFUTED", "NOT_ENOUGH_EVIDENCE", "NOT_CHECKABLE", "ERROR"]


class Claim(TypedDict):
    """A statement that stands alone.

    `text` is self-contained ("The warranty lasts 24 months"); `start` and `end` are the
    character offsets, in the answer, of the words that it was taken from ("It lasts 24
    months").
    """

    text: str
    start: int
    end: int


class CheckedClaim(Claim):
    """A claim with what a source said of it.

    Args:
        verdict: what is known of it now.
        source: what said so: `arithmetic`, `units`, `knowledge`, `wolfram` or a name of
            one's own; an empty text where none was asked.
        query: what the source was asked, word for word.
        evidence: what it answered: a computed value, a quotation.
        tolerance: how far a number may be off, in its own unit; None where it does not apply.
        correction: what should stand in place of the claim's words; None if unknown.
        place: where the evidence stands, such as `handbook/leave.md, characters 10–60`.
    """

    verdict: Verdict
    source: str
    query: str
    evidence: str
    tolerance: str | None
    correction: str | None
    place: str | None


@dataclass(frozen=True)
class Background:
    """What a source may know of the answer besides the claim; never the draft itself.

    Args:
        question: what the answer was given to.
        passages: what the answer was written from, to be looked at first.
    """

    question: str | None = None
    passages: Sequence[Passage] = field(default_factory=tuple)


class FactSource(Protocol):
    """Something that can settle claims; register one of your own with `FactChecker`."""

    @property
    def name(self) -> str:
        """The name that verdicts carry as their source."""
        ...

    async def check(self, claim: Claim, background: Background) -> CheckedClaim | None:
        """Settle a claim; None if this source has nothing to do with such claims.

        A failure of the source is a verdict `ERROR` whose evidence says what failed; only
        mistakes of the program are raised.
        """
        ...


def settled(
    claim: Claim,
    verdict: Verdict,
    source: str,
    *,
    query: str = "",
    evidence: str = "",
    tolerance: str | None = None,
    correction: str | None = None,
    place: str | None = None,
) -> CheckedClaim:
    """Put a verdict on a claim."""
    return {
        "text": claim["text"],
        "start": claim["start"],
        "end": claim["end"],
        "verdict": verdict,
        "source": source,
        "query": query,
        "evidence": evidence,
        "tolerance": tolerance,
        "correction": correction,
        "place": place,
    }
