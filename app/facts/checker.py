"""The fact checker: claims of an answer, sources in order, one verdict for each claim.

    checker = FactChecker([ArithmeticSource(), KnowledgeSource(knowledge, model)], model)
    checked = await checker.check("The warranty lasts 24 months.", question="How long?")
    answer = await checker.mend("The warranty lasts 24 months.", checked)

A claim goes from source to source until one settles it (SUPPORTED or REFUTED). A source is
given the claim, the question and the passages, never the draft that the claim comes from:
a checker that reads the draft repeats its mistakes (chain of verification, Dhuliawala et
al. 2023, arXiv:2309.11495).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from groundling.errors import FactError
from groundling.facts.claim import Background, CheckedClaim, Claim, FactSource, Verdict, settled
from groundling.facts.claims import find_claims
from groundling.facts.mending import Mended, Mender, Mending
from groundling.knowledge.passage import Passage
from groundling.models.prompts import language_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.knowledge.base import Knowledge
    from groundling.settings import Settings

AT_ONCE = 4  # claims that one source is asked about together
MOST = 12  # claims of an answer that are checked
SETTLING: tuple[Verdict, ...] = ("SUPPORTED", "REFUTED")
# Of several sources that settle nothing, the verdict that says most: a failure is not
# hidden behind another source's silence.
_RANK: tuple[Verdict, ...] = ("ERROR", "NOT_ENOUGH_EVIDENCE", "NOT_CHECKABLE")
_LEFT = {
    "en": "not checked: an answer's first {most} claims are (facts.most)",
    "ko": "확인하지 않음: 답변의 처음 {most}개 주장만 확인합니다(facts.most)",
}

Verdicts = Sequence[CheckedClaim | None]


@runtime_checkable
class ManySource(Protocol):
    """A source that is cheaper when it is asked about several claims at once."""

    @property
    def name(self) -> str: ...

    async def check_many(self, claims: Sequence[Claim], background: Background) -> Verdicts:
        """Do what `FactSource.check` does, for each of the claims in turn."""
        ...


class FactChecker:
    """Checks answers, and mends what is refuted.

    Args:
        sources: asked in this order; any object with `name` and `check` is one.
        model: splits answers into claims and rewrites sentences; without one, sentences are
            claims as they are and what no source can correct is marked.
        mending: what `mend` does with refuted claims.
        most: claims of one answer that are checked; the rest is reported as not checked.
        missing: sources that cannot be asked, and why; for people.
    """

    def __init__(
        self,
        sources: Sequence[FactSource],
        model: BaseChatModel | None = None,
        *,
        mending: Mending = "mark",
        most: int = MOST,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self.sources = list(sources)
        self.model = model
        self.mending: Mending = mending
        self.most = most
        self.missing = dict(missing or {})

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        model: BaseChatModel | None,
        knowledge: Knowledge | None = None,
    ) -> FactChecker:
        """Make the checker that the settings describe.

        Raises:
            FactError: `facts.sources` names a source that there is not.
        """
        sources: list[FactSource] = []
        missing: dict[str, str] = {}
        for name in dict.fromkeys(settings.facts.sources):
            if name not in SOURCES:
                raise FactError(
                    f"facts.sources names {name}, which is no source of facts.",
                    hint=f"The sources are {', '.join(SOURCES)}: "
                    "groundling config set facts.sources …",
                )
            made = SOURCES[name](settings, model, knowledge)
            if isinstance(made, str):
                missing[name] = made
            else:
                sources.append(made)
        mending: Mending = "correct" if settings.facts.refuted == "correct" else "mark"
        return cls(sources, model, mending=mending, most=settings.facts.most, missing=missing)

    async def check(
        self, text: str, *, question: str | None = None, passages: Sequence[Passage] = ()
    ) -> list[CheckedClaim]:
        """Put a verdict on each claim of a text, in the order of the text.

        Args:
            text: an answer.
            question: what it was given to.
            passages: what it was written from; looked at before anything is searched.

        Returns:
            Claims with their verdicts; `text[start:end]` are the words of each. What is no
            claim (code, greetings, questions) is not among them.
        """
        found = await find_claims(text, self.model, question=question, most=self.most)
        now, later = found.claims[: self.most], found.claims[self.most :]
        checked = await self.judge(now, Background(question, tuple(passages)))
        reason = _LEFT[language_of(text)].format(most=self.most)
        left = [settled(claim, "NOT_ENOUGH_EVIDENCE", "", evidence=reason) for claim in later]
        return sorted([*checked, *left, *found.others], key=lambda one: (one["start"], one["end"]))

    async def judge(self, claims: Sequence[Claim], background: Background) -> list[CheckedClaim]:
        """Ask the sources about claims, each until one settles it."""
        verdicts = [settled(claim, "NOT_ENOUGH_EVIDENCE", "") for claim in claims]
        for source in self.sources:
            open_ = [n for n, one in enumerate(verdicts) if one["verdict"] not in SETTLING]
            if not open_:
                break
            said = await self._ask(source, [claims[n] for n in open_], background)
            for n, verdict in zip(open_, said, strict=True):
                if verdict is not None and _says_more(verdict, verdicts[n]):
                    verdicts[n] = verdict
        return verdicts

    async def mend(
        self,
        text: str,
        checked: Sequence[CheckedClaim],
        *,
        question: str | None = None,
        passages: Sequence[Passage] = (),
    ) -> str:
        """Correct or mark what was refuted, as `mending` says; see `revise`."""
        return (await self.revise(text, checked, question=question, passages=passages)).text

    async def revise(
        self,
        text: str,
        checked: Sequence[CheckedClaim],
        *,
        question: str | None = None,
        passages: Sequence[Passage] = (),
        mending: Mending | None = None,
    ) -> Mended:
        """Correct or mark what was refuted; nothing refuted is left standing as it was.

        Args:
            text: the text that was checked.
            checked: the verdicts, with offsets into it.
            question: what it was given to.
            passages: what it was written from.
            mending: instead of the checker's own.

        Returns:
            The mended text, and the claims with their offsets in it.
        """
        background = Background(question, tuple(passages))

        async def recheck(claim: Claim) -> CheckedClaim:
            return (await self.judge([claim], background))[0]

        mender = Mender(self.model, recheck, mending or self.mending)
        return await mender.mend(text, checked)

    async def _ask(
        self, source: FactSource, claims: Sequence[Claim], background: Background
    ) -> Verdicts:
        """Ask one source; what it raises is a verdict, and the others go on."""
        if isinstance(source, ManySource):
            try:
                return await source.check_many(claims, background)
            except Exception as error:
                return [_failed(claim, source, error) for claim in claims]
        room = asyncio.Semaphore(AT_ONCE)

        async def one(claim: Claim) -> CheckedClaim | None:
            async with room:
                try:
                    return await source.check(claim, background)
                except Exception as error:
                    return _failed(claim, source, error)

        return await asyncio.gather(*map(one, claims))


def count(checked: Sequence[CheckedClaim]) -> dict[str, int]:
    """Count claims by verdict; a verdict that none has is not there."""
    counts: dict[str, int] = {}
    for one in checked:
        counts[one["verdict"]] = counts.get(one["verdict"], 0) + 1
    return counts


def _says_more(new: CheckedClaim, known: CheckedClaim) -> bool:
    if new["verdict"] in SETTLING or not known["source"]:
        return True
    return _RANK.index(new["verdict"]) < _RANK.index(known["verdict"])


def _failed(claim: Claim, source: FactSource, error: Exception) -> CheckedClaim:
    reason = f"{type(error).__name__}: {error}".strip(": ")
    return settled(claim, "ERROR", source.name, query=claim["text"], evidence=reason)


def _arithmetic(*_: object) -> FactSource:
    from groundling.facts.arithmetic import ArithmeticSource

    return ArithmeticSource()


def _units(*_: object) -> FactSource:
    from groundling.facts.units import UnitsSource

    return UnitsSource()


def _knowledge(
    settings: Settings, model: BaseChatModel | None, knowledge: Knowledge | None
) -> FactSource | str:
    from groundling.facts.evidence import KnowledgeSource

    return KnowledgeSource(knowledge, model)


def _wolfram(
    settings: Settings, model: BaseChatModel | None, knowledge: Knowledge | None
) -> FactSource | str:
    if settings.facts.wolfram_app_id is None:
        return "no AppID: groundling config set facts.wolfram_app_id …"
    from groundling.facts.wolfram import WolframSource

    return WolframSource(settings, model)


Make = Callable[["Settings", "BaseChatModel | None", "Knowledge | None"], "FactSource | str"]
SOURCES: dict[str, Make] = {
    "arithmetic": _arithmetic,
    "units": _units,
    "knowledge": _knowledge,
    "wolfram": _wolfram,
}
