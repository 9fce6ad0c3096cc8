"""`guard`: a text, checked by the guard's policy.

    START ─ check ─┬─ pass_on ── END
                   ├─ withhold ─ END      blocked, or a person has to agree
                   └─ report ─── END      the guard is switched off

The rails inside of other graphs are the same; see `groundling.graphs.nodes.guarding`.
"""

from __future__ import annotations

from typing import Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from groundling.errors import GraphError
from groundling.graphs.nodes.step import node
from groundling.graphs.resources import Resources
from groundling.guardrails.decision import Action, Decision, Outcome, Rail, Reason


class Question(TypedDict, total=False):
    """What a run takes.

    Args:
        text: what is checked.
        rail: where it stands; default: `input`.
        question: what the text answers, on the rail `output`.
        passages: what it must be carried by, on the rail `output`.
    """

    text: str
    rail: Rail
    question: str
    passages: list[str]


class Answer(TypedDict, total=False):
    """What a run gives: the text to go on with (empty if there is none), and why."""

    answer: str
    outcome: Outcome
    action: Action
    notice: str
    reasons: list[Reason]


class State(Question, Answer, total=False):
    """Everything a run knows."""

    decision: Decision | None


async def check(state: State, resources: Resources) -> State:
    """Look at the text with every detector that the policy names for its rail.

    Raises:
        GraphError: there is no text.
    """
    if "text" not in state:
        raise GraphError("There is no text to check.", hint='Give the graph {"text": "…"}.')
    if resources.guard is None:
        return {"decision": None}
    decision = await resources.guard.check(
        state["text"],
        state.get("rail") or "input",
        question=state.get("question"),
        passages=state.get("passages") or [],
    )
    return {"decision": decision}


def is_allowed(state: State) -> Literal["pass_on", "withhold", "report"]:
    """May the text go on?"""
    decision = state["decision"]
    if decision is None:
        return "report"
    return "withhold" if decision["action"] in ("block", "ask") else "pass_on"


async def pass_on(state: State, _: Resources) -> Answer:
    """Give the text, with what is redacted in it."""
    assert state["decision"] is not None
    return {**_told(state["decision"]), "answer": state["decision"]["text"]}


async def withhold(state: State, _: Resources) -> Answer:
    """Give the reason and a way forward instead of the text."""
    assert state["decision"] is not None
    return {**_told(state["decision"]), "answer": ""}


async def report(state: State, _: Resources) -> Answer:
    """Say that nothing was checked."""
    told: Answer = {"outcome": "pass", "action": "allow", "reasons": []}
    return {**told, "answer": state["text"], "notice": "The guard is off: guard.enabled."}


def _told(decision: Decision) -> Answer:
    return {
        "outcome": decision["outcome"],
        "action": decision["action"],
        "notice": decision["notice"],
        "reasons": decision["reasons"],
    }


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (check, pass_on, withhold, report):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "check")
    graph.add_conditional_edges("check", is_allowed)
    for step in (pass_on, withhold, report):
        graph.add_edge(step.__name__, END)
    return graph.compile(checkpointer=checkpointer, name="guard")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
