"""Counting what models and guards do, wherever in the process a graph or a model is called.

LangChain asks the hook below for a handler whenever something runs. So the bare model, graphs,
tools and evaluators are counted alike, and none of them has to know of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphInterrupt

from groundling.server.metrics import Metrics


class Counting(BaseCallbackHandler):
    """Counts tokens of model calls, and the guard's decisions at the end of a turn.

    A run that stops at a question to a person is not the end: the one that goes on has its
    decisions too.

    Args:
        metrics: what is counted into.
    """

    run_inline = True  # it takes microseconds; a thread would take longer
    ignore_retriever = ignore_retry = ignore_agent = ignore_custom_event = True

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._stopped: set[UUID] = set()  # runs in which something waits for a person

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Count what a call read and wrote, where the model says so."""
        for generation in (one for batch in response.generations for one in batch):
            said = generation.message if isinstance(generation, ChatGeneration) else None
            if not isinstance(said, AIMessage) or (usage := said.usage_metadata) is None:
                continue
            cached = usage.get("input_token_details", {}).get("cache_read", 0)
            seconds = said.response_metadata.get("decode_seconds", 0.0)
            self._metrics.tokens(
                usage["input_tokens"], usage["output_tokens"], cached or 0, float(seconds)
            )

    def on_chain_end(
        self,
        outputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Count what the guard decided in a turn; its decisions are in what the graph gives."""
        stopped = run_id in self._stopped
        self._stopped.discard(run_id)
        if stopped or parent_run_id is not None or not isinstance(outputs, Mapping):
            return
        for decision in outputs.get("guard") or ():
            self._metrics.guard(str(decision["rail"]), str(decision["action"]))

    def on_chain_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a step waits for a person; LangGraph tells it as the step's error."""
        self._stopped.discard(run_id)
        if parent_run_id is not None and isinstance(error, GraphInterrupt):
            self._stopped.add(parent_run_id)


class _Hook:
    """Stands where LangChain asks a context variable: counting is the process's."""

    handler: Counting | None = None

    def get(self) -> Counting | None:
        return self.handler


_hook = _Hook()
_hooked = False


@contextmanager
def counting(metrics: Metrics) -> Iterator[None]:
    """Count while the block lasts; of two at once in a process, the later one counts."""
    global _hooked
    if not _hooked:
        register_configure_hook(cast("ContextVar[Any | None]", _hook), inheritable=True)
        _hooked = True
    mine = _hook.handler = Counting(metrics)
    try:
        yield
    finally:
        if _hook.handler is mine:
            _hook.handler = None
