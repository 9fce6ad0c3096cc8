"""The guard for agents of `langchain.agents.create_agent`, with any chat model.

    from langchain.agents import create_agent
    from groundling.middleware import Guard

    agent = create_agent(model, tools, middleware=[Guard()])

What a person writes is checked before the agent runs; a blocked question is answered by the
notice. Results of tools are checked and enclosed as data. The answer is checked at the end,
and replaced where the policy blocks or redacts it. The decisions of a run stand in its state,
under `guard`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypeVar

from langchain.agents.middleware import AgentMiddleware, AgentState, hook_config
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.runtime import Runtime
from langgraph.types import Command

from groundling.blocking import run_now
from groundling.guardrails import policy
from groundling.guardrails.decision import Decision
from groundling.guardrails.guard import Guard as Rails
from groundling.guardrails.untrusted import enclose

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Result = TypeVar("Result")
STOPS = ("block", "ask")


class GuardState(AgentState[Any]):
    """An agent's state with the decisions of the rails."""

    guard: NotRequired[list[Decision]]
    guard_stopped: NotRequired[Annotated[bool, PrivateStateAttr]]


class Guard(AgentMiddleware[GuardState]):
    """Rails on an agent's input, its tools' results and its output.

    Args:
        model: judges harm; without one, only patterns are asked.
        policy_file: another policy than the one that comes with Groundling.
        rails: a guard made before, instead of the two.
    """

    state_schema = GuardState

    def __init__(
        self,
        model: BaseChatModel | None = None,
        *,
        policy_file: Path | str | None = None,
        rails: Rails | None = None,
    ) -> None:
        super().__init__()
        file = Path(policy_file) if policy_file is not None else None
        self.rails = rails or Rails(policy.load(file), model)
        self.tools = []

    @hook_config(can_jump_to=["end"])
    async def abefore_agent(
        self, state: GuardState, runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """Check the last question; a blocked one ends the run."""
        question = next(
            (one for one in reversed(state["messages"]) if isinstance(one, HumanMessage)), None
        )
        if question is None:
            return {"guard": [], "guard_stopped": False}
        decision = await self.rails.check(question.text, "input")
        update: dict[str, Any] = {"guard": [_noted(decision)], "guard_stopped": False}
        if decision["action"] in STOPS:
            refusal = AIMessage(decision["notice"])
            return {**update, "guard_stopped": True, "messages": [refusal], "jump_to": "end"}
        if decision["text"] != question.text:
            update["messages"] = [HumanMessage(decision["text"], id=question.id)]
        return update

    @hook_config(can_jump_to=["end"])
    def before_agent(self, state: GuardState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Do the same from synchronous code."""
        return run_now(self.abefore_agent(state, runtime))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Check what a tool returns, and mark it as data."""
        return await self._enclosed(await handler(request))

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Do the same from synchronous code."""
        return run_now(self._enclosed(handler(request)))

    async def aafter_agent(self, state: GuardState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Check the answer, and replace it where the policy says so."""
        last = state["messages"][-1]
        if not isinstance(last, AIMessage) or not last.text or state.get("guard_stopped"):
            return None
        asked = [one for one in state["messages"] if isinstance(one, HumanMessage)]
        question = asked[-1].text if asked else None
        decision = await self.rails.check(last.text, "output", question=question)
        update: dict[str, Any] = {"guard": [*(state.get("guard") or []), _noted(decision)]}
        text = decision["notice"] if decision["action"] in STOPS else decision["text"]
        if text != last.text:
            update["messages"] = [last.model_copy(update={"content": text})]
        return update

    def after_agent(self, state: GuardState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Do the same from synchronous code."""
        return run_now(self.aafter_agent(state, runtime))

    async def _enclosed(self, result: ToolMessage | Command[Any]) -> ToolMessage | Command[Any]:
        if not isinstance(result, ToolMessage) or not result.text:
            return result
        decision = await self.rails.check(result.text, "tool")
        if decision["action"] in STOPS:
            text = decision["notice"]
        else:
            text = enclose(decision["text"], result.name or "tool")
        return result.model_copy(update={"content": text})


def _noted(decision: Decision) -> Decision:
    return {**decision, "text": ""}
