"""What an answer is made of while it comes, whichever model writes it in whichever interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True)
class Usage:
    """Tokens of an answer: of its prompt, those of them that were not read again, written ones."""

    prompt: int = 0
    cached: int = 0
    written: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt, self.cached + other.cached, self.written + other.written
        )


@dataclass(frozen=True)
class CallPiece:
    """A piece of a tool call: its beginning has `id` and `name`, what follows arguments."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class End:
    """How an answer ended, and what is told beside its text."""

    reason: FinishReason
    usage: Usage
    beside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """What comes next of an answer; the last one has its `end`.

    Args:
        text: of the answer.
        reasoning: what the model thinks before it.
        calls: of tools.
        logprobs: of tokens written since the last piece, in OpenAI's form.
        step: of a graph, which has begun.
        end: see there.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    step: str | None = None
    end: End | None = None


Pieces = AsyncIterator[Piece]


@dataclass
class Call:
    """A whole tool call."""

    id: str
    name: str
    arguments: str = ""


@dataclass
class Whole:
    """An answer that is put together from its pieces."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    end: End = field(default_factory=lambda: End("stop", Usage()))

    def add(self, piece: Piece) -> None:
        """Add the next piece."""
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.logprobs += piece.logprobs
        for part in piece.calls:
            if part.index >= len(self.calls):
                self.calls.append(Call(part.id or "", part.name or ""))
            self.calls[part.index].arguments += part.arguments
        if piece.end is not None:
            self.end = piece.end
