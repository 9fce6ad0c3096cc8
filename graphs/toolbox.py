"""`toolbox`: a question to the model with tools, called by its decision.

    START ─ begin ─ rewrite ─ decide ─┬─ approve ─ call_tools ─┐
                                 ↑    │                        │
                                 └────┼────────────────────────┘
                                      └─ answer ─ END

`decide` weighs the tools, and none of them, in one forward pass, and has the arguments
written under a grammar of the tool's schema. `approve` stops for a person where a call
could do something; `call_tools` makes the calls at once. A run that has used up
`tools.rounds` answers from what it has.
"""

from __future__ import annotations

from typing import Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from groundling.graphs.nodes.approving import approve
from groundling.graphs.nodes.calling import Called, call_tools
from groundling.graphs.nodes.conversation import Conversation, fit
from groundling.graphs.nodes.deciding import Step, begin, decide, prompt_of, rewrite, shown
from groundling.graphs.nodes.step import node
from groundling.graphs.nodes.summarising import room, spoken
from groundling.graphs.resources import Resources
from groundling.models.prompts import language_of, prompt


class Question(Conversation, total=False):
    """What a run takes."""


class Answer(Conversation, total=False):
    """What a run gives: `steps` tell which tools were called, and what came of it."""

    answer: str
    steps: list[Step]
    notices: list[str]


class State(Called, total=False):
    """Everything a run knows."""

    answer: str


def is_ready(state: State) -> Literal["approve", "answer"]:
    """Are there calls to be made first?"""
    return "approve" if state["calls"] else "answer"


async def answer(state: State, resources: Resources) -> State:
    """Answer from what the tools have returned; without any, from the conversation."""
    if state["steps"]:
        used = prompt_of("act", state)
        messages = used.messages(**shown(state, resources))
    else:
        used = prompt("chat", language_of(state["question"]))
        head = used.messages(question="")[:-1]
        messages = fit([*head, *spoken(state["messages"])], resources.model, room(resources))
    reply = await resources.model.ainvoke(messages, used.config)
    return {"answer": reply.text.strip(), "messages": [reply]}


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (begin, rewrite, decide, approve, call_tools, answer):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "rewrite")
    graph.add_edge("rewrite", "decide")
    graph.add_conditional_edges("decide", is_ready)
    graph.add_edge("approve", "call_tools")
    graph.add_edge("call_tools", "decide")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="toolbox")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
