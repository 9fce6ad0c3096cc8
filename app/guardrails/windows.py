"""An answer that is guarded while it is written: nobody reads what is not cleared.

Pieces go in as the model writes them; out comes text that was checked. The last stretch is
always held back, as long as the longest thing a pattern could find, so that a key or a number
which comes in pieces is seen whole. A model's judgement costs a forward pass, so it is asked
after every `judged_every` characters, and at the end. Give a guard without a model where the
model that writes is the one that would judge: a local engine does one thing at a time.

    stream = GuardedStream(guard, question="…")
    for piece in pieces:
        show(await stream.feed(piece))
    show(await stream.finish())
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from groundling.guardrails.decision import Decision
from groundling.guardrails.detector import Finding, resolve
from groundling.guardrails.redact import replace

if TYPE_CHECKING:
    from groundling.guardrails.guard import Guard

HELD_BACK = 200  # characters: longer than a key, a login or a number with its words
JUDGED_EVERY = 600  # characters between two judgements by the model
_ENDS = (" ", "\n", "\t")
# Longer than what is held back: shown only when its end is there.
_PRIVATE_KEY = re.compile("-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")


class GuardedStream:
    """Clears an answer piece by piece.

    Args:
        guard: its output rail is what is asked.
        question: what is answered.
        held_back: characters that are not shown before more has come.
        judged_every: characters after which the model is asked again.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        question: str | None = None,
        held_back: int = HELD_BACK,
        judged_every: int = JUDGED_EVERY,
    ) -> None:
        self.guard = guard
        self.question = question
        self.held_back = held_back
        self.judged_every = judged_every
        # What ended the stream; after `finish`, the decision on the whole text.
        self.decision: Decision | None = None
        self._text = ""  # all that came
        self._judged = 0  # how much of it the model has judged
        self._shown = 0  # how much of it was given out
        has_model = guard.model is not None or guard.guard_model is not None
        self._needs_model = has_model and guard.policy.needs_model("output")

    def is_blocked(self) -> bool:
        """Tell whether the answer was stopped; nothing comes out any more."""
        return self.decision is not None and self.decision["action"] in ("block", "ask")

    async def feed(self, piece: str) -> str:
        """Take in a piece; returns what may be shown now, often nothing."""
        if self.is_blocked():
            return ""
        self._text += piece
        end = len(self._text) - self.held_back
        if self._needs_model:
            if len(self._text) - self._judged >= self.judged_every:
                await self._judge()
            end = min(end, self._judged)
        return self._clear(self._border(end))

    async def finish(self) -> str:
        """Check the whole; returns the rest of it, or nothing if it is blocked."""
        if not self.is_blocked():
            await self._judge()
        return self._clear(len(self._text))

    async def _judge(self) -> None:
        self.decision = await self.guard.check(self._text, "output", question=self.question)
        self._judged = len(self._text)

    def _clear(self, end: int) -> str:
        """Give out the text up to `end`, without what is to be hidden.

        Patterns look at what follows `end`, too: what begins before it and goes on is shown
        when it is whole.
        """
        if self.is_blocked() or end <= self._shown:
            return ""
        start = self._border(self._shown - self.held_back)
        decision = self.guard.check_plain(self._text[start:], "output")
        if decision["action"] in ("block", "ask"):
            self.decision = decision
            return ""
        found = list(self._hidden(decision, start))
        begun = _PRIVATE_KEY.search(self._text, self._shown)
        if begun and end < len(self._text) and "-----END" not in self._text[begun.start() :]:
            end = min(end, begun.start())
        for one in reversed(found):
            if one.start < end < one.end:
                end = max(one.start, self._shown)
        shown = self._shown
        self._shown = max(shown, end)
        text = self._text[shown:end]
        inside = [
            Finding(one.kind, max(one.start - shown, 0), one.end - shown, one.score)
            for one in found
            if one.end > shown and one.start < end
        ]
        return replace(text, inside)[0] if inside else text

    def _hidden(self, decision: Decision, start: int) -> Iterator[Finding]:
        """Yield what the policy redacts, in places of the whole text."""
        rules = self.guard.policy.rules("output")
        places = []
        for one in decision["reasons"]:
            if one["start"] is None or one["end"] is None or one["outcome"] == "error":
                continue
            if rules.of(one["detector"]).action == "redact":  # type: ignore[arg-type]
                at = (start + one["start"], start + one["end"])
                places.append(Finding(one["kind"], *at, one["score"]))
        yield from resolve(places)

    def _border(self, place: int) -> int:
        """Return the last end of a word before a place: nothing is cut in two there."""
        if place <= 0:
            return 0
        return max(self._text.rfind(sign, 0, place) for sign in _ENDS) + 1


async def guarded(
    pieces: AsyncIterator[str], guard: Guard, question: str | None = None
) -> AsyncIterator[str]:
    """Clear a stream of text; a blocked answer ends with the notice in its place."""
    stream = GuardedStream(guard, question=question)
    async for piece in pieces:
        if cleared := await stream.feed(piece):
            yield cleared
        if stream.is_blocked():
            break
    if cleared := await stream.finish():
        yield cleared
    if stream.is_blocked() and stream.decision is not None:
        yield stream.decision["notice"]
