"""What a guard says of a text, and what is to be done about it."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

Rail = Literal["input", "retrieved", "tool", "output"]
Outcome = Literal["pass", "flag", "error"]
Action = Literal["allow", "redact", "notice", "ask", "block"]

# From the mildest to the strictest: of several actions the last one in this order wins.
ACTIONS: tuple[Action, ...] = ("allow", "redact", "notice", "ask", "block")


class Reason(TypedDict):
    """Why a text was flagged.

    Args:
        detector: which detector: `personal`, `secrets`, `injection`, `harm`, `topic`,
            `grounding`.
        kind: what it found: `email`, `S9`, `override`, …
        score: between 0 and 1.
        start: where in the text, in characters; None for the whole of it.
        end: as `start`.
        outcome: `error` if the detector failed; what it failed of stands in `detail`.
        detail: a few words for people.
    """

    detector: str
    kind: str
    score: float
    start: int | None
    end: int | None
    outcome: Outcome
    detail: str


class Decision(TypedDict):
    """The verdict on one text.

    Args:
        rail: where the text stood.
        outcome: `error` where a detector failed, and none that ran flagged anything.
        action: what the policy has done with it.
        text: the text to go on with: redacted where the action is `redact` (or a stricter
            one beside it), else unchanged. After `block` nobody may be shown it.
        notice: what the person is told, in the language of the text; empty if nothing.
        reasons: why, most serious first.
    """

    rail: Rail
    outcome: Outcome
    action: Action
    text: str
    notice: str
    reasons: list[Reason]
