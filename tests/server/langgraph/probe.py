"""A graph that does a little of everything, without a model: for servers to be compared by.

It knows nothing of Groundling: `langgraph dev` loads it too. The wish in its state decides:
`ask` interrupts, `slow` takes its time, `fail` fails.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

SLOW_SECONDS = 1.5


class Inner(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    depth: int


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    wish: str
    note: str
    trail: Annotated[list[str], operator.add]
    depth: int


class Context(TypedDict, total=False):
    tone: str


async def speak(state: State) -> State:
    get_stream_writer()({"step": "speak"})
    if state.get("wish") == "fail":
        raise ValueError("it fails as wished")
    if state.get("wish") == "slow":
        await asyncio.sleep(SLOW_SECONDS)
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three")]))
    return {"messages": [await model.ainvoke(state["messages"])], "trail": ["speak"]}


async def ask(state: State) -> State:
    if state.get("wish") == "ask":
        return {"note": str(interrupt({"question": "may I?"})), "trail": ["ask"]}
    return {"note": "not asked", "trail": ["ask"]}


async def dive(state: Inner) -> Inner:
    return {"depth": 1}


def build(
    _resources: Any = None, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Wire the graph, as Groundling's registry asks for it."""
    inner = StateGraph(Inner)
    inner.add_node("dive", dive)
    inner.add_edge(START, "dive")
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("speak", speak)
    graph.add_node("ask", ask)
    graph.add_node("deep", inner.compile())
    graph.add_edge(START, "speak")
    graph.add_edge("speak", "ask")
    graph.add_edge("ask", "deep")
    graph.add_edge("deep", END)
    return graph.compile(checkpointer=checkpointer, name="probe")


def graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """Build it as `langgraph.json` asks for it."""
    return build()
