"""LangGraph's objects as the JSON that its server sends: messages, interrupts, states."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langgraph.types import Interrupt, Send, StateSnapshot
from pydantic import BaseModel

_DEEPEST = 60
_KEPT = 4096  # messages whose form a converter remembers

Json = Any


class Converter:
    """Turns values into what JSON has a form for.

    The messages of a state come again with each of its events; what a message looks like is
    remembered while the converter lives.
    """

    def __init__(self) -> None:
        self._messages: dict[int, tuple[BaseMessage, dict[str, Any]]] = {}

    def __call__(self, value: Any, depth: int = 0) -> Json:
        """Return a value as dicts, lists, texts, numbers, booleans and None."""
        if value is None or isinstance(value, (str, bool, int, float)):
            return value.value if isinstance(value, Enum) else value
        if depth > _DEEPEST:
            return str(value)
        if isinstance(value, BaseMessage):
            return self._message(value)
        if isinstance(value, Mapping):
            return {
                key if isinstance(key, str) else str(key): self(inner, depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, (list, set, frozenset)):
            return [self(inner, depth + 1) for inner in value]
        if isinstance(value, tuple):
            if hasattr(value, "_asdict"):
                return self(value._asdict(), depth + 1)
            return [self(inner, depth + 1) for inner in value]
        return self(_opened(value), depth + 1)

    def _message(self, message: BaseMessage) -> dict[str, Any]:
        known = self._messages.get(id(message))
        if known is not None and known[0] is message:
            return known[1]
        told: dict[str, Any] = self(message.model_dump())
        if len(self._messages) < _KEPT:
            self._messages[id(message)] = (message, told)
        return told


def plain(value: Any) -> Json:
    """Convert one value."""
    return Converter()(value)


def _opened(value: Any) -> Any:
    """Return what an object is made of; its text where that is not known."""
    match value:
        case Interrupt():
            return {
                "value": value.value,
                "id": value.id,
                "response_schema": value.response_schema,
            }
        case BaseModel():
            return value.model_dump()
        case Send():
            return {"node": value.node, "input": value.arg}
        case Document():
            return {"page_content": value.page_content, "metadata": value.metadata}
        case datetime():
            return value.isoformat()
        case UUID() | Enum():
            return str(value.value if isinstance(value, Enum) else value)
        case bytes():
            return value.decode("utf-8", "replace")
        case BaseException():
            return f"{type(value).__name__}({value})"
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        case _ if callable(getattr(value, "tolist", None)):  # NumPy's
            return value.tolist()
        case Iterable() if not isinstance(value, type):
            return list(value)
        case _:
            return str(value)


def checkpoint_of(config: Any) -> dict[str, Any] | None:
    """Return the checkpoint that a configuration names, as clients give it back."""
    at = (config or {}).get("configurable") or {}
    named = {key: at[key] for key in ("checkpoint_id", "thread_id", "checkpoint_ns") if key in at}
    return named or None


def state_of(snapshot: StateSnapshot, convert: Converter | None = None) -> dict[str, Any]:
    """Return a state in the form of the SDK's `ThreadState`."""
    convert = convert or Converter()
    return {
        "values": convert(snapshot.values),
        "next": list(snapshot.next),
        "tasks": [_task(task, convert) for task in snapshot.tasks],
        "metadata": convert(snapshot.metadata),
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint_of(snapshot.config),
        "parent_checkpoint": checkpoint_of(snapshot.parent_config),
        "interrupts": [_waiting(one, convert) for one in snapshot.interrupts],
    }


def interrupts_of(snapshot: StateSnapshot) -> dict[str, list[dict[str, Any]]]:
    """Return the interrupts that wait for an answer, by the ids of their tasks."""
    convert = Converter()
    return {
        task.id: [_waiting(one, convert) for one in task.interrupts]
        for task in snapshot.tasks
        if task.interrupts
    }


def told_checkpoint(payload: Mapping[str, Any], *, debug: bool) -> dict[str, Any]:
    """Return a checkpoint as streams tell it.

    Args:
        payload: LangGraph's, converted.
        debug: of the mode `debug`, which tells the checkpoints' ids once more, apart.
    """
    told = dict(payload)
    for which in ("config", "parent_config"):
        told[which] = _public(payload.get(which))
    if debug:
        told["tasks"] = [_of_debug(task) for task in payload.get("tasks") or []]
        told["checkpoint"] = checkpoint_of(payload.get("config"))
        told["parent_checkpoint"] = checkpoint_of(payload.get("parent_config"))
    return told


def _of_debug(task: Mapping[str, Any]) -> dict[str, Any]:
    inner = task.get("state")
    if isinstance(inner, Mapping) and "configurable" in inner:
        return {**{k: v for k, v in task.items() if k != "state"},
                "checkpoint": checkpoint_of(inner)}  # fmt: skip
    return dict(task)


def _public(config: Any) -> Any:
    """Leave out of a configuration what is LangGraph's own."""
    if not isinstance(config, Mapping):
        return config
    at = config.get("configurable") or {}
    return {"configurable": {key: at[key] for key in at if not key.startswith("__")}}


def _task(task: Any, convert: Converter) -> dict[str, Any]:
    inner = task.state
    deeper = isinstance(inner, StateSnapshot)
    return {
        "id": task.id,
        "name": task.name,
        "path": convert(task.path),
        "error": None if task.error is None else str(task.error),
        "interrupts": [_waiting(one, convert) for one in task.interrupts],
        "checkpoint": checkpoint_of(inner.config if deeper else inner),
        "state": state_of(inner, convert) if deeper else None,
        "result": convert(task.result),
    }


def _waiting(one: Interrupt[Any], convert: Converter) -> dict[str, Any]:
    told = {"id": one.id, "value": convert(one.value)}
    if one.response_schema is not None:
        told["response_schema"] = convert(one.response_schema)
    return told
