"""`ask`: prompt + model, the first rung.

    START ─ receive ─┬─ answer ───────────── END
                     └─ think ── conclude ── END      with reasoning=True

Few-shot examples are questions with good answers, shown to the model as earlier turns
(Brown et al. 2020, arXiv:2005.14165). With `reasoning`, the model first writes its steps
and then the answer alone (chain of thought, Wei et al. 2022, arXiv:2201.11903).
"""

from __future__ import annotations

from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict

from groundling.graphs.nodes.conversation import Conversation, fit, history, receive
from groundling.graphs.nodes.step import node
from groundling.graphs.resources import Resources
from groundling.models.prompts import Prompt, language_of, prompt


class Example(TypedDict):
    """One worked example for the model to follow."""

    question: str
    answer: str


class Question(Conversation, total=False):
    """What a run takes."""

    system: str
    examples: list[Example]
    reasoning: bool


class Answer(Conversation, total=False):
    """What a run gives."""

    answer: str
    thoughts: str


class State(Question, Answer, total=False):
    """Everything a run knows."""


def route(state: State) -> Literal["think", "answer"]:
    """Should the model reason before it answers?"""
    return "think" if state.get("reasoning") else "answer"


async def answer(state: State, resources: Resources) -> Answer:
    """Answer in one call."""
    messages, used = compose(state, resources, "ask")
    reply = await resources.model.ainvoke(messages, used.config)
    return {"answer": reply.text, "messages": [reply]}


async def think(state: State, resources: Resources) -> Answer:
    """Write the steps towards the answer."""
    messages, used = compose(state, resources, "think")
    reply = await resources.model.ainvoke(messages, {**used.config, "tags": ["nostream"]})
    return {"thoughts": reply.text}


async def conclude(state: State, resources: Resources) -> Answer:
    """Say the answer that the steps lead to."""
    messages, _ = compose(state, resources, "think")
    used = prompt("conclude", language_of(state["question"]))
    reply = await resources.model.ainvoke(
        [*messages, AIMessage(state["thoughts"]), *used.messages()], used.config
    )
    return {"answer": reply.text, "messages": [reply]}


def compose(state: State, resources: Resources, name: str) -> tuple[list[BaseMessage], Prompt]:
    """Put system prompt, examples and conversation together, within the context."""
    used = prompt(name, language_of(state["question"]))
    *head, question = used.messages(question=state["question"])
    if system := state.get("system"):
        head = [SystemMessage(system)]
    for example in state.get("examples") or []:
        head += [HumanMessage(example["question"]), AIMessage(example["answer"])]
    room = resources.settings.model.context - 2 * resources.settings.model.max_tokens
    room -= resources.model.get_num_tokens_from_messages(head)
    turns = fit([*history(state), question], resources.model, room)
    return [*head, *(turns or [question])], used


def build(
    resources: Resources, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[State, None, Question, Answer]:
    """Wire the graph."""
    graph = StateGraph(State, input_schema=Question, output_schema=Answer)
    for step in (receive, answer, think, conclude):
        graph.add_node(step.__name__, node(step, resources))
    graph.add_edge(START, "receive")
    graph.add_conditional_edges("receive", route)
    graph.add_edge("think", "conclude")
    graph.add_edge("answer", END)
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer, name="ask")


def graph() -> CompiledStateGraph[State, None, Question, Answer]:
    """Build it for the default home folder, as `langgraph.json` asks."""
    return build(Resources.default())
