"""LangChain's messages as OpenAI's interface writes them, and back.

Reasoning that a server separates (llama.cpp and vLLM send `reasoning_content`) is kept in
`additional_kwargs`, where LangChain's content blocks look for it; it is not sent back.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.messages.utils import convert_to_openai_messages, message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from groundling.models.dialects import CallArguments, CallStart, Event, Parser, Text
from groundling.models.remote.errors import nonsense
from groundling.models.remote.http import Json

_OURS = ("reasoning", "thinking", "tool_call", "tool_use", "non_standard", "invalid_tool_call")


def to_wire(messages: Sequence[BaseMessage]) -> list[Json]:
    """Write a conversation as the server reads it."""
    return convert_to_openai_messages([_sendable(message) for message in messages])


def _sendable(message: BaseMessage) -> BaseMessage:
    """Leave out of an answer what only LangChain knows; its tool calls stand beside it."""
    if not isinstance(message, AIMessage) or isinstance(message.content, str):
        return message
    kept = [
        block
        for block in message.content
        if not (isinstance(block, dict) and block.get("type") in _OURS)
    ]
    return message.model_copy(update={"content": kept or ""})


class Answer:
    """An answer as it comes in: feed it the server's events, then take its last chunks.

    Args:
        base_url: of the server, for errors.
        parser: finds tool calls that the server leaves in the text.
    """

    def __init__(self, base_url: str, parser: Parser | None = None) -> None:
        self._base_url = base_url
        self._parser = parser
        self._metadata: Json = {"model_provider": "openai-compatible"}
        self._usage: UsageMetadata | None = None
        self._logprobs: list[Json] = []

    def feed(self, event: Json) -> Iterator[ChatGenerationChunk]:
        """Yield what an event adds to the answer.

        Args:
            event: one of a stream, whose parts are called `delta`, or a whole answer, where
                the part is called `message`.
        """
        try:
            self._note(event)
            for choice in event.get("choices") or ():
                part = choice.get("delta") or choice.get("message") or {}
                if choice.get("finish_reason"):
                    self._metadata["finish_reason"] = str(choice["finish_reason"])
                self._logprobs += (choice.get("logprobs") or {}).get("content") or ()
                message = _chunk(part)
                if self._parser is not None and isinstance(message.content, str):
                    message = self._parsed(message, self._parser.push(message.content))
                if message.content or message.tool_call_chunks or message.additional_kwargs:
                    yield ChatGenerationChunk(message=message)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise nonsense(self._base_url, str(event)) from None

    def end(self) -> Iterator[ChatGenerationChunk]:
        """Yield what was held back, then how the answer ended and what it cost.

        Raises:
            ModelError: the server stopped without saying why.
        """
        if "finish_reason" not in self._metadata:
            raise nonsense(self._base_url, "an answer without an end")
        if self._parser is not None:
            message = self._parsed(AIMessageChunk(content=""), self._parser.finish())
            if message.content or message.tool_call_chunks:
                yield ChatGenerationChunk(message=message)
        if self._logprobs:
            self._metadata["logprobs"] = {"content": self._logprobs}
        message = AIMessageChunk(
            content="",
            usage_metadata=self._usage,
            response_metadata=self._metadata,
            chunk_position="last",
        )
        info = {"finish_reason": self._metadata["finish_reason"]}
        yield ChatGenerationChunk(message=message, generation_info=info)

    def _parsed(self, message: AIMessageChunk, events: Sequence[Event]) -> AIMessageChunk:
        """Move the calls that a parser found out of the text, beside those of the server."""
        calls = list(message.tool_call_chunks)
        for event in events:
            if isinstance(event, CallStart):
                # Far from the indexes of the server's own calls, to which it must not be joined.
                id = f"call_{uuid.uuid4().hex[:24]}"
                index = 1000 + event.index
                calls.append(tool_call_chunk(name=event.name, args="", id=id, index=index))
            elif isinstance(event, CallArguments):
                index = 1000 + event.index
                if calls and calls[-1]["index"] == index:
                    calls[-1]["args"] = (calls[-1]["args"] or "") + event.text
                else:
                    calls.append(tool_call_chunk(args=event.text, index=index))
        return AIMessageChunk(
            content="".join(event.text for event in events if isinstance(event, Text)),
            additional_kwargs=message.additional_kwargs,
            tool_call_chunks=calls,
        )

    def _note(self, event: Json) -> None:
        if event.get("model"):
            self._metadata["model_name"] = _base_name(str(event["model"]))
        if event.get("usage"):
            self._usage = usage_of(event["usage"])
        timings = event.get("timings")
        if timings:
            self._metadata["prefill_seconds"] = round(timings["prompt_ms"] / 1000, 3)
            self._metadata["tokens_per_second"] = round(timings["predicted_per_second"], 1)


def result_of(chunks: Iterable[ChatGenerationChunk]) -> ChatResult:
    """Join an answer's chunks to the result that `invoke` returns."""
    first, *rest = chunks
    whole = sum(rest, start=first)
    message = message_chunk_to_message(whole.message)
    generation = ChatGeneration(message=message, generation_info=whole.generation_info)
    return ChatResult(generations=[generation])


def _chunk(part: Mapping[str, Any]) -> AIMessageChunk:
    reasoning = part.get("reasoning_content") or part.get("reasoning")
    return AIMessageChunk(
        content=part.get("content") or "",
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        tool_call_chunks=[
            _tool_call(number, call) for number, call in enumerate(part.get("tool_calls") or ())
        ],
    )


def _tool_call(number: int, call: Mapping[str, Any]) -> ToolCallChunk:
    function = call.get("function") or {}
    return tool_call_chunk(
        name=function.get("name") or None,
        args=function.get("arguments") or "",
        id=call.get("id") or None,
        index=call.get("index", number),
    )


def usage_of(usage: Mapping[str, Any]) -> UsageMetadata:
    """Read what a call cost; servers that tell nothing of the cache are not made to."""
    prompt, written = int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
    metadata = UsageMetadata(
        input_tokens=prompt, output_tokens=written, total_tokens=prompt + written
    )
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    if cached is not None:
        metadata["input_token_details"] = InputTokenDetails(cache_read=int(cached))
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if reasoning is not None:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=int(reasoning))
    return metadata


def _base_name(model: str) -> str:
    """Drop the folders: llama.cpp's server calls a model by the path of its file."""
    return model.replace("\\", "/").rpartition("/")[2] if model.startswith(("/", ".")) else model
