"""WolframAlpha as a source of facts: asked in English keywords, with nothing personal in them.

A claim leaves the machine here, so personal data and secrets are blacked out first, the call
is recorded as leaving, and it is made only where an AppID was given. Answers are kept, and
calls counted by month.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from groundling.errors import FactError
from groundling.facts.claim import Background, CheckedClaim, Claim, settled
from groundling.facts.wolfram_client import Wolfram, WolframError
from groundling.facts.wolfram_store import WolframStore
from groundling.guardrails.redact import default_detectors, redact
from groundling.knowledge.citations import NUMBER
from groundling.models.decide import decide
from groundling.models.prompts import language_of, prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from groundling.settings import Settings

LONGEST = 200  # characters of a query
SURE = 0.6  # probability from which the model's reading of an answer counts
CLOSE = Decimal("0.02")  # share by which a number may differ from WolframAlpha's


class BudgetSpent(FactError):
    """As many calls as `facts.wolfram_monthly` allows were made this month."""


class WolframSource:
    """Settles claims by what WolframAlpha says.

    Args:
        settings: `facts.wolfram_*`, and the home folder.
        model: writes the query and reads the answer.
        store: keeps answers; default: in the home folder.
    """

    name = "wolfram"

    def __init__(
        self,
        settings: Settings,
        model: BaseChatModel | None = None,
        *,
        store: WolframStore | None = None,
    ) -> None:
        wanted = settings.facts
        app_id = wanted.wolfram_app_id
        self.model = model
        self._most = wanted.wolfram_monthly
        self._file = settings.facts_path
        self._store = store
        self._client = (
            None
            if app_id is None
            else Wolfram(app_id.get_secret_value(), wanted.wolfram_url, wanted.wolfram_timeout)
        )

    @property
    def available(self) -> bool:
        """Whether there is an AppID."""
        return self._client is not None

    async def ask(self, query: str) -> str | None:
        """Return WolframAlpha's answer to keywords in English; None if it has none.

        Raises:
            WolframError: it cannot be asked.
            BudgetSpent: this month's calls are spent.
        """
        if self._client is None:
            raise WolframError(
                "WolframAlpha is not set up.",
                hint="groundling config set facts.wolfram_app_id ID",
            )
        sent = private(query)
        store = self._opened()
        known = store.answer(sent)
        if known is not None:
            return known or None
        if not store.spend(self._most):
            raise BudgetSpent(
                f"This month's {self._most:,} calls to WolframAlpha are spent.",
                hint="groundling config set facts.wolfram_monthly NUMBER",
            )
        answer = await self._client.ask(sent)
        store.keep(sent, answer or "")
        return answer

    async def check(self, claim: Claim, background: Background) -> CheckedClaim | None:
        """Ask about a claim and compare; None without an AppID."""
        if self._client is None:
            return None
        query = await self._query(claim["text"])
        try:
            answer = await self.ask(query)
        except FactError as error:
            return settled(claim, "ERROR", self.name, query=query, evidence=str(error))
        if answer is None:
            told = "WolframAlpha has no answer to this."
            return settled(claim, "NOT_ENOUGH_EVIDENCE", self.name, query=query, evidence=told)
        return await self._compared(claim, query, answer)

    async def _query(self, text: str) -> str:
        if self.model is None:
            return private(text)
        used = prompt("wolfram_query", language_of(text))
        reply = await self.model.ainvoke(
            used.messages(claim=private(text)), used.quiet, max_tokens=48
        )
        line = reply.text.strip().partition("\n")[0].strip(" \"'`.")
        return private(line) or private(text)

    async def _compared(self, claim: Claim, query: str, answer: str) -> CheckedClaim:
        if agreeing(claim["text"], query, answer):
            return settled(
                claim, "SUPPORTED", self.name, query=query, evidence=answer, tolerance="2 %"
            )
        weights = {"unclear": 1.0}
        if self.model is not None:
            used = prompt("wolfram_compare", language_of(claim["text"]))
            messages = used.messages(claim=claim["text"], answer=answer)
            options = ["supported", "refuted", "unclear"]
            weights = await decide(self.model, messages, options, used.config)
        best = max(weights, key=lambda option: weights[option])
        if best == "unclear" or weights[best] < SURE:
            return settled(claim, "NOT_ENOUGH_EVIDENCE", self.name, query=query, evidence=answer)
        verdict = "SUPPORTED" if best == "supported" else "REFUTED"
        return settled(claim, verdict, self.name, query=query, evidence=answer)  # type: ignore[arg-type]

    def _opened(self) -> WolframStore:
        if self._store is None:
            self._store = WolframStore(self._file)
        return self._store


def private(text: str) -> str:
    """Return what of a text may leave the machine: one short line without personal data."""
    bare, _ = redact(" ".join(text.split()), default_detectors())
    return bare[:LONGEST]


def agreeing(claim: str, query: str, answer: str) -> bool:
    """Tell whether the claim's new numbers stand in the answer, to two per cent.

    Numbers of the query are given and prove nothing; a claim without others is not judged here.
    """
    asked = set(_numbers(query))
    stated = [number for number in _numbers(claim) if number not in asked]
    there = _numbers(answer)
    return bool(stated) and all(
        any(abs(number - other) <= abs(other) * CLOSE for other in there) for number in stated
    )


def _numbers(text: str) -> list[Decimal]:
    found = (match.group().replace(",", "") for match in NUMBER.finditer(text))
    return [Decimal(number) for number in found if number.count(".") < 2]
