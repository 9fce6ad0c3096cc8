"""Chat completions as OpenAI writes them, whole and in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundling.server.openai.pieces import End, Piece, Usage, Whole

Json = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """What all chunks of an answer, and the whole, begin with."""

    id: str
    model: str
    created: int
    metadata: Json | None = None

    def completion(self, answers: Sequence[Whole]) -> Json:
        """Write whole answers."""
        usage = sum((one.end.usage for one in answers), start=Usage())
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [_choice(n, one) for n, one in enumerate(answers)],
            "usage": usage_of(_once(usage, answers)),
            **({"metadata": self.metadata} if self.metadata else {}),
        }

    def chunk(self, choices: list[Json], **further: Any) -> Json:
        """Write a chunk."""
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **further,
        }


def _once(usage: Usage, answers: Sequence[Whole]) -> Usage:
    """Count the prompt that all answers share once, as OpenAI does."""
    first = answers[0].end.usage
    return Usage(first.prompt, first.cached, usage.written)


def total(ends: Sequence[End]) -> Json:
    """Write what several answers to one prompt cost."""
    answers = [Whole(end=end) for end in ends]
    return usage_of(_once(sum((end.usage for end in ends), start=Usage()), answers))


def usage_of(usage: Usage) -> Json:
    """Write what an answer cost."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.written,
        "total_tokens": usage.prompt + usage.written,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def _choice(index: int, answer: Whole) -> Json:
    message: Json = {
        "role": "assistant",
        "content": answer.text if answer.text or not answer.calls else None,
        "refusal": None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.calls
        ]
    if answer.end.beside:
        message["groundling"] = answer.end.beside
    probable = {"content": answer.logprobs, "refusal": None} if answer.logprobs else None
    return {
        "index": index,
        "message": message,
        "logprobs": probable,
        "finish_reason": answer.end.reason,
    }


def choice(index: int, delta: Json, reason: str | None = None, logprobs: Any = None) -> Json:
    """Write what a chunk adds to one answer."""
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def delta_of(piece: Piece) -> Json:
    """Write what a piece adds."""
    delta: Json = {}
    if piece.text:
        delta["content"] = piece.text
    if piece.reasoning:
        delta["reasoning_content"] = piece.reasoning
    if piece.calls:
        delta["tool_calls"] = [
            {
                "index": call.index,
                **({"id": call.id, "type": "function"} if call.id is not None else {}),
                "function": {
                    **({"name": call.name} if call.name is not None else {}),
                    "arguments": call.arguments,
                },
            }
            for call in piece.calls
        ]
    return delta
