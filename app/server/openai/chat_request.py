"""The body of a chat completion request: which fields there are, and what they may hold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from groundling.server.openai.asked import (
    MOST_ANSWERS,
    SEEDS,
    Asked,
    Effort,
    Extras,
    Function,
    Listed,
    Share,
    Temperature,
    Tokens,
    biases,
    chosen_tools,
    form_of,
    stops,
    thinks,
)
from groundling.server.openai.bodies import Body, unsupported, wrong
from groundling.server.openai.messages import conversation

Json = dict[str, Any]


class StreamOptions(Body):
    """How an answer is streamed."""

    include_usage: bool = False


class Tool(Body):
    """A tool; functions are the only kind that a model here can call."""

    type: Literal["function"]
    function: Function


class Thinking(Body):
    """`chat_template_kwargs`, as vLLM and llama.cpp's server take them."""

    enable_thinking: bool | None = None


class ChatRequest(Body):
    """The body; `top_k`, `min_p` and `repeat_penalty` are llama.cpp's, not OpenAI's."""

    model: str = Field(max_length=300)
    messages: list[Any] = Field(max_length=10_000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: Json | None = None
    stop: str | list[str] | None = None
    n: int | None = Field(None, ge=1, le=MOST_ANSWERS)
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    min_p: Share | None = None
    repeat_penalty: float | None = Field(None, ge=0.01, le=10)
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    logprobs: bool | None = None
    top_logprobs: Listed | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    reasoning_effort: Effort | None = None
    chat_template_kwargs: Thinking | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    user: str | None = None
    modalities: list[str] | None = None
    audio: Json | None = None
    functions: list[Any] | None = None
    function_call: str | Json | None = None
    web_search_options: Json | None = None
    groundling: Extras | None = None

    def asked(self) -> Asked:
        """Return what is asked.

        Raises:
            Problem: 400; a field is wrong, or asks for something that is not there.
        """
        self._refuse()
        tools, chosen = chosen_tools([tool.function for tool in self.tools or ()], self.tool_choice)
        return Asked(
            messages=conversation(self.messages),
            sampling=self._sampling(),
            stop=stops(self.stop),
            tools=tools,
            tool_choice=chosen,
            parallel=self.parallel_tool_calls is not False,
            form=form_of(self.response_format),
            answers=self.n or 1,
            extras=self.groundling or Extras(),
        )

    def _refuse(self) -> None:
        if self.audio is not None or (self.modalities or ["text"]) != ["text"]:
            raise unsupported("modalities", "the models here write text")
        if self.functions or self.function_call is not None:
            raise unsupported("functions", "they are an older form", hint="Use tools.")
        if self.web_search_options is not None:
            raise unsupported("web_search_options", "nothing is searched outside this machine")
        if self.top_logprobs is not None and not self.logprobs:
            raise wrong("top_logprobs", "it wants logprobs to be true")
        if self.stream_options is not None and not self.stream:
            raise wrong("stream_options", "it wants stream to be true")

    def _sampling(self) -> Json:
        thinking = thinks(self.reasoning_effort)
        if thinking is None and self.chat_template_kwargs is not None:
            thinking = self.chat_template_kwargs.enable_thinking
        wishes = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repeat_penalty": self.repeat_penalty,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "seed": None if self.seed is None else self.seed % SEEDS,
            "logprobs": self.logprobs or None,
            "top_logprobs": self.top_logprobs,
            "logit_bias": biases(self.logit_bias),
            "frequency_penalty": self.frequency_penalty or None,
            "presence_penalty": self.presence_penalty or None,
            "reasoning": thinking,
        }
        return {name: value for name, value in wishes.items() if value is not None}
