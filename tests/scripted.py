"""A chat model that says what a test enqueued."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel, Field


class ScriptedChat(BaseChatModel):
    """Answer with the enqueued replies, in order; an empty queue fails the test.

    Args:
        replies: the answers to `invoke` and `stream`; an exception is raised instead.
        choices: the answers to `choose`: weights by option, or the option to take.
    """

    replies: list[Any] = Field(default_factory=list)
    choices: list[str | Mapping[str, float]] = Field(default_factory=list)
    prompts: list[list[BaseMessage]] = Field(default_factory=list)
    """Every prompt that came, those of `choose` among them, oldest first."""
    bound: list[list[Any]] = Field(default_factory=list)

    def __init__(self, replies: Sequence[str | AIMessage | Exception] = (), **fields: Any) -> None:
        super().__init__(replies=list(replies), **fields)

    def enqueue(self, *replies: str | AIMessage | Exception) -> None:
        """Add replies."""
        self.replies.extend(replies)

    def enqueue_choice(self, *choices: str | Mapping[str, float]) -> None:
        """Add answers to `choose`."""
        self.choices.extend(choices)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def get_num_tokens(self, text: str) -> int:
        """Count words: near enough for budgets, and needs no vocabulary."""
        return len(text.split())

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Any = None
    ) -> int:
        """Count the words of all messages."""
        return sum(self.get_num_tokens(message.text) for message in messages)

    def _next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        self.prompts.append(list(messages))
        assert self.replies, f"no reply enqueued for: {messages[-1].text!r}"
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return AIMessage(reply) if isinstance(reply, str) else reply

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._next(messages)
        words = reply.text.split(" ")
        for n, word in enumerate(words):
            last = n == len(words) - 1
            chunk = ChatGenerationChunk(
                message=AIMessageChunk(
                    content=word if last else word + " ",
                    tool_calls=reply.tool_calls if last else [],
                    chunk_position="last" if last else None,
                )
            )
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Answer as ever; what was bound stands in `bound`."""
        self.bound.append([*tools])
        return self

    def with_structured_output(
        self, schema: dict[str, Any] | type, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """Read the next reply as JSON; a pydantic class validates it."""

        def parse(message: AIMessage) -> Any:
            if isinstance(schema, type) and issubclass(schema, BaseModel):
                return schema.model_validate_json(message.text)
            return json.loads(message.text)

        return self | RunnableLambda(parse)

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> dict[str, float]:
        """Answer with the next enqueued choice."""
        self.prompts.append(list(messages))
        assert self.choices, f"no choice enqueued for: {messages[-1].text!r}"
        choice = self.choices.pop(0)
        if isinstance(choice, str):
            assert choice in options, f"{choice!r} is not among {list(options)}"
            return {option: float(option == choice) for option in options}
        assert set(choice) == set(options), f"{dict(choice)} does not weigh {list(options)}"
        return dict(choice)

    async def achoose(
        self,
        messages: Sequence[BaseMessage],
        options: Sequence[str],
        *,
        config: Any = None,
    ) -> dict[str, float]:
        """Answer with the next enqueued choice."""
        return self.choose(messages, options)
