"""Messages and documents of a run as attributes of its span, in OpenInference's words.

Lists are written as attributes with a number in their names: `llm.input_messages.0.message.role`.
Needs the extra `otlp`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from openinference.semconv.trace import (
    DocumentAttributes,
    MessageAttributes,
    MessageContentAttributes,
    SpanAttributes,
    ToolCallAttributes,
)

from groundling.tracing.run import Payload

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def written(value: Any) -> str:
    """Write a value that came from the store as JSON."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def documents(outputs: Any) -> dict[str, Any]:
    """Return what a retriever found."""
    found = mapping(outputs).get("documents")
    told: dict[str, Any] = {}
    for n, each in enumerate(found if isinstance(found, list) else ()):
        document, start = fields(each), f"{SpanAttributes.RETRIEVAL_DOCUMENTS}.{n}."
        about = mapping(document.get("metadata"))
        known = document.get("id") or about.get("chunk_id") or about.get("id")
        score = about.get("score", about.get("relevance_score"))
        told[start + DocumentAttributes.DOCUMENT_ID] = None if known is None else str(known)
        told[start + DocumentAttributes.DOCUMENT_CONTENT] = document.get("page_content")
        told[start + DocumentAttributes.DOCUMENT_METADATA] = written(about) if about else None
        if isinstance(score, int | float):
            told[start + DocumentAttributes.DOCUMENT_SCORE] = float(score)
    return told


def messages(payload: Payload) -> dict[str, Any]:
    """Return what a model was told, and what it answered."""
    inputs, outputs = payload.inputs, mapping(payload.outputs)
    asked = inputs.get("messages") or inputs.get("prompts")
    while isinstance(asked, list) and asked and isinstance(asked[0], list) and asked[0]:
        if isinstance(asked[0][0], str):  # a pair of role and text
            break
        asked = asked[0]
    told: dict[str, Any] = {}
    for n, said in enumerate(asked if isinstance(asked, list) else ()):
        told |= dict(_message(f"{SpanAttributes.LLM_INPUT_MESSAGES}.{n}.", said, "user"))
    if given := answer(outputs):
        start = f"{SpanAttributes.LLM_OUTPUT_MESSAGES}.0."
        told |= dict(_message(start, given, "assistant"))
    return told


def _message(start: str, said: Any, role: str) -> Iterator[tuple[str, Any]]:
    if isinstance(said, str):
        said = {"content": said}
    if isinstance(said, list) and len(said) == 2:
        said = {"type": said[0], "content": said[1]}
    told = fields(said)
    kind = told.get("type") or told.get("role") or role
    yield start + MessageAttributes.MESSAGE_ROLE, _ROLES.get(str(kind), str(kind))
    yield start + MessageAttributes.MESSAGE_NAME, told.get("name")
    yield start + MessageAttributes.MESSAGE_TOOL_CALL_ID, told.get("tool_call_id")
    content = told.get("content")
    if isinstance(content, list):
        for n, block in enumerate(content):
            inside = f"{start}{MessageAttributes.MESSAGE_CONTENTS}.{n}."
            about = {"type": "text", "text": block} if isinstance(block, str) else mapping(block)
            yield inside + MessageContentAttributes.MESSAGE_CONTENT_TYPE, about.get("type")
            text = about.get("text", about.get("reasoning"))
            known = text if isinstance(text, str) else written(about)
            yield inside + MessageContentAttributes.MESSAGE_CONTENT_TEXT, known
    else:
        yield start + MessageAttributes.MESSAGE_CONTENT, content
    calls = told.get("tool_calls")
    for n, call in enumerate(calls if isinstance(calls, list) else ()):
        inside = f"{start}{MessageAttributes.MESSAGE_TOOL_CALLS}.{n}."
        function = mapping(mapping(call).get("function")) or mapping(call)
        arguments = function.get("args", function.get("arguments"))
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        yield inside + ToolCallAttributes.TOOL_CALL_ID, mapping(call).get("id")
        yield inside + ToolCallAttributes.TOOL_CALL_FUNCTION_NAME, function.get("name")
        yield inside + ToolCallAttributes.TOOL_CALL_FUNCTION_ARGUMENTS_JSON, arguments


def answer(outputs: Any) -> Mapping[str, Any]:
    """Return the message that a model answered with, in whichever form it was recorded."""
    found = mapping(outputs).get("generations")
    while isinstance(found, list) and found:
        found = found[0]
    generation = mapping(found)
    if message := mapping(generation.get("message")):
        return message
    if "text" in generation:
        return {"content": generation["text"]}
    choices = mapping(outputs).get("choices")
    first = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    return mapping(first.get("message")) or mapping(mapping(outputs).get("message"))


def fields(said: Any) -> Mapping[str, Any]:
    """Return the fields of a message or document, in LangChain's form or a plain one."""
    return mapping(mapping(said).get("kwargs")) or mapping(said)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping; an empty one in the place of anything else."""
    return value if isinstance(value, Mapping) else {}
