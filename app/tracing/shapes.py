"""Runs in the shape that LangChain's tracers give them, made as cheaply as can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.schemas import Run

from groundling.tracing.payload import message

_INTERNAL = "__"  # metadata and parameters of this prefix are LangChain's own business


def new_run(
    id: UUID,
    parent: UUID | None,
    run_type: str,
    name: str | None,
    serialized: Mapping[str, Any] | None,
    inputs: dict[str, Any],
    tags: list[str] | None,
    metadata: Mapping[str, Any] | None,
    kwargs: Mapping[str, Any],
) -> Run:
    """Make a run without pydantic's validation, which takes longer than a small node."""
    extra = {key: value for key, value in kwargs.items() if not key.startswith(_INTERNAL)}
    if metadata:
        extra["metadata"] = {
            key: value for key, value in metadata.items() if not key.startswith(_INTERNAL)
        }
    if name is None and serialized:
        known = serialized.get("name")
        name = known if known is not None else (serialized.get("id") or ["Unnamed"])[-1]
    return _blank().model_copy(
        update={
            "id": id,
            "name": name or "Unnamed",
            "run_type": run_type,
            "start_time": now(),
            "parent_run_id": parent,
            "trace_id": id,
            "inputs": inputs,
            "extra": extra,
            "tags": tags or [],
            "events": [],
            "child_runs": [],
        }
    )


@cache
def _blank() -> Run:
    """Return a run of which all others are copies."""
    return Run.model_construct(
        name="Unnamed",
        outputs=None,
        end_time=None,
        error=None,
        serialized=None,
        dotted_order="",
        session_name=None,
        session_id=None,
        reference_example_id=None,
        parent_run=None,
        parent_dotted_order=None,
        attachments={},
        ls_client=None,
        replicas=None,
    )


def outputs_of(response: LLMResult) -> dict[str, Any]:
    """Write a model's answer in the shape LangChain's tracer gives it."""
    generations = []
    for batch in response.generations:
        written = []
        for generation in batch:
            each: dict[str, Any] = {
                "text": generation.text,
                "generation_info": generation.generation_info,
                "type": generation.type,
            }
            answer = getattr(generation, "message", None)
            if isinstance(answer, BaseMessage):
                each["message"] = message(answer)
            written.append(each)
        generations.append(written)
    return {"generations": generations, "llm_output": response.llm_output, "type": "LLMResult"}


def usage_of(outputs: Any) -> tuple[int, int, int] | None:
    """Return what choosing cost: its answers are probabilities that carry their usage.

    Returns:
        Tokens read, tokens written, and those of the first that were kept from before.
    """
    chosen = outputs.get("output") if isinstance(outputs, Mapping) else None
    if not isinstance(chosen, Sequence) or isinstance(chosen, str):
        return None
    usages = [usage for each in chosen if isinstance(usage := getattr(each, "usage", None), dict)]
    if not usages:
        return None
    details = [usage.get("input_token_details") or {} for usage in usages]
    return (
        sum(usage["input_tokens"] for usage in usages),
        sum(usage["output_tokens"] for usage in usages),
        sum(each.get("cache_read", 0) for each in details),
    )


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)
