"""A graph whose pace a test sets: it counts, step by step, until it may go on."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

began: list[str] = []
gates: dict[str, asyncio.Event] = {}


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    name: str
    wait: bool
    ask: bool
    fail: str
    trail: Annotated[list[str], operator.add]


async def first(state: State) -> State:
    began.append(state.get("name", ""))
    return {"trail": [f"{state.get('name', '')} 1"]}


async def second(state: State) -> State:
    if state.get("wait"):
        await gates.setdefault(state["name"], asyncio.Event()).wait()
    if state.get("fail"):
        raise ValueError(state["fail"])
    if state.get("ask"):
        return {"trail": [str(interrupt("may I?"))], "ask": False}
    return {"trail": [f"{state.get('name', '')} 2"], "wait": False}


def build(
    _resources: Any = None, checkpointer: BaseCheckpointSaver[str] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    graph = StateGraph(State)
    graph.add_node("first", first)
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    return graph.compile(checkpointer=checkpointer, name="slow")
