"""Inputs and outputs as a person reads them: messages as who said what, texts as texts.

Knows the messages of LangChain and of OpenAI, what models answer, and documents that a
retriever found; everything else stays JSON. Nothing is cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SPEAKERS = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
_ONE_LINE = 80  # characters
_CONTAINERS = frozenset({"messages", "generations", "choices", "message", "output", "input"})


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of an input or output: what it is, and its text."""

    label: str
    text: str


def blocks(value: Any) -> list[Block]:
    """Take a value of decoded JSON apart."""
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return list(_spoken(value) or [Block("", _written(value))])
    found: list[Block] = []
    for name, each in value.items():
        if each is None or (name == "type" and each == "LLMResult"):
            continue
        said = _spoken(each) if name in _CONTAINERS else None
        if said is None and name == "documents":
            said = _documents(each)
        found += said or [Block(str(name), _written(each))]
    return found


def chunks(outputs: Any) -> list[int | str]:
    """Return the ids of the passages that a run retrieved, in its order."""
    if not isinstance(outputs, Mapping):
        return []
    for name in ("documents", "passages"):
        items = outputs.get(name)
        if isinstance(items, list):
            return [id for item in items if (id := _chunk(item)) is not None]
    return []


def choice(outputs: Any) -> str:
    """Return what was weighed and how much each option got, the heaviest first."""
    found = outputs.get("output") if isinstance(outputs, Mapping) else None
    weights = found[0] if isinstance(found, list) and len(found) == 1 else None
    if not isinstance(weights, Mapping) or not weights:
        return ""
    if not all(isinstance(weight, int | float) for weight in weights.values()):
        return ""
    ordered = sorted(weights.items(), key=lambda each: -each[1])
    return ", ".join(f"{option} {weight:.2f}" for option, weight in ordered)


def arguments(inputs: Any) -> str:
    """Return what a tool was called with, as in a call."""
    if not isinstance(inputs, Mapping):
        return "" if inputs is None else str(inputs)
    if list(inputs) == ["input"] and isinstance(inputs["input"], str):
        return inputs["input"]
    return _call(inputs)


def _spoken(value: Any) -> list[Block] | None:
    """Return the messages in a value; None if there are other things in it."""
    found: list[Block] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list) and each:
            waiting.extend(reversed(each))
            continue
        if not isinstance(each, Mapping):
            return None
        if each.get("lc") == 1 and isinstance(each.get("kwargs"), Mapping):
            each = {"type": _class(each), **each["kwargs"]}
        if isinstance(each.get("message"), Mapping):  # what a model answered
            waiting.append(each["message"])
        elif "content" in each and ("role" in each or "type" in each):
            found += _message(each)
        elif set(each) <= {"text", "generation_info", "type"} and isinstance(each.get("text"), str):
            found.append(Block("assistant", each["text"]))
        else:
            return None
    return found or None


def _message(fields: Mapping[str, Any]) -> Iterator[Block]:
    kind = str(fields.get("role") or fields.get("type"))
    speaker = _SPEAKERS.get(kind, kind)
    if fields.get("name"):
        speaker = f"{speaker} {fields['name']}"
    more = fields.get("additional_kwargs")
    thought = fields.get("reasoning_content") or (
        more.get("reasoning_content") if isinstance(more, Mapping) else None
    )
    if isinstance(thought, str) and thought:
        yield Block(f"{speaker}, thinking", thought)
    calls = fields.get("tool_calls")
    made = [_called(call) for call in calls] if isinstance(calls, list) else []
    content = _content(fields.get("content"))
    if content or not made:
        yield Block(speaker, content)
    if made:
        yield Block(f"{speaker} calls", "\n".join(made))


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return "" if content is None else _written(content)
    parts: list[str] = []
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            parts.append(part["text"])
        else:
            parts.append(_written(part))
    return "\n".join(parts)


def _called(call: Any) -> str:
    if not isinstance(call, Mapping):
        return str(call)
    function = call.get("function")
    if isinstance(function, Mapping):  # OpenAI's form: the arguments are JSON in a text
        return f"{function.get('name')}({function.get('arguments') or ''})"
    given = call.get("args")
    return f"{call.get('name')}({_call(given) if isinstance(given, Mapping) else given or ''})"


def _call(given: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items()
    )


def _documents(value: Any) -> list[Block] | None:
    if not isinstance(value, list):
        return None
    found: list[Block] = []
    for number, each in enumerate(value, start=1):
        fields = _fields(each)
        text = fields.get("page_content")
        if not isinstance(text, str):
            return None
        noted = fields.get("metadata")
        notes = _call(noted) if isinstance(noted, Mapping) else ""
        found.append(Block(f"document {number}", f"{text}\n\n({notes})" if notes else text))
    return found


def _chunk(item: Any) -> int | str | None:
    if isinstance(item, int | str):
        return item
    fields = _fields(item)
    metadata = fields.get("metadata")
    for place, name in ((metadata, "chunk_id"), (fields, "chunk_id"), (fields, "id")):
        if isinstance(place, Mapping) and isinstance(found := place.get(name), int | str):
            return found
    return None


def _fields(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    inner = value.get("kwargs")
    return inner if value.get("lc") == 1 and isinstance(inner, Mapping) else value


def _class(serialized: Mapping[str, Any]) -> str:
    names = serialized.get("id")
    last = str(names[-1]) if isinstance(names, list) and names else "message"
    return last.removesuffix("Chunk").removesuffix("Message").lower() or "message"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= _ONE_LINE else json.dumps(value, ensure_ascii=False, indent=2)
