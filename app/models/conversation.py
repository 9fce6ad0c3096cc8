"""LangChain's messages as chat templates expect them, and rewritten where one refuses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, ToolMessage

from groundling.errors import ModelError
from groundling.models.dialects import Tool
from groundling.models.dialects.generic import describe, write_call, write_result

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
# Blocks that are no text and that a message carries elsewhere as well.
_CARRIED = {
    "tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "reasoning", "thinking",
    "redacted_thinking",
}  # fmt: skip

TemplateMessage = dict[str, Any]


def to_template_messages(
    messages: Sequence[BaseMessage], *, reasoning: bool = False
) -> list[TemplateMessage]:
    """Convert messages to what templates expect: a role, a text, tool calls.

    Args:
        messages: of a conversation.
        reasoning: give back what the model thought, for templates that ask for it.

    Raises:
        ModelError: an image, a sound, a file: this model reads text.
    """
    converted = []
    names: dict[str | None, str] = {}
    for message in messages:
        one = _convert(message)
        if isinstance(message, AIMessage):
            names |= {call["id"]: call["name"] for call in message.tool_calls}
            if reasoning and (thought := _thought(message)):
                one["reasoning_content"] = thought
        if isinstance(message, ToolMessage) and message.tool_call_id in names:
            one.setdefault("name", names[message.tool_call_id])
        converted.append(one)
    return converted


def _convert(message: BaseMessage) -> TemplateMessage:
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type)
    if role is None:
        raise ModelError(f"A chat model cannot read a message of type {message.type!r}.")
    converted: TemplateMessage = {"role": role, "content": _text(message)}
    if message.name:
        converted["name"] = message.name
    if isinstance(message, AIMessage) and message.tool_calls:
        converted["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["args"]},
            }
            for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        converted["tool_call_id"] = message.tool_call_id
    return converted


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        if isinstance(block, str):
            texts.append(block)
        elif block.get("type") == "text":
            texts.append(str(block.get("text", "")))
        elif block.get("type") == "json":
            texts.append(json.dumps(block.get("json"), ensure_ascii=False))
        elif block.get("type") not in _CARRIED:
            raise ModelError(
                f"This model reads text; a message holds a block of type {block.get('type')!r}.",
                hint="Take the block out, or describe it in words.",
            )
    return "".join(texts)


def _thought(message: AIMessage) -> str:
    blocks = [block for block in message.content_blocks if block["type"] == "reasoning"]
    return "".join(str(block.get("reasoning", "")) for block in blocks)


def in_words(
    messages: Sequence[TemplateMessage], tools: Sequence[Mapping[str, Any]]
) -> list[TemplateMessage]:
    """Write tools, calls and results as text, for templates that know none of them."""
    told: list[TemplateMessage] = []
    for message in messages:
        if message.get("tool_calls"):
            calls = [call["function"] for call in message["tool_calls"]]
            written = [write_call(call["name"], call["arguments"]) for call in calls]
            text = "\n".join([message["content"], *written]).lstrip("\n")
            told.append({"role": message["role"], "content": text})
        elif message["role"] == "tool":
            result = write_result(message["content"])
            if told and told[-1].get("results"):
                told[-1]["content"] += f"\n{result}"
            else:
                told.append({"role": "user", "content": result, "results": True})
        else:
            told.append(dict(message))
    if not tools:
        return told
    description = describe([Tool.of(tool) for tool in tools])
    if told and told[0]["role"] == "system":
        told[0]["content"] = f"{told[0]['content']}\n\n{description}".lstrip("\n")
    else:
        told.insert(0, {"role": "system", "content": description})
    return told


def short_ids(messages: Sequence[TemplateMessage]) -> list[TemplateMessage]:
    """Give every call an id of nine letters and digits, the same for its result."""
    changed = []
    for message in messages:
        one = dict(message)
        if "tool_call_id" in one:
            one["tool_call_id"] = _short(one["tool_call_id"])
        if "tool_calls" in one:
            one["tool_calls"] = [
                {**call, "id": _short(call.get("id"))} for call in one["tool_calls"]
            ]
        changed.append(one)
    return changed


def _short(id: str | None) -> str:
    text = id or ""
    if len(text) == 9 and text.isascii() and text.isalnum():
        return text
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:9]


def string_arguments(messages: Sequence[TemplateMessage]) -> list[TemplateMessage]:
    """Write the arguments of calls as JSON text."""
    changed = []
    for message in messages:
        one = dict(message)
        if one.get("tool_calls"):
            one["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": _json(call)}}
                for call in one["tool_calls"]
            ]
        changed.append(one)
    return changed


def _json(call: Mapping[str, Any]) -> str:
    return json.dumps(call["function"]["arguments"], ensure_ascii=False)


def one_call_each(messages: Sequence[TemplateMessage]) -> list[TemplateMessage]:
    """Write several calls of one message as one message each, its result behind it."""
    changed: list[TemplateMessage] = []
    results: dict[Any, TemplateMessage] = {}
    for message in messages:
        if message["role"] == "tool":
            results.setdefault(message.get("tool_call_id"), message)
    placed: set[int] = set()
    for message in messages:
        calls = message.get("tool_calls") or []
        if len(calls) < 2:
            if id(message) not in placed:
                changed.append(message)
            continue
        for n, call in enumerate(calls):
            content = message["content"] if n == 0 else ""
            changed.append({**message, "content": content, "tool_calls": [call]})
            if (result := results.get(call["id"])) is not None:
                changed.append(result)
                placed.add(id(result))
    return changed


def without_system(messages: Sequence[TemplateMessage]) -> list[TemplateMessage]:
    """Put the system's text in front of the first human message, and join human neighbours."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [dict(message) for message in messages if message["role"] != "system"]
    merged: list[TemplateMessage] = []
    for message in rest:
        if merged and merged[-1]["role"] == message["role"] == "user":
            merged[-1]["content"] += "\n\n" + message["content"]
        else:
            merged.append(message)
    if system:
        first = next((message for message in merged if message["role"] == "user"), None)
        if first is None:
            merged.insert(0, {"role": "user", "content": "\n\n".join(system)})
        else:
            first["content"] = "\n\n".join([*system, first["content"]])
    return merged
