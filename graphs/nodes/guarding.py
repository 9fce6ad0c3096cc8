"""The rails of a graph: what comes in, what tools and documents bring, what goes out.

`guard_input` begins a turn: it sets the keys that tell of one turn afresh, since threads keep
their state. A graph goes on to its end when `blocked` says so; the notice is the answer then.

Where the policy says `ask`, the run stops at a question to the person, the same as the tool
`ask_person` asks, and goes on where the answer is a yes. A run that cannot wait is blocked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.types import interrupt
from typing_extensions import TypedDict

from groundling.facts.claim import CheckedClaim
from groundling.graphs.nodes.conversation import history
from groundling.graphs.nodes.waiting import can_wait
from groundling.graphs.resources import Resources
from groundling.guardrails.decision import Decision, Rail
from groundling.tools.ask_person import AskedPerson

_TEXTS: tuple[Literal["text", "query", "evidence", "correction"], ...] = (
    "text", "query", "evidence", "correction",
)  # fmt: skip
AGREED = ("yes", "y", "approve", "ok", "true", "네", "예", "응", "승인")


class Guarded(TypedDict, total=False):
    """The keys of a guarded graph.

    Args:
        guard: the decisions of this turn, in the order of the rails.
        notices: what the reader is told beside the answer.
        blocked: whether the question was not let through.
    """

    guard: list[Decision]
    notices: list[str]
    blocked: bool


async def guard_input(state: Mapping[str, Any], resources: Resources) -> dict[str, Any]:
    """Check the question; a blocked one is answered by the reason and a way forward."""
    fresh: dict[str, Any] = {
        "guard": [],
        "notices": [],
        "blocked": False,
        "claims": [],
        "steps": [],
        "calls": [],
    }
    if resources.guard is None:
        return fresh
    question = state["question"]
    earlier = [message.text for message in history(state)[-4:]]  # type: ignore[arg-type]
    decision = await resources.guard.check(question, "input", context=earlier)
    fresh |= noted({}, decision)
    if not passes(decision):
        refusal = decision["notice"]
        # The question does not stay in the conversation: it would be read again each turn.
        withheld = _replaced(state, HumanMessage, "…")
        return {
            **fresh,
            "blocked": True,
            "notices": [],
            "answer": refusal,
            "verdict": "blocked",
            "citations": [],
            "messages": [*withheld, AIMessage(refusal)],
        }
    if decision["text"] != question:
        fresh["question"] = decision["text"]
        fresh["messages"] = _replaced(state, HumanMessage, decision["text"])
    return fresh


def blocked(state: Mapping[str, Any]) -> bool:
    """Tell whether the turn ends here."""
    return bool(state.get("blocked"))


async def guard_output(state: Mapping[str, Any], resources: Resources) -> dict[str, Any]:
    """Check the answer; a blocked one is replaced, in the conversation, too."""
    answer = state.get("answer") or ""
    if resources.guard is None or not answer:
        return {}
    decision = await resources.guard.check(
        answer,
        "output",
        question=state["question"],
        passages=[citation["quote"] for citation in state.get("citations") or []],
    )
    update = noted(state, decision)
    if not passes(decision):
        update |= {
            "answer": decision["notice"],
            "verdict": "blocked",
            "citations": [],
            "claims": [],
            "notices": list(state.get("notices") or []),
            "messages": _replaced(state, AIMessage, decision["notice"]),
        }
    elif decision["text"] != answer:
        update |= {
            "answer": decision["text"],
            "messages": _replaced(state, AIMessage, decision["text"]),
            "claims": _redacted(state.get("claims") or [], answer, decision["text"], resources),
        }
    return update


def _redacted(
    claims: Sequence[CheckedClaim], before: str, after: str, resources: Resources
) -> list[CheckedClaim]:
    """Black out in claims what was blacked out in the answer, and place them in it anew.

    A claim whose words cannot be found there any more stands at its beginning, with no length.
    """
    assert resources.guard is not None
    plain = resources.guard.check_plain

    def cleared(text: str | None) -> str | None:
        return text and plain(text, "output")["text"]

    found: list[CheckedClaim] = []
    for claim in claims:
        words = cleared(before[claim["start"] : claim["end"]]) or ""
        start = after.find(words) if words else -1
        texts = {name: cleared(claim[name]) for name in _TEXTS}
        place = {"start": max(0, start), "end": start + len(words) if start >= 0 else 0}
        found.append(cast("CheckedClaim", {**claim, **texts, **place}))
    return found


def passes(decision: Decision) -> bool:
    """Tell whether a text may go on; asks a person where the policy wants it."""
    if decision["action"] != "ask":
        return decision["action"] != "block"
    if not can_wait():
        return False
    reasons = ", ".join(f"{one['detector']}: {one['detail']}" for one in decision["reasons"])
    asked = f"{decision['notice']} ({decision['rail']}, {reasons}) Let it through? yes/no"
    answer = interrupt(AskedPerson(type="question", question=asked))
    return str(answer).strip().casefold() in AGREED


async def guard_text(text: str, rail: Rail, resources: Resources) -> Decision:
    """Check a passage or a tool's result; without a guard it passes."""
    if resources.guard is None:
        return {
            "rail": rail,
            "outcome": "pass",
            "action": "allow",
            "text": text,
            "notice": "",
            "reasons": [],
        }
    return await resources.guard.check(text, rail)


def noted(state: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """Add a decision, and its notice, to those of the turn; the judged text is not kept twice."""
    kept: Decision = {**decision, "text": ""}
    notices = list(state.get("notices") or [])
    if decision["notice"] and decision["notice"] not in notices:
        notices.append(decision["notice"])
    return {"guard": [*(state.get("guard") or []), kept], "notices": notices}


def _replaced(
    state: Mapping[str, Any], kind: type[HumanMessage] | type[AIMessage], text: str
) -> list[AnyMessage]:
    """Return the last message of a kind with another text; nothing where there is none."""
    for message in reversed(state.get("messages") or []):
        if isinstance(message, kind):
            return [kind(text, id=message.id)]
    return []
