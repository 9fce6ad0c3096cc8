"""The seam between what finds and what acts on it: a detector, and its findings.

Tracing redacts what detectors find; guards decide what a finding means. A detector knows
nothing of either. It takes a text and names stretches of it, each with a kind and a score.

Kinds are short lower-case names, such as `email`, `phone`, `kr_rrn`, `card`, `api_key`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

THRESHOLD = 0.5
# What stands for a finding in a redacted text. It tells nothing of what follows: a number
# behind "[PHONE]" is not a phone number for that. (The first bracket may be cut off.)
PLACEHOLDER = re.compile(r"(?:\[|^)[A-Z_]+\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch of a text that a detector named.

    `start` and `end` are character offsets into the text that the detector was given,
    whatever copy it searched. `score` runs from 0 to 1: from `THRESHOLD` on, the stretch is
    more likely than not what `kind` says.
    """

    kind: str
    start: int
    end: int
    score: float


def placeholder(kind: str) -> str:
    """Return what stands for a finding of this kind in a redacted text."""
    return f"[{kind.upper()}]"


class Detector(Protocol):
    """Finds stretches of one or several kinds in a text."""

    def find(self, text: str) -> Iterable[Finding]:
        """Return the findings, in any order; they may overlap. The text is not changed."""
        ...


@runtime_checkable
class FieldDetector(Detector, Protocol):
    """A detector that also learns from the name of the field that a text stands in.

    `{"password": "hunter2"}` has a name in one string and the secret in another.
    """

    def find_in_field(self, name: str, text: str) -> Iterable[Finding]:
        """Return what the name reveals of the text, beyond what `find` returns."""
        ...


def resolve(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that overlap, so that each character belongs to at most one.

    A merged finding covers all of its parts: nothing that a detector named is left over. It
    has the kind of the longest part, or of the best scored among equally long ones.

    Returns:
        Findings in the order of the text, without overlaps.
    """
    merged: list[Finding] = []
    longest: Finding | None = None
    for finding in sorted(findings, key=lambda found: (found.start, -found.end, -found.score)):
        if longest is None or finding.start >= merged[-1].end:
            merged.append(finding)
            longest = finding
            continue
        if _weight(finding) > _weight(longest):
            longest = finding
        merged[-1] = Finding(
            longest.kind,
            merged[-1].start,
            max(merged[-1].end, finding.end),
            longest.score,
        )
    return merged


def _weight(finding: Finding) -> tuple[int, float]:
    return finding.end - finding.start, finding.score
