"""`chat`: a conversation that is kept, within the model's context.

    START ─ receive ─ guard_input ─┬─ recall ─ make_room ─ answer ─ guard_output ─ remember ─ END
                                   └─ END     blocked

With a checkpointer the thread is kept from turn to turn; with memories, what is known of
the person from other conversations is recalled, and what is new is remembered. `make_room`
notes down the oldest turns when the conversation outgrows the window. The beginning of the
prompt stays the same from turn to turn, so that the model reads little more than what is
new: notes and memories stand in the messages, after the system prompt.
"""

from __future__ import annotations

from typing import Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from groundling.graphs.nodes.conversation import Conversation, receive
from groundling.graphs.nodes.guarding import blocked, guard_input, guard_output
from groundling.graphs.nodes.remembering import known, recall, remember
from groundling.graphs.nodes.step import node
from groundling.graphs.nodes.summarising import Summarised, compose, make_room, tongue
from groundling.graphs.resources import Resources
from groundling.guardrails.decision import Decision
from groundling.models.prompts import prompt


class Question(Conversation, total=False):
    """What a run takes."""


class Answer(Conversation, total=False):
    """What a run gives.

    `verdict` is `answered`, or `blocked` where the guard has put its notice in the place of
    the answer.
    """

    answer: str
    verdict: Literal["answered", "blocked"]
    notices: list[str]


class State(Question, Answer, Summarised, total=False):
    """Everything a run knows: of memories their numbers, never their text."""

    guard: list[Decision]
    blocked: bool
    recalled: list[int]
    remembered: list[int]


def is_allowed(state: State) -> Literal["recall", "__end__"]:
    """May the question be answered?"""
    return "__end__" if blocked(state) else "recall"


async def answer(state: State, resources: Resources) -> Answer:
    """Answer with the conversation in view."""
    used = prompt("chat", tongue(state))
    messages = compose(state, resources, known(state, resources))
    reply = await resources.model.ainvoke(messages, used.config)
    return {"answer": reply.text, "verdict": "answered", "messages": [reply]}


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (receive, guard_input, recall, make_room, answer, guard_output, remember):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "receive")
    graph.add_edge("receive", "guard_input")
    graph.add_conditional_edges("guard_input", is_allowed)
    graph.add_edge("recall", "make_room")
    graph.add_edge("make_room", "answer")
    graph.add_edge("answer", "guard_output")
    graph.add_edge("guard_output", "remember")
    graph.add_edge("remember", END)
    return graph.compile(checkpointer=checkpointer, name="chat")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
