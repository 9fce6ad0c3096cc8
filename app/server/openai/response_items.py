"""The items of a response's input and output, as LangChain's messages."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from groundling.server.openai.bodies import path, unsupported, wrong
from groundling.server.openai.messages import call_of, message_of, text_of

Json = dict[str, Any]


def items_of(given: str | list[Any]) -> list[Json]:
    """Read the input as items, each with an id.

    Raises:
        Problem: 400; there is none, or one is no object.
    """
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not given:
        raise wrong("input", "there is nothing to answer")
    items = []
    for n, item in enumerate(given):
        if not isinstance(item, dict):
            raise wrong(path("input", n), "an item is an object")
        kind = item.get("type", "message")
        item = {"type": kind, **item}
        if kind == "message" and isinstance(text := item.get("content"), str):
            part = "output_text" if item.get("role") == "assistant" else "input_text"
            item["content"] = [{"type": part, "text": text}]
        item.setdefault("id", f"{'msg' if kind == 'message' else 'item'}_{uuid.uuid4().hex}")
        items.append(item)
    return items


def messages_of(items: Sequence[Json], instructions: str | None) -> list[BaseMessage]:
    """Return the conversation that items tell.

    Args:
        items: of earlier responses and of this one, oldest first.
        instructions: what the model is told before all of it.

    Raises:
        Problem: 400; one cannot be read.
    """
    head = [SystemMessage(instructions)] if instructions else []
    return [*head, *_joined(_message(item, path("input", n)) for n, item in enumerate(items))]


def _message(item: Json, where: str) -> BaseMessage | None:
    match item.get("type"):
        case "message":
            return message_of(item, where)
        case "function_call":
            call = call_of(item.get("call_id"), item.get("name"), item.get("arguments"), where)
            return AIMessage("", tool_calls=[call])
        case "function_call_output":
            id = item.get("call_id")
            if not isinstance(id, str):
                raise wrong(f"{where}.call_id", "a result names the call that it answers")
            return ToolMessage(text_of(item.get("output"), f"{where}.output"), tool_call_id=id)
        case "reasoning":
            return None  # no template here reads what a model thought in an earlier turn
        case kind:
            raise unsupported(f"{where}.type", f"items of type {kind!r} cannot be read here")


def _joined(messages: Iterator[BaseMessage | None]) -> Iterator[BaseMessage]:
    """Join the calls of one turn, which are items of their own, to one message."""
    last: BaseMessage | None = None
    for message in messages:
        if message is None:
            continue
        if isinstance(last, AIMessage) and isinstance(message, AIMessage) and message.tool_calls:
            last = AIMessage(last.text, tool_calls=[*last.tool_calls, *message.tool_calls])
            continue
        if last is not None:
            yield last
        last = message
    if last is not None:
        yield last
