"""`ChatRemote`: a model on another server, with the surface of `ChatLlama`.

    model = ChatRemote(base_url="http://127.0.0.1:8080/v1")
    model.invoke("Why is the sky blue?")
    model.choose([HumanMessage("Is grass green?")], ["yes", "no"])  # {'yes': 0.97, 'no': 0.03}
    model.capabilities()  # Capabilities(server='llama.cpp', choose='exact', …)

Any OpenAI-compatible server will do: llama.cpp's `llama-server`, vLLM, xllamacpp. What one
cannot do is emulated, and `capabilities` says so. Only the named server is ever asked, and
constructing a model asks nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from groundling.errors import ModelError
from groundling.models.choosing import Choices
from groundling.models.forming import FormingChat
from groundling.models.remote.choice import choose_by_listing, choose_exactly
from groundling.models.remote.http import Dialogue, Endpoint, Json
from groundling.models.remote.request import streamed, write_request
from groundling.models.remote.server import (
    Capabilities,
    estimate,
    prompt_tokens,
    recognise,
    tokenize,
)
from groundling.models.remote.tools import chosen
from groundling.models.remote.wire import Answer, result_of, to_wire
from groundling.models.sampled import SAMPLING_FIELDS, Sampled
from groundling.settings import ModelSettings, Settings, server_address

_DEFAULTS = ModelSettings.model_construct()
_CALL_SETTINGS = {
    *SAMPLING_FIELDS, "max_tokens", "model", "reasoning", "logprobs", "top_logprobs", "tools",
    "tool_choice", "parallel_tool_calls", "strict", "response_format",
}  # fmt: skip


class ChatRemote(Sampled, FormingChat):
    """A chat model that another process or machine runs.

    Every setting of the sampler can also be given with a call (`invoke(…, temperature=1.0)`),
    and so can `model`, `max_tokens`, `logprobs`, `top_logprobs` and `reasoning`. Those that
    the server does not know are not sent: see `capabilities().sampling`.

    Raises (from calls, not from the constructor):
        ModelError: the server cannot be reached, refuses the key, or answers nonsense.
        ModelNotFound: it has no model of that name.
        ContextOverflow: the prompt is longer than the server's context; it is LangChain's
            `ContextOverflowError`, too.
        EngineBusy: the server takes no call now.
    """

    model_config = ConfigDict(extra="forbid")

    base_url: str = Field(description="the server's OpenAI-compatible part: http://host:port/v1")
    model: str | None = Field(None, description="default: the first that the server names")
    api_key: SecretStr | None = Field(None, description="sent as a bearer token")
    max_tokens: int | None = Field(_DEFAULTS.max_tokens, ge=1, description="longest answer")
    stop: list[str] | None = Field(None, description="strings that end every answer")
    timeout: float | None = Field(600.0, gt=0.0, description="seconds for one whole call")
    reasoning: bool | None = Field(
        None, description="whether to think first, where the template asks; None: its default"
    )
    logprobs: bool = Field(False, description="log-probabilities in `response_metadata`")
    top_logprobs: int | None = Field(None, ge=0, description="of the likeliest tokens, too")
    streaming: bool = Field(False, description="`invoke` streams to callbacks, too")
    max_retries: int | None = Field(None, ge=0, description="further attempts to connect")

    _found: Capabilities | None = PrivateAttr(None)

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return server_address(value)

    @classmethod
    def from_settings(cls, settings: Settings) -> ChatRemote:
        """Make the chat model that the settings of a home folder describe."""
        wanted = settings.model
        assert wanted.base_url is not None
        name = None if wanted.name == _DEFAULTS.name else wanted.name
        shared = {"max_tokens", *SAMPLING_FIELDS} & set(ModelSettings.model_fields)
        values = {field: getattr(wanted, field) for field in shared}
        return cls(base_url=wanted.base_url, api_key=wanted.api_key, model=name, **values)

    # What the server is

    def capabilities(self) -> Capabilities:
        """Ask the server, once, what it is and can do."""
        return self._endpoint.run(self._capabilities())

    async def acapabilities(self) -> Capabilities:
        """Ask the server, once, what it is and can do, without blocking the event loop."""
        return await self._endpoint.arun(self._capabilities())

    @property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.base_url, self.api_key, self.timeout, self.max_retries or 0)

    def _capabilities(self) -> Dialogue[Capabilities]:
        if self._found is None:
            self._found = yield from recognise(self.base_url, self.model)
        return self._found

    # Counting and choosing

    def get_token_ids(self, text: str) -> list[int]:
        """Split a text into the model's own tokens.

        Raises:
            ModelError: the server does not tell them.
        """
        return self._endpoint.run(self._token_ids(text))

    def get_num_tokens(self, text: str) -> int:
        """Count a text's tokens, or estimate them; `capabilities().counting` says which."""

        def count() -> Dialogue[int]:
            found = yield from self._capabilities()
            if found.counting == "estimated":
                return estimate(text)
            return len((yield from tokenize(self.base_url, text, special=False)))

        return self._endpoint.run(count())

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """Count the tokens of a conversation, markup included; elsewhere, estimate them."""

        def count() -> Dialogue[int]:
            found = yield from self._capabilities()
            body: Json = {"messages": to_wire(messages)}
            if tools:
                body["tools"] = [convert_to_openai_tool(tool) for tool in tools]
            if found.counting == "estimated":
                return sum(4 + estimate(str(part)) for part in (*body["messages"], *(tools or ())))
            return len((yield from prompt_tokens(self.base_url, body)))

        return self._endpoint.run(count())

    def _choosing(
        self, options: Sequence[str], wishes: Mapping[str, Any]
    ) -> Runnable[dict[str, Any], list[Choices]]:
        if wishes["adapters"]:
            raise ValueError("a server takes no adapters with a call")
        model = wishes["model"]

        def weigh(asked: dict[str, Any]) -> list[Choices]:
            endpoint = self._endpoint
            return [endpoint.run(self._choose(one, options, model)) for one in asked["prompts"]]

        async def aweigh(asked: dict[str, Any]) -> list[Choices]:
            endpoint = self._endpoint
            found = []
            for one in asked["prompts"]:
                found += [await endpoint.arun(self._choose(one, options, model))]
            return found

        return RunnableLambda(weigh, aweigh, name="choose")

    def _choose(
        self, messages: Sequence[BaseMessage], options: Sequence[str], model: str | None
    ) -> Dialogue[Choices]:
        found = yield from self._capabilities()
        wishes = {"model": model or self.model, "reasoning": False}
        body, _ = write_request(messages, (), wishes, found)
        if found.choose == "exact":
            return (yield from choose_exactly(self.base_url, body, options))
        return (yield from choose_by_listing(self.base_url, body, options))

    # Tools and structure

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: functions, classes, tools or OpenAI's descriptions of them.
            tool_choice: `none`, `auto`, `any` or `required`, or the name of one tool.
            parallel_tool_calls: whether one answer may hold several calls.
            strict: told to the server, for those that ask for it.

        Raises:
            ValueError: no tool has the name that must be called.
        """
        written = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        wishes = {
            "tool_choice": chosen(written, tool_choice),  # a wrong name fails here
            "parallel_tool_calls": parallel_tool_calls,
        }
        given = {name: value for name, value in wishes.items() if value is not None}
        return self.bind(tools=written, **given, **kwargs)

    # What BaseChatModel asks for

    @property
    def _llm_type(self) -> str:
        return "groundling-remote"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("base_url", "model", "stop", "max_tokens", "reasoning", *SAMPLING_FIELDS)
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = urlsplit(self.base_url).netloc
        params["ls_model_name"] = kwargs.get("model") or self.model or "default"
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        # Known without asking; what depends on the server is in `capabilities`.
        return ModelProfile(
            text_inputs=True,
            text_outputs=True,
            tool_calling=True,
            tool_choice=True,
            tool_call_streaming=True,
            structured_output=True,
            temperature=True,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # llama.cpp's server notices that a caller is gone only while it streams.
        return result_of(self._stream(messages, stop, None, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of([chunk async for chunk in self._astream(messages, stop, None, **kwargs)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        endpoint = self._endpoint
        body, answer = endpoint.run(self._request(messages, stop, kwargs))
        for event in endpoint.stream(streamed(body)):
            yield from answer.feed(event)
        yield from answer.end()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        endpoint = self._endpoint
        body, answer = await endpoint.arun(self._request(messages, stop, kwargs))
        async with aclosing(endpoint.astream(streamed(body))) as events:
            async for event in events:
                for chunk in answer.feed(event):
                    yield chunk
        for chunk in answer.end():
            yield chunk

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Dialogue[tuple[Json, Answer]]:
        """Write the request, once it is known to which kind of server."""
        unknown = kwargs.keys() - _CALL_SETTINGS
        if unknown:
            raise ValueError(f"ChatRemote takes no {', '.join(sorted(unknown))} with a call")
        own = {name: getattr(self, name) for name in _CALL_SETTINGS & set(type(self).model_fields)}
        wishes = own | {name: wish for name, wish in kwargs.items() if wish is not None}
        self.sampling({name: wishes[name] for name in SAMPLING_FIELDS})  # a wrong value fails here
        found = yield from self._capabilities()
        stops = stop if stop is not None else self.stop or ()
        body, parser = write_request(messages, stops, wishes, found)
        return body, Answer(self.base_url, parser)

    def _token_ids(self, text: str) -> Dialogue[list[int]]:
        found = yield from self._capabilities()
        if found.counting == "estimated":
            raise ModelError(
                f"{self.base_url} does not tell a text's tokens.",
                hint="get_num_tokens estimates their number.",
            )
        return (yield from tokenize(self.base_url, text, special=False))
