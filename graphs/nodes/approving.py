"""Approval: calls that could do something wait for a person, who sees their exact arguments.

The run stops at an interrupt and goes on, also in another process, when it is resumed:

    graph.invoke(Command(resume={"decisions": [{"id": "call_1", "action": "approve"}]}), config)

An action is `approve`, `edit` (with `args`) or `reject` (with a `reason`). `"approve"` or
`"reject"` alone is the same for all calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired

from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import interrupt
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from groundling.graphs.nodes.waiting import can_wait
from groundling.graphs.resources import Resources
from groundling.guardrails.untrusted import tainted, untrusted_texts
from groundling.sections import Risk
from groundling.tools.bounded import malformed
from groundling.tools.risk import risk_of

ASK = "ask_person"  # its results are the person's own words
ACTS: tuple[Risk, ...] = ("write", "network")


class PendingCall(TypedDict):
    """A call that waits, with what a person should know of it."""

    id: str
    name: str
    args: dict[str, Any]
    risk: Risk
    tainted: bool
    reason: str


class Approval(TypedDict):
    """What is asked: the value of the interrupt; `error` says what was wrong with an answer."""

    type: Literal["approval"]
    calls: list[PendingCall]
    error: NotRequired[str]


class Verdict(TypedDict):
    """A person's answer for one call."""

    id: str
    action: Literal["approve", "edit", "reject"]
    args: NotRequired[dict[str, Any]]
    reason: NotRequired[str]


def needs_approval(
    calls: Sequence[ToolCall],
    tools: Sequence[BaseTool],
    *,
    classes: Sequence[Risk] = ACTS,
    untrusted: Sequence[str] = (),
    trusted: Sequence[str] = (),
) -> list[PendingCall]:
    """Return the calls that a person must see first.

    Those are all of a class in `classes`; and once text from elsewhere was read, all that
    write or reach the network, whatever the classes: the text may have led to them.

    Args:
        calls: what the model wants to call.
        tools: the tools there are.
        classes: `tools.approve` of the settings.
        untrusted: what documents and tools have brought.
        trusted: what the person has said.
    """
    known = {tool.name: tool for tool in tools}
    pending: list[PendingCall] = []
    for call in calls:
        tool = known.get(call["name"])
        if tool is None:
            continue  # calling it is an error, and does nothing
        risk = risk_of(tool)
        stems = risk in ACTS and tainted(call["args"], untrusted, trusted)
        if risk not in classes and not (risk in ACTS and untrusted):
            continue
        if stems:
            reason = "some of its arguments come from a document or a tool, not from you"
        elif risk in classes:
            reason = f"it is of the class {risk}"
        else:
            reason = "text from elsewhere was read before it"
        pending.append(
            PendingCall(
                id=str(call["id"]),
                name=call["name"],
                args=call["args"],
                risk=risk,
                tainted=stems,
                reason=reason,
            )
        )
    return pending


async def approve(state: Mapping[str, Any], resources: Resources) -> dict[str, Any]:
    """Ask a person about the calls that need it; go on with what they let through."""
    calls: list[ToolCall] = list(state.get("calls") or [])
    messages = state.get("messages") or []
    reckoning = {tool.name for tool in resources.tools if risk_of(tool) == "compute"}
    pending = needs_approval(
        calls,
        resources.tools,
        classes=resources.settings.tools.approve,
        untrusted=untrusted_texts(messages, {*reckoning, ASK}),
        trusted=[
            message.text
            for message in messages
            if isinstance(message, HumanMessage) or message.name == ASK
        ],
    )
    if not pending:
        return {}
    if not can_wait():
        why = "It needs a person's approval, and this run has no checkpointer to wait with."
        verdicts = [Verdict(id=one["id"], action="reject", reason=why) for one in pending]
    else:
        verdicts = _ask(pending, resources.tools)
    by_id = {verdict["id"]: verdict for verdict in verdicts}
    kept: list[ToolCall] = []
    refused: list[ToolMessage] = []
    for call in calls:
        verdict = by_id.get(str(call["id"]))
        if verdict is not None and verdict["action"] == "reject":
            refused.append(_refusal(call, verdict.get("reason") or ""))
        elif verdict is not None and verdict["action"] == "edit":
            kept.append(ToolCall(**{**call, "args": verdict.get("args") or {}}))
        else:
            kept.append(call)
    return {"calls": kept, "messages": [*_rewritten(messages, kept), *refused]}


def _ask(pending: list[PendingCall], tools: Sequence[BaseTool]) -> list[Verdict]:
    """Interrupt until the answer can be used; what was wrong with it is shown with the next."""
    asked = Approval(type="approval", calls=pending)
    while True:
        verdicts, wrong = understood(interrupt(asked), pending, tools)
        if not wrong:
            return verdicts
        asked = Approval(type="approval", calls=pending, error=wrong)


def understood(
    answer: object, pending: Sequence[PendingCall], tools: Sequence[BaseTool]
) -> tuple[list[Verdict], str]:
    """Read a person's answer.

    Returns:
        A verdict for each pending call, and what is wrong with the answer, if anything is.
    """
    if isinstance(answer, str):
        answer = {"action": answer}
    if isinstance(answer, Mapping) and "decisions" in answer:
        answer = answer["decisions"]
    if isinstance(answer, Mapping):
        answer = [{**answer, "id": answer.get("id", one["id"])} for one in pending]
    if not isinstance(answer, list):
        return [], 'The answer must be "approve", "reject" or {"decisions": […]}.'
    known = {tool.name: tool for tool in tools}
    given = {str(one.get("id")): one for one in answer if isinstance(one, Mapping)}
    verdicts: list[Verdict] = []
    for call in pending:
        one = given.get(call["id"])
        if one is None:
            return [], f"There is no decision for the call {call['id']} of {call['name']}."
        action = one.get("action") or one.get("type")
        if action not in ("approve", "edit", "reject"):
            return [], f"{action!r} is no action; it is approve, edit or reject."
        verdict = Verdict(id=call["id"], action=action)
        if action == "edit":
            args = one.get("args")
            wrong = unfit(known[call["name"]], args)
            if wrong:
                return [], f"{call['name']}: {wrong}"
            verdict["args"] = dict(args or {})
        if action == "reject":
            verdict["reason"] = str(one.get("reason") or one.get("message") or "")
        verdicts.append(verdict)
    return verdicts, ""


def unfit(tool: BaseTool, args: object) -> str:
    """Say what is wrong with arguments for a tool; nothing if they fit its schema."""
    if not isinstance(args, Mapping):
        return "an edit needs args, an object with the arguments."
    schema = tool.get_input_schema()
    try:
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            schema.model_validate(dict(args))
    except ValidationError as error:
        return malformed(error)
    unknown = set(args) - set(tool.args)
    return f"it has no argument {', '.join(sorted(unknown))}." if unknown else ""


def _rewritten(messages: Sequence[Any], kept: Sequence[ToolCall]) -> list[AIMessage]:
    """Return the model's message with the arguments that a person changed."""
    changed = {str(call["id"]): call for call in kept}
    for message in reversed(messages):
        if isinstance(message, AIMessage) and message.tool_calls:
            calls = [changed.get(str(call["id"]), call) for call in message.tool_calls]
            if calls != message.tool_calls:
                return [message.model_copy(update={"tool_calls": calls})]
            return []
    return []


def _refusal(call: ToolCall, reason: str) -> ToolMessage:
    text = f"The person did not allow this call. {reason}".strip()
    return ToolMessage(text, name=call["name"], tool_call_id=str(call["id"]), status="error")
