"""A LangGraph program of somebody's that has never heard of Groundling.

It asks, is interrupted and resumed, fails, streams, and runs asynchronously.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

USAGE = {"input_tokens": 20, "output_tokens": 4, "total_tokens": 24}


class Parrot(BaseChatModel):
    """Says what it hears."""

    @property
    def _llm_type(self) -> str:
        return "parrot"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage(f"You said: {messages[-1].text}", usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        words = f"You said: {messages[-1].text}".split()
        for word in words:
            last = word is words[-1]
            chunk = ChatGenerationChunk(
                message=AIMessageChunk(f"{word} ", usage_metadata=USAGE if last else None)
            )
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


class State(TypedDict):
    messages: Annotated[list[AnyMessage], operator.add]
    approved: bool


@tool
def count_days(year: int) -> int:
    """Count the days of a year."""
    return 366 if year % 4 == 0 else 365


def look_up(state: State) -> dict[str, Any]:
    if state["messages"][-1].text == "break":
        raise RuntimeError("the shelf is empty")
    return {"messages": [AIMessage(f"{count_days.invoke({'year': 2024})} days")]}


def ask_person(state: State) -> dict[str, Any]:
    return {"approved": interrupt("May I?")} if not state.get("approved") else {}


def answer(state: State, config: RunnableConfig) -> dict[str, Any]:
    return {"messages": [Parrot().invoke(state["messages"], config)]}


def build() -> Any:
    graph = StateGraph(State)
    graph.add_node("look_up", look_up)
    graph.add_node("ask_person", ask_person)
    graph.add_node("answer", answer)
    graph.add_edge(START, "look_up")
    graph.add_edge("look_up", "ask_person")
    graph.add_edge("ask_person", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=InMemorySaver(), name="assistant")


def main() -> None:
    graph = build()

    def config(thread: str) -> RunnableConfig:
        return {
            "configurable": {"thread_id": thread},
            "tags": [f"tag {thread}"],
            "metadata": {"customer": thread},
            "run_name": f"assistant {thread}",
        }

    def heard(text: str, approved: bool = True) -> dict[str, Any]:
        return {"messages": [HumanMessage(text)], "approved": approved}

    print(graph.invoke(heard("hello"), config("plain"))["messages"][-1].text)
    print(graph.invoke(heard("please", approved=False), config("interrupted")))
    print(graph.invoke(Command(resume=True), config("interrupted"))["approved"])
    try:
        graph.invoke(heard("break"), config("broken"))
    except RuntimeError as error:
        print(error)
    for part, _ in graph.stream(heard("slowly"), config("streamed"), stream_mode="messages"):
        print(part.text, end="|")

    async def later() -> None:
        results = await asyncio.gather(
            *(graph.ainvoke(heard(f"async {n}"), config(f"async {n}")) for n in range(3))
        )
        print(len(results))

    asyncio.run(later())


if __name__ == "__main__":
    main()
