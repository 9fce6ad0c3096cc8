"""From the engine's chunks to LangChain messages: text, thoughts, tool calls, what it cost."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk

from groundling.models.calls import Chunk, TokenProbability, Usage
from groundling.models.dialects import CallArguments, CallStart, Event, Parser, Text

PROVIDER = "groundling"


class Thoughts:
    """Separate what a model thinks at the start of its answer from the rest.

    Args:
        marks: what opens and closes the thoughts.
        inside: the prompt has opened them already.
    """

    def __init__(self, marks: tuple[str, str], inside: bool = False) -> None:
        self._open, self._close = marks
        self._state: Literal["before", "inside", "space", "after"] = (
            "inside" if inside else "before"
        )
        self._held = ""

    def push(self, text: str) -> tuple[str, str]:
        """Read the next piece; return what of it is thought and what is answer."""
        self._held += text
        thought = ""
        if self._state == "before":
            begun = self._held.lstrip()
            if begun.startswith(self._open):
                self._state, self._held = "inside", begun[len(self._open) :]
            elif begun and not self._open.startswith(begun):
                self._state = "after"
            else:
                return "", ""
        if self._state == "inside":
            thought, closed, rest = self._held.partition(self._close)
            if not closed:
                keep = _overlap(self._held, self._close)
                thought, self._held = self._held[: len(self._held) - keep], self._held[-keep:]
                self._held = self._held if keep else ""
                return thought, ""
            self._state, self._held = "space", rest
        if self._state == "space":
            self._held = self._held.lstrip()
            if not self._held:
                return thought, ""
            self._state = "after"
        answer, self._held = self._held, ""
        return thought, answer

    def finish(self) -> tuple[str, str]:
        """Return what was held back."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "inside" else ("", held)


def _overlap(text: str, mark: str) -> int:
    """Return the length of the longest end of the text that begins the mark."""
    lengths = range(min(len(text), len(mark) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(mark[:length])), 0)


class AnswerReader:
    """Turn one call's chunks into messages, whole or piece by piece.

    Args:
        model_name: what is shown of the model.
        thoughts: separates them from the answer.
        parser: finds tool calls; None where no tool may be called.
        markup: matches control tokens' texts, where the engine writes them, too.
        adapters: what is shown of those that the model answers with.
    """

    def __init__(
        self,
        model_name: str,
        thoughts: Thoughts,
        parser: Parser | None = None,
        markup: re.Pattern[str] | None = None,
        adapters: Sequence[str] = (),
    ) -> None:
        self._model_name = model_name
        self._adapters = list(adapters)
        self._thoughts = thoughts
        self._parser = parser
        self._markup = markup
        self._ids: list[str] = []
        self._kinds: list[str] = []

    def read(self, chunk: Chunk) -> AIMessageChunk | None:
        """Return what a chunk adds to the message; None: nothing yet."""
        thought, answer = self._thoughts.push(chunk.text)
        last = chunk.finish_reason is not None
        if last:
            more = self._thoughts.finish()
            thought, answer = thought + more[0], answer + more[1]
        events: list[Event] = [Text(answer)] if answer else []
        if self._parser is not None:
            events = self._parser.push(answer)
            if last:
                events += self._parser.finish()
        text, calls = "", []
        if thought:
            self._begin("reasoning")
        for event in events:
            if isinstance(event, Text):
                text += self._clean(event.text)
            elif isinstance(event, CallStart | CallArguments):
                if text:
                    self._begin("text")
                calls.append(self._call(event))
        if text:
            self._begin("text")
        metadata = self._metadata(chunk)
        if not (text or thought or calls or metadata):
            return None
        return AIMessageChunk(
            content=text,
            additional_kwargs={"reasoning_content": self._clean(thought)} if thought else {},
            tool_call_chunks=_joined(calls),
            usage_metadata=usage_metadata(chunk.usage) if chunk.usage is not None else None,
            response_metadata=metadata,
            chunk_position="last" if last else None,
        )

    def message(self, chunks: Sequence[Chunk]) -> AIMessage:
        """Return the whole message."""
        pieces = [piece for piece in map(self.read, chunks) if piece is not None]
        first, *rest = pieces
        whole = first + rest if rest else first
        calls, invalid = self._calls()
        return AIMessage(
            content=whole.content,
            additional_kwargs=whole.additional_kwargs,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            usage_metadata=whole.usage_metadata,
            response_metadata=whole.response_metadata,
        )

    def _begin(self, kind: str) -> None:
        if not self._kinds or self._kinds[-1] != kind:
            self._kinds.append(kind)

    def _call(self, event: CallStart | CallArguments) -> ToolCallChunk:
        if isinstance(event, CallStart):
            self._ids.append(uuid.uuid4().hex[:9])
            self._kinds.append(f"call {event.index}")
            name, args, id = event.name, "", self._ids[event.index]
        else:
            name, args, id = None, event.text, None
        return ToolCallChunk(
            name=name, args=args, id=id, index=self._place(event.index), type="tool_call_chunk"
        )

    def _place(self, call: int) -> int:
        # LangChain joins content blocks by their index, and numbers thoughts and text by
        # itself, one number for each run of a kind; later calls stay clear of those.
        return 100 + call if call else self._kinds.index("call 0")

    def _calls(self) -> tuple[list[ToolCall], list[InvalidToolCall]]:
        calls, invalid = [], []
        for id, call in zip(self._ids, self._parser.calls if self._parser else (), strict=True):
            if call.error is None and call.name is not None:
                arguments = json.loads(call.arguments, strict=False)
                calls.append(ToolCall(name=call.name, args=arguments, id=id, type="tool_call"))
            else:
                invalid.append(
                    InvalidToolCall(
                        name=call.name,
                        args=call.arguments,
                        id=id,
                        error=call.error,
                        type="invalid_tool_call",
                    )
                )
        return calls, invalid

    def _clean(self, text: str) -> str:
        return self._markup.sub("", text) if self._markup is not None else text

    def _metadata(self, chunk: Chunk) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        if chunk.logprobs:
            metadata["logprobs"] = {"content": [_logprob(token) for token in chunk.logprobs]}
        if chunk.finish_reason is None:
            return metadata
        reason: str = chunk.finish_reason
        if reason == "stop" and self._ids:
            reason = "tool_calls"
        metadata |= {
            "model_name": self._model_name,
            "model_provider": PROVIDER,
            "finish_reason": reason,
        }
        if self._adapters:
            metadata["adapters"] = self._adapters
        return metadata | (timings(chunk.usage) if chunk.usage is not None else {})


def _joined(calls: Sequence[ToolCallChunk]) -> list[ToolCallChunk]:
    """Join the pieces of one call that arrived together."""
    joined: list[ToolCallChunk] = []
    for call in calls:
        if joined and joined[-1]["index"] == call["index"]:
            before = joined[-1]["args"] or ""
            joined[-1] = {**joined[-1], "args": before + (call["args"] or "")}
        else:
            joined.append(call)
    return joined


def usage_metadata(usage: Usage) -> UsageMetadata:
    """Return a call's tokens in LangChain's form."""
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        input_token_details=InputTokenDetails(cache_read=usage.cached_tokens),
    )


def timings(usage: Usage) -> dict[str, float]:
    """Return what a call took, in seconds, and how its guesses fared."""
    speed = usage.completion_tokens / usage.decode_seconds if usage.decode_seconds else 0.0
    return {
        "queued_seconds": round(usage.queued_seconds, 3),
        "prefill_seconds": round(usage.prefill_seconds, 3),
        "decode_seconds": round(usage.decode_seconds, 3),
        "tokens_per_second": round(speed, 1),
        "drafted_tokens": usage.drafted_tokens,
        "accepted_tokens": usage.accepted_tokens,
    }


def _logprob(token: TokenProbability) -> dict[str, Any]:
    """Write a token's probability as OpenAI's interface does."""

    def entry(piece: bytes, logprob: float) -> dict[str, Any]:
        text = piece.decode("utf-8", "replace")
        return {"token": text, "bytes": list(piece), "logprob": logprob}

    others = [entry(piece, logprob) for piece, logprob in token.likeliest]
    return {**entry(token.piece, token.logprob), "top_logprobs": others}
