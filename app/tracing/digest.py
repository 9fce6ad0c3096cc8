"""What a run says of itself: model, prompt, tokens, verdict, and the text to find it by.

Read out of the payload when a run is stored, so that lists and statistics need not open it.
Knows the forms of LangChain's tracer, of LangSmith's wrappers, and of the graphs here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREVIEW = 200  # characters
INDEXED = 6_000  # characters of a run that text search reads
_SAID = ("answer", "output", "result", "text", "content", "completion", "generation")
_ASKED = ("question", "query", "input", "task", "prompt", "text", "inputs")
_TEXTLESS = frozenset({"id", "lc", "type", "response_metadata", "additional_kwargs", "kind"})
_SEARCHED = frozenset({"tool", "retriever", "llm"})


@dataclass(slots=True)
class Digest:
    """Columns of a run that stand in its payload; None where nothing is said."""

    model: str | None = None
    prompt: str | None = None
    prompt_sha256: str | None = None
    node: str | None = None
    thread: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    first_token: int | None = None
    speed: float | None = None
    verdict: str | None = None
    interrupted: bool = False
    preview: str | None = None
    answer: str | None = None


def digest(inputs: Any, outputs: Any, extra: Any) -> Digest:
    """Read the columns out of a run's decoded payload; any part may be missing or odd."""
    found = Digest()
    metadata = _mapping(_mapping(extra).get("metadata"))
    found.model = _text(metadata.get("ls_model_name"))
    found.prompt = _text(metadata.get("prompt"))
    found.prompt_sha256 = _text(metadata.get("prompt_sha256"))
    found.node = _text(metadata.get("langgraph_node"))
    thread = metadata.get("thread_id") or metadata.get("session_id")
    found.thread = None if thread is None else str(thread)
    if inputs is not None:
        found.preview = _shortly(asked(inputs))
    if outputs is None:
        return found
    out = _mapping(outputs)
    found.interrupted = bool(out.get("__interrupt__"))
    found.verdict = _text(out.get("verdict"))
    found.answer = _shortly(said(outputs))
    message = _answer_message(out)
    usage = _mapping(
        message.get("usage_metadata") or out.get("usage_metadata") or metadata.get("usage_metadata")
    )
    if not usage:
        reported = _mapping(_mapping(out.get("llm_output")).get("token_usage"))
        usage = {
            "input_tokens": reported.get("prompt_tokens"),
            "output_tokens": reported.get("completion_tokens"),
        }
    found.input_tokens = _count(usage.get("input_tokens"))
    found.output_tokens = _count(usage.get("output_tokens"))
    found.cached_tokens = _count(_mapping(usage.get("input_token_details")).get("cache_read"))
    response = _mapping(message.get("response_metadata"))
    found.speed = _number(response.get("tokens_per_second"))
    waited = _number(response.get("prefill_seconds"))
    if waited is not None:
        waited += _number(response.get("queued_seconds")) or 0.0
        found.first_token = int(waited * 1e6)
    found.model = found.model or _text(response.get("model_name"))
    return found


def asked(inputs: Any) -> str:
    """Return what a run was asked, in words."""
    if isinstance(inputs, Mapping):
        for key in _ASKED:
            if isinstance(inputs.get(key), str):
                return str(inputs[key])
        if messages := _messages(inputs):
            return _message_text(messages[-1])
        if isinstance(prompts := inputs.get("prompts"), list) and prompts:
            return str(prompts[-1])
    return " ".join(words(inputs, PREVIEW))


def said(outputs: Any) -> str:
    """Return what a run answered, in words."""
    if isinstance(outputs, Mapping):
        for key in _SAID:
            if isinstance(outputs.get(key), str):
                return str(outputs[key])
        if message := _answer_message(outputs):
            return _message_text(message)
        if messages := _messages(outputs):
            return _message_text(messages[-1])
        choice = _mapping(outputs.get("output"))
        if "content" in (_mapping(choice.get("kwargs")) or choice):
            return _message_text(choice)
    return " ".join(words(outputs, PREVIEW))


def searchable(run_type: str, root: bool, inputs: Any, outputs: Any, error: str | None) -> str:
    """Return the text that a search finds a run by.

    Nodes in between repeat what the root and the models say: of them only errors are found,
    and of models that a graph calls only what they answered.
    """
    parts = [error or ""]
    if root or run_type in _SEARCHED:
        parts += words(outputs, INDEXED)
    if root or run_type in _SEARCHED - {"llm"}:
        parts += words(inputs, INDEXED)
    return "\n".join(parts)


def words(value: Any, limit: int) -> Iterator[str]:
    """Yield the texts in a JSON value, in order, `limit` characters at most."""
    left = limit
    waiting = [value]
    while waiting and left > 0:
        each = waiting.pop()
        if isinstance(each, str):
            yield each[:left]
            left -= len(each)
        elif isinstance(each, Mapping):
            waiting.extend(
                inner for key, inner in reversed(list(each.items())) if key not in _TEXTLESS
            )
        elif isinstance(each, list):
            waiting.extend(reversed(each))
        elif isinstance(each, int | float) and not isinstance(each, bool):
            yield str(each)
            left -= 8


def _answer_message(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of the message that a model answered with."""
    generations = outputs.get("generations")
    while isinstance(generations, list) and generations:
        generations = generations[0]
    generation = _mapping(generations)
    if message := _mapping(generation.get("message")):
        return _mapping(message.get("kwargs")) or message
    if "text" in generation:
        return {"content": generation["text"]}
    message = _mapping(outputs.get("message"))
    return _mapping(message.get("kwargs")) or message


def _messages(value: Mapping[str, Any]) -> list[Any]:
    messages = value.get("messages")
    while isinstance(messages, list) and messages and isinstance(messages[-1], list):
        messages = messages[-1]
    return messages if isinstance(messages, list) else []


def _message_text(message: Any) -> str:
    fields = _mapping(_mapping(message).get("kwargs")) or _mapping(message)
    if not fields:
        return " ".join(words(message, PREVIEW))
    content = fields.get("content")
    if isinstance(content, str) and content:
        return content
    if isinstance(content, list) and content:
        return " ".join(
            block if isinstance(block, str) else str(_mapping(block).get("text") or "")
            for block in content
        )
    calls = fields.get("tool_calls")
    if isinstance(calls, list) and calls:
        return ", ".join(
            f"{_mapping(call).get('name')}({_arguments(_mapping(call).get('args'))})"
            for call in calls
        )
    return str(content or "")


def _arguments(given: Any) -> str:
    if isinstance(given, Mapping):
        return ", ".join(f"{name}={value!r}" for name, value in given.items())
    return "" if given is None else str(given)


def _shortly(text: str) -> str:
    return " ".join(text[: 2 * PREVIEW].split())[:PREVIEW]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**53 else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None
