"""The tracer: LangChain's callbacks become patches, and a writer stores them.

Runs have the shape that `langchain_core.tracers` gives them (LangSmith's `RunTree`). What
goes in and comes out is written as JSON when it is handed over, since a program may change it
afterwards; everything else happens in the writer's thread. Nothing here can fail a run.
"""

from __future__ import annotations

import sys
import time
import traceback
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from langchain_core.exceptions import TracerException
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from langgraph.errors import GraphBubbleUp
from typing_extensions import override

from groundling.egress import Call
from groundling.tracing.payload import encode, message
from groundling.tracing.run import Patch
from groundling.tracing.shapes import new_run, now, outputs_of, usage_of

if sys.platform != "win32":
    import resource

# How an exception that is no error begins in a run; see `ingestion`.
_QUIET = (GraphBubbleUp, KeyboardInterrupt, GeneratorExit)
_NOT_CALLED = "CancelledError"
# How a dotted order writes the time: 20261125T230648503230.
_COMPACT = {ord(letter): None for letter in "-:."}
MAX_ERROR = 20_000  # characters


class Sink(Protocol):
    """Where patches go."""

    def put(self, patch: Patch) -> None:
        """Take a patch; never waits and never raises."""


@dataclass(frozen=True)
class Origin:
    """What the runs that begin inside a `recording` belong to."""

    project: str | None = None
    example: UUID | None = None


origin: ContextVar[Origin | None] = ContextVar("groundling_trace_origin", default=None)
_NOWHERE = Origin()
_running: ContextVar[UUID | None] = ContextVar("groundling_running", default=None)


@dataclass(slots=True)
class _Clock:
    """What is measured while a run lasts."""

    begun: float
    cpu: float | None
    sink: Sink
    inputs: int
    first_token: float | None = None
    egress: list[dict[str, Any]] = field(default_factory=list)


class Tracer(BaseTracer):
    """Records runs.

    Args:
        sink: takes the patches; None: nothing is recorded until one is set.
        project: of runs that begin outside a `recording`.
    """

    run_inline = True
    log_missing_parent = False

    def __init__(self, sink: Sink | None = None, project: str = "default") -> None:
        super().__init__(_schema_format="original+chat")
        self.sink = sink
        self.project = project
        self._runs: dict[UUID, Run] = {}
        self._clocks: dict[UUID, _Clock] = {}
        self._traces: dict[UUID, list[UUID]] = {}

    def forget(self) -> None:
        """Let go of runs that never ended: their program was stopped in the middle."""
        for open_ in (self._runs, self._clocks, self._traces, self.order_map):
            open_.clear()

    # which callbacks are wanted

    @property
    def _off(self) -> bool:
        return self.sink is None

    ignore_chain = ignore_llm = ignore_chat_model = _off
    ignore_retriever = ignore_agent = ignore_retry = _off

    def note_egress(self, call: Call) -> None:
        """Note at the run that is going on here that it called another machine."""
        run_id = _running.get()
        clock = self._clocks.get(run_id) if run_id is not None else None
        if clock is not None:
            note = {"host": call.host, "purpose": call.purpose, "sent": call.sent}
            clock.egress.append({"name": "egress", "time": now(), "kwargs": note})

    # runs begin

    def _create_chain_run(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        run_id: UUID,
        tags: list[str] | None = None,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        run_type: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Run:
        shaped = self._get_chain_inputs(inputs)
        kind = run_type or "chain"
        return new_run(
            run_id, parent_run_id, kind, name, serialized, shaped, tags, metadata, kwargs
        )

    def _create_chat_model_run(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        run_id: UUID,
        tags: list[str] | None = None,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Run:
        inputs = {"messages": [[message(said) for said in batch] for batch in messages]}
        return new_run(
            run_id, parent_run_id, "llm", name, serialized, inputs, tags, metadata, kwargs
        )

    def _create_llm_run(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        run_id: UUID,
        tags: list[str] | None = None,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Run:
        inputs = {"prompts": prompts}
        return new_run(
            run_id, parent_run_id, "llm", name, serialized, inputs, tags, metadata, kwargs
        )

    def _create_tool_run(
        self,
        serialized: dict[str, Any],
        input_str: str,
        run_id: UUID,
        tags: list[str] | None = None,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Run:
        shaped = inputs if isinstance(inputs, dict) else {"input": input_str}
        return new_run(
            run_id, parent_run_id, "tool", name, serialized, shaped, tags, metadata, kwargs
        )

    def _create_retrieval_run(
        self,
        serialized: dict[str, Any],
        query: str,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Run:
        kind, called = "retriever", name or "Retriever"
        shaped = {"query": query}
        return new_run(
            run_id, parent_run_id, kind, called, serialized, shaped, tags, metadata, kwargs
        )

    @override
    def _start_trace(self, run: Run) -> None:
        """Give a run its place in the tree; children are not kept until the root ends."""
        fields = run.__dict__  # past pydantic's way of setting attributes
        own = (
            f"{run.start_time.isoformat(timespec='microseconds').translate(_COMPACT)[:21]}Z{run.id}"
        )
        place = self.order_map.get(run.parent_run_id) if run.parent_run_id is not None else None
        if place is not None:
            fields["trace_id"] = place[0]
            fields["dotted_order"] = f"{place[1]}.{own}"
        else:
            fields["parent_run_id"] = None
            fields["dotted_order"] = own
        self.order_map[run.id] = (run.trace_id, run.dotted_order)
        self._runs[run.id] = run
        self._on_run_create(run)

    @override
    def _end_trace(self, run: Run) -> None:
        self._runs.pop(run.id, None)
        self._on_run_update(run)

    @override
    def _get_run(self, run_id: UUID, run_type: str | set[str] | None = None) -> Run:
        try:
            return self._runs[run_id]
        except KeyError:
            raise TracerException(f"No run {run_id} is known.") from None

    @override
    def _on_run_create(self, run: Run) -> None:
        sink = self.sink
        if sink is None:
            return
        root = run.parent_run_id is None
        cpu = time.process_time() if root else None
        self._clocks[run.id] = _Clock(time.perf_counter(), cpu, sink, id(run.inputs))
        self._traces.setdefault(run.trace_id, []).append(run.id)
        _running.set(run.id)
        belongs = origin.get() or _NOWHERE
        sink.put(
            Patch(
                id=run.id,
                trace=run.trace_id,
                parent=run.parent_run_id,
                dotted_order=run.dotted_order,
                project=belongs.project or self.project,
                example=belongs.example if root else None,
                name=run.name,
                run_type=run.run_type,
                started=_microseconds(run.start_time),
                inputs=encode(run.inputs),
                extra=encode(run.extra),
                tags=run.tags,
                writer=0,
            )
        )

    # while they last

    @override
    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> Run:
        """Note when the first token came; the text is in the outputs anyway."""
        clock = self._clocks.get(run_id)
        if clock is not None and clock.first_token is None:
            clock.first_token = time.perf_counter() - clock.begun
        return self._get_run(run_id)

    # runs end

    def _complete_llm_run(self, response: LLMResult, run_id: UUID) -> Run:
        run = self._get_run(run_id)
        run.outputs = outputs_of(response)
        run.end_time = now()
        return run

    def _errored_llm_run(
        self, error: BaseException, run_id: UUID, response: LLMResult | None = None
    ) -> Run:
        run = self._get_run(run_id)
        run.error = self._get_stacktrace(error)
        if response is not None:
            run.outputs = outputs_of(response)
        run.end_time = now()
        return run

    @staticmethod
    def _get_stacktrace(error: BaseException) -> str:
        """Describe an error as LangChain does; what is none, by its name."""
        try:
            said = repr(error)
            if isinstance(error, _QUIET) or type(error).__name__ == _NOT_CALLED:
                return said if "(" in said else f"{said}()"
            trace = "".join(traceback.format_exception(error))
        except Exception:  # an error whose own text cannot be had
            return f"{type(error).__name__}()"
        if len(trace) > MAX_ERROR:
            trace = f"{trace[: MAX_ERROR // 2]}\n…\n{trace[-MAX_ERROR // 2 :]}"
        return f"{said[:MAX_ERROR]}\n\n{trace}".strip()

    @override
    def _on_run_update(self, run: Run) -> None:
        clock = self._clocks.pop(run.id, None)
        _running.set(run.parent_run_id)
        if run.parent_run_id is None:
            for known in self._traces.pop(run.trace_id, ()):
                self.order_map.pop(known, None)
        if clock is None:
            return
        duration = time.perf_counter() - clock.begun
        ended = now()
        patch = Patch(
            id=run.id,
            trace=run.trace_id,
            parent=run.parent_run_id,
            name=run.name,
            duration=int(duration * 1e6),
            outputs=encode(run.outputs) if run.outputs is not None else None,
            error=run.error,
            events=encode(_events(run, clock, ended)),
            egress=len(clock.egress),
            writer=0,
        )
        if id(run.inputs) != clock.inputs:
            patch.inputs = encode(run.inputs)
        if clock.first_token is not None:
            patch.first_token = int(clock.first_token * 1e6)
        if clock.cpu is not None:
            patch.cpu = int((time.process_time() - clock.cpu) * 1e6)
            patch.memory = _peak_memory()
        if (usage := usage_of(run.outputs)) is not None:
            patch.input_tokens, patch.output_tokens, patch.cached_tokens = usage
        clock.sink.put(patch)

    @override
    def _persist_run(self, run: Run) -> None:
        """Nothing is left to do when the root ends: each run was stored as it came."""


def _events(run: Run, clock: _Clock, ended: datetime) -> list[dict[str, Any]]:
    others = [each for each in run.events if each.get("name") not in ("end", "error")]
    events = [{"name": "start", "time": run.start_time}, *clock.egress, *others]
    if clock.first_token is not None:
        first = datetime.fromtimestamp(run.start_time.timestamp() + clock.first_token, UTC)
        events.append({"name": "new_token", "time": first})
    return [*events, {"name": "error" if run.error else "end", "time": ended}]


def _peak_memory() -> int | None:
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)
