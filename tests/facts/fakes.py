"""Sources that say what a test tells them to, and passages to say it of."""

from __future__ import annotations

from collections.abc import Mapping

from groundling.facts.claim import Background, CheckedClaim, Claim, settled
from groundling.knowledge.passage import Passage


class Table:
    """A source that looks claims up; what is an exception there is raised."""

    def __init__(self, said: Mapping[str, object], name: str = "table") -> None:
        self.name = name
        self.said = said
        self.asked: list[str] = []
        self.backgrounds: list[Background] = []

    async def check(self, claim: Claim, background: Background) -> CheckedClaim | None:
        self.asked.append(claim["text"])
        self.backgrounds.append(background)
        said = self.said.get(claim["text"])
        if isinstance(said, Exception):
            raise said
        if said is None:
            return None
        verdict, *rest = said if isinstance(said, tuple) else (said,)
        evidence, correction = (*rest, None, None)[:2]
        return settled(
            claim,
            verdict,
            self.name,
            query=claim["text"],
            evidence=evidence or "",
            correction=correction,
        )


def passage(text: str, number: int = 1, start: int = 0) -> Passage:
    return Passage(
        number, number, f"doc{number}.md", "Doc", "", None, start, start + len(text), text
    )
