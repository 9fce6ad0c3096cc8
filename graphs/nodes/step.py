"""A step of a graph: written once as a coroutine, usable from `invoke` and `ainvoke`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from groundling.blocking import run_now
from groundling.graphs.resources import Resources

Update = Mapping[str, Any]
Step = Callable[[Any, Resources], Awaitable[Update]]


class Node(Runnable[Any, Update]):
    """A step bound to its resources, for `StateGraph.add_node`.

    The step is a coroutine, so that a run which is cancelled stops the model within one
    token. Called from synchronous code it runs in an event loop of its own, also when
    the caller is inside one already, as in a notebook. In a trace it is one run, LangGraph's
    own: a `RunnableLambda` would show each node twice.
    """

    def __init__(self, step: Step, resources: Resources) -> None:
        self.step = step
        self.resources = resources
        self.name = getattr(step, "__name__", None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Update:
        return run_now(self._call(input))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Update:
        return await self._call(input)

    async def _call(self, state: Any) -> Update:
        return await self.step(state, self.resources)


def node(step: Step, resources: Resources) -> Node:
    """Bind a step to its resources."""
    return Node(step, resources)
