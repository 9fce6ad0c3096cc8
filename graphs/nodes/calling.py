"""Calling tools: all calls of a round at once, each within its time, results as data.

What a tool returns is checked by the guard's rail for tools and put between marks that say
so; nothing a tool raises ends the run. A question to the person comes before the other
calls: the node begins anew once it is answered, and nothing may have been done before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AnyMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from pydantic import ValidationError
from typing_extensions import TypedDict

from groundling.errors import GroundlingError
from groundling.graphs.nodes.deciding import SEARCH, Acting, Step, turn
from groundling.graphs.nodes.guarding import guard_text, noted
from groundling.graphs.resources import Resources
from groundling.guardrails.decision import Decision
from groundling.guardrails.untrusted import enclose
from groundling.tools.bounded import cut, malformed

ASK = "ask_person"
SHOWN = 200  # characters of a result in a step
LONGEST = 8_000  # characters of a result that the model may read
REPEATED = "This very call was made before in this turn; its result stands above."
BLOCKED = "The result was withheld by the guard."


class Called(Acting, total=False):
    """What calling changes besides: the decisions of the guard."""

    guard: list[Decision]


class _Result(TypedDict):
    message: ToolMessage
    step: Step
    passages: list[int]
    decision: Decision | None


async def call_tools(state: Called, resources: Resources) -> Called:
    """Make the calls of this round and put their results into the conversation."""
    calls = list(state.get("calls") or [])
    steps = list(state.get("steps") or [])
    waiting = sorted(calls, key=lambda call: call["name"] != ASK)
    done: dict[str, _Result] = {}
    while waiting and waiting[0]["name"] == ASK:
        call = waiting.pop(0)
        done[str(call["id"])] = await _call(call, steps, resources, state)
    results = await asyncio.gather(*(_call(call, steps, resources, state) for call in waiting))
    done |= {str(call["id"]): result for call, result in zip(waiting, results, strict=True)}
    update: Called = {
        "calls": [],
        "steps": [*steps, *_refused(state), *(done[str(call["id"])]["step"] for call in calls)],
        "messages": [done[str(call["id"])]["message"] for call in calls],
    }
    passages = [*(state.get("passages") or [])]
    for result in done.values():
        passages += [each for each in result["passages"] if each not in passages]
        if result["decision"] is not None:
            update.update(noted({**state, **update}, result["decision"]))  # type: ignore[typeddict-item]
    update["passages"] = passages
    return update


async def _call(
    call: ToolCall, steps: Sequence[Step], resources: Resources, state: Called
) -> _Result:
    tool = next((each for each in resources.tools if each.name == call["name"]), None)
    if tool is None:
        names = ", ".join(each.name for each in resources.tools) or "none"
        return _failed(call, f"There is no tool {call['name']}; there are: {names}.")
    if any((step["tool"], step["args"]) == (call["name"], call["args"]) for step in steps):
        return _failed(call, REPEATED, "repeated")
    try:
        answer = await _within(tool, call, resources.settings.tools.timeout)
    except GraphBubbleUp:
        raise
    except ValidationError as error:
        return _failed(call, malformed(error))
    except TimeoutError:
        seconds = resources.settings.tools.timeout
        return _failed(call, f"{tool.name} did not answer within {seconds:g} s; it was given up.")
    except GroundlingError as error:
        return _failed(call, f"{error} {error.hint or ''}".strip())
    except Exception as error:  # whatever a tool raises is for the model to work around
        return _failed(call, f"{tool.name} failed: {type(error).__name__}: {error}")
    return await _guarded(call, answer, resources)


async def _within(tool: BaseTool, call: ToolCall, seconds: float) -> ToolMessage:
    asked = {"type": "tool_call", "id": call["id"], "name": call["name"], "args": call["args"]}
    # A person may answer tomorrow.
    limit = None if tool.name == ASK else seconds + 1  # bounded tools tell of their own limit
    async with asyncio.timeout(limit):  # 3.11's `wait_for` may lose a cancellation
        answer = await tool.ainvoke(asked)
    if isinstance(answer, ToolMessage):
        return answer
    return ToolMessage(str(answer), tool_call_id=str(call["id"]), name=tool.name)


async def _guarded(call: ToolCall, answer: ToolMessage, resources: Resources) -> _Result:
    text = str(cut(answer.text, LONGEST))
    if answer.status == "error":
        return _failed(call, text)
    rail = "input" if call["name"] == ASK else "retrieved" if call["name"] == SEARCH else "tool"
    decision = await guard_text(text, rail, resources)  # type: ignore[arg-type]
    flagged = decision if decision["outcome"] != "pass" else None
    if decision["action"] in ("block", "ask"):
        return {**_failed(call, BLOCKED, "blocked"), "decision": flagged}
    text = decision["text"]
    shown = text if call["name"] == ASK else enclose(text, call["name"])
    artifact = answer.artifact if isinstance(answer.artifact, dict) else {}
    message = ToolMessage(
        shown, name=call["name"], tool_call_id=str(call["id"]), status=answer.status
    )
    return {
        "message": message,
        "step": _step(call, "done", text),
        "passages": [int(each) for each in artifact.get("passages") or []],
        "decision": flagged,
    }


def _failed(call: ToolCall, text: str, outcome: str = "failed") -> _Result:
    message = ToolMessage(text, name=call["name"], tool_call_id=str(call["id"]), status="error")
    step = _step(call, outcome, text)
    return {"message": message, "step": step, "passages": [], "decision": None}


def _refused(state: Called) -> list[Step]:
    """Return steps for the calls of this round that a person has rejected."""
    refused: list[Step] = []
    messages: Sequence[AnyMessage] = turn(state.get("messages") or [])
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if not isinstance(message, ToolMessage):
            break
        call = _asked(messages[:place], message.tool_call_id)
        args = dict(call["args"]) if call else {}
        refused.insert(
            0,
            Step(
                tool=message.name or "", args=args, outcome="rejected", result=message.text[:SHOWN]
            ),
        )
    return refused


def _asked(messages: Sequence[AnyMessage], id: str) -> dict[str, Any] | None:
    for message in reversed(messages):
        for call in getattr(message, "tool_calls", None) or []:
            if call["id"] == id:
                return dict(call)
    return None


def _step(call: ToolCall, outcome: str, text: str) -> Step:
    return Step(tool=call["name"], args=call["args"], outcome=outcome, result=text[:SHOWN])
