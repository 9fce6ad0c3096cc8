"""What is shown of a run that was asked for, in the form of LangGraph's server."""

from __future__ import annotations

from typing import Any

from groundling.server.runs.assistants import default_id
from groundling.server.runs.converting import plain
from groundling.server.runs.request import RunRequest


def shown_metadata(request: RunRequest) -> dict[str, Any]:
    """Return the metadata of a run."""
    told: dict[str, Any] = plain(dict(request.metadata))
    return told


def kwargs_of(request: RunRequest, thread_id: str) -> dict[str, Any]:
    """Return what was asked for, by the names of LangGraph's server."""
    given = request.config
    configurable = {
        **(given.get("configurable") or {}),
        "run_id": str(request.run_id),
        "thread_id": thread_id,
        "graph_id": request.graph,
        "assistant_id": request.assistant_id or default_id(request.graph),
    }
    if request.checkpoint:
        configurable |= request.checkpoint
    config: dict[str, Any] = {"configurable": configurable, "metadata": dict(request.metadata)}
    config |= {key: given[key] for key in ("tags", "recursion_limit") if given.get(key)}
    told: dict[str, Any] = plain(
        {
            "input": request.input,
            "command": dict(request.command) if request.command is not None else None,
            "config": config,
            "context": dict(request.context),
            "stream_mode": list(request.stream_mode),
            "interrupt_before": request.interrupt_before or None,
            "interrupt_after": request.interrupt_after or None,
            "webhook": None,
            "feedback_keys": None,
            "temporary": request.thread_id is None,
            "subgraphs": request.subgraphs,
            "resumable": request.resumable,
            "checkpoint_during": request.durability != "exit",
            "durability": request.durability,
        }
    )
    return told
