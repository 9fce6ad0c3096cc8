"""A chat model that costs nothing, so that what is measured is everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class Echo(BaseChatModel):
    """Says the same words each time.

    Args:
        words: how many.
        hold: seconds before the first one; nothing is computed meanwhile.
    """

    words: int = 16
    hold: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "echo"

    def get_num_tokens(self, text: str) -> int:
        """Count words: no vocabulary is needed."""
        return len(text.split())

    def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
        """Count the words of all messages."""
        return sum(self.get_num_tokens(message.text) for message in messages)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "".join(chunk.text for chunk in self._chunks())
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self.hold:
            await asyncio.sleep(self.hold)
        for chunk in self._chunks():
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        for n in range(self.words):
            last = "last" if n == self.words - 1 else None
            message = AIMessageChunk(content=f"word{n} ", chunk_position=last)
            yield ChatGenerationChunk(message=message)
