"""A step of a graph: written once as a coroutine, usable from `invoke` and `ainvoke`."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_core.runnables import RunnableLambda

from groundling.graphs.resources import Resources

Update = Mapping[str, Any]
Step = Callable[[Any, Resources], Awaitable[Update]]


def node(step: Step, resources: Resources) -> RunnableLambda[Any, Update]:
    """Bind a step to its resources, for `StateGraph.add_node`.

    The step is a coroutine, so that a run which is cancelled stops the model within one
    token. Called from synchronous code it runs in an event loop of its own, also when
    the caller is inside one already, as in a notebook.
    """

    async def call(state: Any) -> Update:
        return await step(state, resources)

    def call_and_wait(state: Any) -> Update:
        return _run(call(state))

    return RunnableLambda(call_and_wait, call, name=getattr(step, "__name__", None))


def _run(coroutine: Coroutine[Any, Any, Update]) -> Update:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(context.run, asyncio.run, coroutine).result()
