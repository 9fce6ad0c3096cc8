"""Holding an answer against sources: the last look at it before a person does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from typing_extensions import TypedDict

from groundling.facts.checker import FactChecker
from groundling.facts.claim import CheckedClaim
from groundling.facts.mending import Mended
from groundling.graphs.resources import Resources
from groundling.knowledge.passage import Passage
from groundling.models.prompts import Language, language_of

CORRECTED: dict[Language, str] = {
    "en": "Statements of the answer that did not hold and were corrected: {count}.",
    "ko": "답변의 내용 가운데 {count}건이 사실과 달라 고쳤습니다.",
}
MARKED: dict[Language, str] = {
    "en": "Statements of the answer that are refuted, and marked: {count}.",
    "ko": "답변의 내용 가운데 {count}건이 사실과 달라 표시했습니다.",
}
FAILED: dict[Language, str] = {
    "en": "Statements of the answer that could not be checked: {count} ({reason})",
    "ko": "답변의 내용 가운데 {count}건을 확인하지 못했습니다: {reason}",
}


class Verified(TypedDict, total=False):
    """What verifying changes."""

    claims: list[CheckedClaim]
    answer: str
    messages: list[AnyMessage]
    notices: list[str]


async def verify(state: Mapping[str, Any], resources: Resources) -> Verified:
    """Check the answer's claims; correct or mark what is refuted, as `facts.refuted` says.

    Reads `answer`, `question` and `passages` (ids); the message that the answer stands in
    is replaced under its own id. With `facts.refuted` off, and of an answer that was
    blocked, nothing is checked.
    """
    answer = state.get("answer") or ""
    checker = resources.facts
    if checker is None or state.get("blocked") or not answer.strip():
        return {"claims": []}
    question, passages = state.get("question"), shown(state, resources)
    checked = await checker.check(answer, question=question, passages=passages)
    mended = await checker.revise(answer, checked, question=question, passages=passages)
    update: Verified = {
        "claims": mended.claims,
        "notices": [*(state.get("notices") or []), *notices(mended, answer)],
    }
    if mended.text != answer:
        update["answer"] = mended.text
        update["messages"] = replaced(state.get("messages") or [], mended.text)
    return update


def shown(state: Mapping[str, Any], resources: Resources) -> list[Passage]:
    """Return the passages that the answer was written from."""
    ids = state.get("passages") or []
    return resources.knowledge.passages(ids) if ids else []


def replaced(messages: Sequence[AnyMessage], text: str) -> list[AnyMessage]:
    """Return the last message with another text, under its own id; none if it is no answer."""
    last = messages[-1] if messages else None
    if not isinstance(last, AIMessage) or last.tool_calls:
        return []
    return [last.model_copy(update={"content": text})]


def notices(mended: Mended, answer: str) -> list[str]:
    """Say to the reader what was found, in the language of the answer as it was."""
    language = language_of(answer)
    failed = [one for one in mended.claims if one["verdict"] == "ERROR"]
    said = [
        text[language].format(count=count)
        for text, count in ((CORRECTED, mended.corrected), (MARKED, mended.marked))
        if count
    ]
    if failed:
        reason = failed[0]["evidence"]
        said.append(FAILED[language].format(count=len(failed), reason=reason))
    return said


def checker_of(resources: Resources) -> FactChecker:
    """Return the checker, also where answers are not checked by default."""
    if resources.facts is not None:
        return resources.facts
    return FactChecker.from_settings(resources.settings, resources.model, resources.documents)
