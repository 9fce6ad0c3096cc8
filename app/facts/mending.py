"""What is done with refuted claims: corrected where that can be proved, else marked.

A correction that the source gives (a computed number) takes the place of the claim's words;
failing that, the model rewrites the one sentence from the evidence. Either must pass the
sources again before it may stand. What cannot be corrected is marked right behind its
words: "[refuted: …]", "[사실과 다름: …]". So nothing refuted is ever left as it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.language_models import BaseChatModel

from groundling.facts.claim import CheckedClaim, Claim
from groundling.facts.spans import MARKER, Edit, Remap, apply, one_line
from groundling.facts.statements import LONGEST, plain
from groundling.knowledge.citations import numbers, sentences
from groundling.models.prompts import Language, language_of, prompt

Mending = Literal["mark", "correct"]
Recheck = Callable[[Claim], Awaitable[CheckedClaim]]

MARKS: dict[Language, str] = {"en": "refuted", "ko": "사실과 다름"}
_STOPS = ".!?。？！…"


@dataclass(frozen=True)
class Mended:
    """A mended text and its claims.

    The claims keep their verdicts, and the words that were refuted as `text`; `start` and
    `end` are offsets into the mended text, and a claim that was corrected has, as
    `correction`, what stands there now; `corrected` and `marked` count them.
    """

    text: str
    claims: list[CheckedClaim]
    corrected: int
    marked: int


class Mender:
    """Mends one answer.

    Args:
        model: rewrites sentences; without one they are marked.
        recheck: asks the sources about what would stand there instead.
        mending: `correct`, or `mark` alone.
    """

    def __init__(self, model: BaseChatModel | None, recheck: Recheck, mending: Mending) -> None:
        self._model = model
        self._recheck = recheck
        self._mending = mending

    async def mend(self, text: str, checked: Sequence[CheckedClaim]) -> Mended:
        """Correct or mark each refuted claim.

        Args:
            text: what was checked.
            checked: all verdicts, with offsets into the text.
        """
        refuted = [n for n, one in enumerate(checked) if one["verdict"] == "REFUTED"]
        edits: list[Edit] = []
        stands: dict[int, str] = {}
        for span, group in _by_sentence(text, checked, refuted):
            for made, numbers_ in await self._corrections(text, span, checked, group):
                edits.append(made)
                stands |= dict.fromkeys(numbers_, made.text)
            places: dict[int, list[str]] = {}
            for n in group:
                if n not in stands:
                    place = _before_stop(text, checked[n]["start"], checked[n]["end"])
                    places.setdefault(place, []).append(mark(checked[n], language_of(text)))
            for place, marks in places.items():
                edits.append(Edit(place, place, "".join(dict.fromkeys(marks))))
        remap = Remap(edits)
        claims = []
        for n, one in enumerate(checked):
            moved: CheckedClaim = {
                **one,
                "start": remap.start(one["start"]),
                "end": remap.end(one["end"]),
            }
            if n in stands:
                moved["correction"] = stands[n]
            claims.append(moved)
        return Mended(apply(text, edits), claims, len(stands), len(refuted) - len(stands))

    async def _corrections(
        self,
        text: str,
        sentence: tuple[int, int],
        checked: Sequence[CheckedClaim],
        group: Sequence[int],
    ) -> list[tuple[Edit, list[int]]]:
        """Find what may stand in place of a sentence's refuted words, and for which claims."""
        if self._mending != "correct":
            return []
        made: list[tuple[Edit, list[int]]] = []
        reach = -1
        for n in group:
            start, end, better = checked[n]["start"], checked[n]["end"], checked[n]["correction"]
            if better and start >= reach:
                better = _ended(better.strip(), text[start:end])
                if await self._holds(better, start, end):
                    made.append((Edit(start, end, better), [n]))
                    reach = end
        if made:
            return made
        start, end = sentence
        rewritten = await self._rewrite(text[start:end], [checked[n] for n in group])
        if rewritten and await self._holds(rewritten, start, end):
            return [(Edit(start, end, rewritten), list(group))]
        return []

    async def _holds(self, words: str, start: int, end: int) -> bool:
        verdict = await self._recheck(Claim(text=plain(words), start=start, end=end))
        return verdict["verdict"] == "SUPPORTED"

    async def _rewrite(self, words: str, claims: Sequence[CheckedClaim]) -> str | None:
        """Let the model rewrite a sentence from the evidence, within what both say."""
        evidence = [one["evidence"] for one in claims if one["evidence"]]
        if self._model is None or not evidence or len(words) > LONGEST:
            return None
        used = prompt("fact_rewrite", language_of(words))
        shown = "\n".join(one_line(one, LONGEST) for one in dict.fromkeys(evidence))
        try:
            reply = await self._model.ainvoke(
                used.messages(evidence=shown, sentence=plain(words)), used.quiet, max_tokens=160
            )
        except Exception:  # any model's own errors: the words are marked instead
            return None
        lines = reply.text.strip().strip('"“”').splitlines()
        better = lines[0].strip() if len(lines) == 1 else ""
        known = numbers(plain(words)) | numbers(shown)
        if not better or better == plain(words) or len(better) > 2 * len(words) + 100:
            return None
        return _ended(better, words) if numbers(better) <= known else None


def mark(claim: CheckedClaim, language: Language) -> str:
    """Write the mark of a refuted claim, with what refutes it."""
    reason = one_line(claim["evidence"])
    return f" [{MARKS[language]}: {reason}]" if reason else f" [{MARKS[language]}]"


def _by_sentence(
    text: str, checked: Sequence[CheckedClaim], refuted: Sequence[int]
) -> list[tuple[tuple[int, int], list[int]]]:
    """Group refuted claims by the sentences that their words stand in, with its offsets."""
    bounds = [(one.start, one.end) for one in sentences(text)] if refuted else []
    groups: list[tuple[tuple[int, int], list[int]]] = []
    for n in sorted(refuted, key=lambda one: (checked[one]["start"], checked[one]["end"])):
        start, end = checked[n]["start"], checked[n]["end"]
        for first, last in bounds:
            if first < checked[n]["end"] and checked[n]["start"] < last:
                start, end = min(start, first), max(end, last)
        if groups and start < groups[-1][0][1]:
            (first, last), numbers_ = groups[-1]
            groups[-1] = ((min(first, start), max(last, end)), [*numbers_, n])
        else:
            groups.append(((start, end), [n]))
    return groups


def _before_stop(text: str, start: int, end: int) -> int:
    """Return the place behind the words, before their final stop."""
    place = end
    while place > start + 1 and text[place - 1] in _STOPS:
        place -= 1
    return place


def _ended(better: str, words: str) -> str:
    """Give new words the final stop and the citation markers of the old ones."""
    body = better.rstrip(_STOPS)
    markers = "".join(marker[0].strip() for marker in MARKER.finditer(words))
    stripped = words.rstrip()
    stop = stripped[len(stripped.rstrip(_STOPS)) :]
    return body + (f" {markers}" if markers else "") + stop
