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
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from groundling.errors import ModelError
from groundling.models import structured
from groundling.models.remote_choice import weigh_by_listing, weigh_exactly
from groundling.models.remote_http import Ask, Dialogue, Endpoint, Json
from groundling.models.remote_server import (
    EXTRAS,
    Capabilities,
    estimate,
    prompt_tokens,
    recognise,
    tokenize,
)
from groundling.models.remote_tools import chosen, held, plain
from groundling.models.remote_wire import Answer, result_of, to_wire
from groundling.settings import ModelSettings, Settings, server_address

_DEFAULTS = ModelSettings.model_construct()
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens")
_OPENAI = ("temperature", "top_p", "seed", "max_tokens", "logprobs", "top_logprobs")
_CALL_SETTINGS = {
    *_SAMPLING, "model", "tools", "tool_choice", "parallel_tool_calls", "response_format",
    "logprobs", "top_logprobs",
}  # fmt: skip


class ChatRemote(BaseChatModel):
    """A chat model that another process or machine runs.

    Sampling settings can also be given with a call: `invoke(…, temperature=1.0)`, and so can
    `model`.

    Raises (from calls, not from the constructor):
        ModelError: the server cannot be reached, refuses the key, or answers nonsense.
        ModelNotFound: it has no model of that name.
        ContextOverflow: the prompt is longer than the server's context.
        EngineBusy: the server takes no call now.
    """

    model_config = ConfigDict(extra="forbid")

    base_url: str = Field(description="the server's OpenAI-compatible part: http://host:port/v1")
    model: str | None = Field(None, description="default: the first that the server names")
    api_key: SecretStr | None = Field(None, description="sent as a bearer token")
    max_tokens: int | None = Field(_DEFAULTS.max_tokens, ge=1, description="longest answer")
    temperature: float = Field(_DEFAULTS.temperature, ge=0.0, le=5.0)
    top_p: float = Field(_DEFAULTS.top_p, gt=0.0, le=1.0)
    top_k: int = Field(_DEFAULTS.top_k, ge=0, description="0 keeps every token")
    min_p: float = Field(_DEFAULTS.min_p, ge=0.0, le=1.0)
    repeat_penalty: float = Field(_DEFAULTS.repeat_penalty, gt=0.0)
    seed: int = Field(_DEFAULTS.seed, ge=0, description="the same seed draws the same sample")
    stop: list[str] | None = Field(None, description="strings that end every answer")
    timeout: float | None = Field(600.0, gt=0.0, description="seconds for one whole call")
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
        sampling = {field: getattr(wanted, field) for field in _SAMPLING}
        return cls(base_url=wanted.base_url, api_key=wanted.api_key, model=name, **sampling)

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

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> dict[str, float]:
        """Weigh possible beginnings of the answer, by the model's probabilities.

        Args:
            messages: the conversation.
            options: at least one.

        Returns:
            The probability of each option among the options; they add up to 1. How exact
            they are, `capabilities().choose` says.

        Raises:
            ValueError: no options, an empty one, or one given twice.
        """
        return self._endpoint.run(self._choose(messages, options))

    async def achoose(
        self, messages: Sequence[BaseMessage], options: Sequence[str]
    ) -> dict[str, float]:
        """Weigh possible beginnings of the answer, as `choose` does."""
        return await self._endpoint.arun(self._choose(messages, options))

    def _choose(
        self, messages: Sequence[BaseMessage], options: Sequence[str]
    ) -> Dialogue[dict[str, float]]:
        if not options or not all(options) or len(set(options)) < len(options):
            raise ValueError("options must be different texts, at least one")
        found = yield from self._capabilities()
        body: Json = {"messages": to_wire(messages)}
        if found.choose == "exact":
            prompt = yield from prompt_tokens(self.base_url, body)
            tokens: list[list[int]] = []
            for option in options:
                tokens += [(yield from tokenize(self.base_url, option, special=False))]
            weights = yield from weigh_exactly(self.base_url, prompt, tokens)
        else:
            body["model"] = found.model
            weights, _ = yield from weigh_by_listing(body, options)
        return dict(zip(options, weights, strict=True))

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

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: structured.Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer with an object of that schema; the server's grammar keeps the model to it.

        Args:
            schema: a pydantic class, a TypedDict, or a JSON Schema.
            include_raw: return `raw`, `parsed` and `parsing_error` instead of the object.
            method: `json_schema` sends the schema as the answer's format, `function_calling`
                as a tool that must be called; `json_mode` asks for any JSON object.
            strict: refuse a schema that no grammar keeps in full.

        Raises:
            ModelError: the schema has something that no grammar keeps.
        """
        if kwargs:
            raise ValueError(f"unknown arguments: {', '.join(kwargs)}")
        return structured.constrain(
            self, schema, method=method, include_raw=include_raw, strict=strict
        )

    # What BaseChatModel asks for

    @property
    def _llm_type(self) -> str:
        return "groundling-remote"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("base_url", "model", "stop", *_SAMPLING)
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = urlsplit(self.base_url).netloc
        params["ls_model_name"] = kwargs.get("model") or self.model or "default"
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        # Known without asking; what depends on the server is in `capabilities`.
        return ModelProfile(
            text_inputs=True, text_outputs=True, tool_calling=True, structured_output=True
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._endpoint.run(self._whole(messages, stop, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self._endpoint.arun(self._whole(messages, stop, kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        endpoint = self._endpoint
        body, answer = endpoint.run(self._request(messages, stop, kwargs))
        for event in endpoint.stream(_streamed(body)):
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
        async with aclosing(endpoint.astream(_streamed(body))) as events:
            async for event in events:
                for chunk in answer.feed(event):
                    yield chunk
        for chunk in answer.end():
            yield chunk

    def _whole(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Dialogue[ChatResult]:
        body, answer = yield from self._request(messages, stop, kwargs)
        event = yield Ask("/chat/completions", body)
        return result_of([*answer.feed(event), *answer.end()])

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Dialogue[tuple[Json, Answer]]:
        """Write the request, once it is known to which kind of server."""
        unknown = kwargs.keys() - _CALL_SETTINGS
        if unknown:
            raise ValueError(f"ChatRemote takes no {', '.join(sorted(unknown))} with a call")
        found = yield from self._capabilities()
        wishes = {name: getattr(self, name) for name in _SAMPLING}
        wishes |= {name: value for name, value in kwargs.items() if value is not None}
        body: Json = {
            "model": wishes.get("model") or found.model,
            "messages": to_wire(messages),
            "stop": [*(stop if stop is not None else self.stop or ())] or None,
            **{name: wishes.get(name) for name in _OPENAI},
            **{sent: wishes[name] for name, sent in EXTRAS[found.server].items()},
            **_format(wishes.get("response_format"), found),
        }
        parser = None
        if tools := wishes.get("tools"):
            choice = chosen(tools, wishes.get("tool_choice"))
            parallel = wishes.get("parallel_tool_calls")
            if found.server == "llama.cpp":
                body, parser = held(body, tools, choice, parallel, shown=found.shows_tools)
            else:
                body = plain(body, tools, choice, parallel)
        body = {name: value for name, value in body.items() if value is not None}
        return body, Answer(self.base_url, parser)

    def _token_ids(self, text: str) -> Dialogue[list[int]]:
        found = yield from self._capabilities()
        if found.counting == "estimated":
            raise ModelError(
                f"{self.base_url} does not tell a text's tokens.",
                hint="get_num_tokens estimates their number.",
            )
        return (yield from tokenize(self.base_url, text, special=False))


def _streamed(body: Json) -> Ask:
    wish = {"stream": True, "stream_options": {"include_usage": True}}
    return Ask("/chat/completions", {**body, **wish})


def _format(wanted: Mapping[str, Any] | None, found: Capabilities) -> Json:
    """Write what the answer must conform to, as the server has it.

    Raises:
        ModelError: the server keeps to schemas, but not to this.
        ValueError: there is no such format.
    """
    kind = "text" if wanted is None else wanted.get("type")
    if wanted is None or kind == "text":
        return {}
    if kind == "json_schema":
        # Ours also says who validates the result.
        inner = {key: value for key, value in wanted["json_schema"].items() if key != "validated"}
        inner = {"name": "answer", "strict": True, **inner}
        return {"response_format": {"type": kind, "json_schema": inner}}
    if kind not in ("regex", "choice"):
        return {"response_format": dict(wanted)}
    if found.server == "llama.cpp":
        grammar = structured.grammar_of(wanted)
        assert grammar is not None
        return {"grammar": grammar.text}
    if found.server == "vLLM":
        return {"structured_outputs": {kind: wanted[kind]}}
    raise ModelError(
        f"This server keeps no answer to a {kind}.",
        hint="Ask for a JSON Schema with an enum or a pattern, or use llama.cpp's server or vLLM.",
    )
