"""`FactCheck`: an agent's last answer, held against sources before it is handed out.

    agent = create_agent(model, tools, middleware=[FactCheck(model=model)])
    agent.invoke({"messages": [HumanMessage("How many hours are 4 days?")]})["claims"]

It runs once, when the agent has written its answer. What its tools returned in this turn is
what the answer is first held against. The answer keeps its message id; the verdicts stand in
the state (`claims`) and in the message (`additional_kwargs["claims"]`, counted in
`response_metadata["facts"]`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from groundling.blocking import run_now
from groundling.facts.checker import FactChecker, count
from groundling.facts.claim import CheckedClaim, FactSource
from groundling.facts.mending import Mending
from groundling.knowledge.passage import Passage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.runtime import Runtime

    from groundling.knowledge.base import Knowledge

LONGEST = 20_000  # characters of a tool's result that are looked at


class FactCheckState(AgentState[Any]):
    """An agent's state, with the verdicts on its last answer."""

    claims: NotRequired[list[CheckedClaim]]


class FactCheck(AgentMiddleware[FactCheckState, Any, Any]):
    """Checks what an agent answers; corrects or marks what is refuted.

    Args:
        checker: a checker of your own; default: one of the `sources`, or of arithmetic,
            units, the tools' results and `knowledge`.
        model: splits and judges; any chat model. Without one, only what needs no model is
            checked.
        sources: instead of the default ones.
        knowledge: documents that claims may be searched in.
        refuted: `correct`, or `mark` alone.
    """

    state_schema = FactCheckState

    def __init__(
        self,
        checker: FactChecker | None = None,
        *,
        model: BaseChatModel | None = None,
        sources: Sequence[FactSource] | None = None,
        knowledge: Knowledge | None = None,
        refuted: Mending = "correct",
    ) -> None:
        super().__init__()
        if checker is None:
            used = list(sources) if sources is not None else _sources(model, knowledge)
            checker = FactChecker(used, model, mending=refuted)
        self.checker = checker

    async def aafter_agent(
        self, state: FactCheckState, runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Check the answer."""
        messages = state["messages"]
        last = messages[-1] if messages else None
        if not isinstance(last, AIMessage) or last.tool_calls or not last.text.strip():
            return None
        text, question, passages = last.text, _question(messages), results(messages)
        checked = await self.checker.check(text, question=question, passages=passages)
        mended = await self.checker.revise(text, checked, question=question, passages=passages)
        facts = {"claims": mended.claims}
        update: dict[str, Any] = {
            "additional_kwargs": {**last.additional_kwargs, **facts},
            "response_metadata": {**last.response_metadata, "facts": count(mended.claims)},
        }
        if mended.text != text:
            update["content"] = mended.text
        return {"messages": [last.model_copy(update=update)], **facts}

    def after_agent(self, state: FactCheckState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Check the answer, from synchronous code."""
        return run_now(self.aafter_agent(state, runtime))


def results(messages: Sequence[AnyMessage]) -> list[Passage]:
    """Return what tools gave in this turn, as passages to hold the answer against."""
    found: list[Passage] = []
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        if isinstance(message, ToolMessage) and message.status != "error" and message.text.strip():
            text = message.text[:LONGEST]
            name = message.name or "tool"
            number = -1 - len(found)
            found.append(Passage(number, number, name, name, "", None, 0, len(text), text))
    return found[::-1]


def _question(messages: Sequence[AnyMessage]) -> str | None:
    asked = [message.text for message in messages if isinstance(message, HumanMessage)]
    return asked[-1] if asked else None


def _sources(model: BaseChatModel | None, knowledge: Knowledge | None) -> list[FactSource]:
    from groundling.facts.arithmetic import ArithmeticSource
    from groundling.facts.evidence import KnowledgeSource
    from groundling.facts.units import UnitsSource

    return [ArithmeticSource(), UnitsSource(), KnowledgeSource(knowledge, model)]
