"""`ChatLlama`: a GGUF model on this machine as a LangChain chat model.

    model = ChatLlama(model="qwen2.5-coder-1.5b", temperature=0.2)
    model.invoke("Why is the sky blue?")
    model.bind_tools([search], tool_choice="any").invoke("Look up grass.").tool_calls
    model.extract([HumanMessage("When was it?")], regex="[0-9]{4}")
    model.choose([HumanMessage("Is grass green?")], ["yes", "no"])  # {'yes': 0.97, 'no': 0.03}

This is the LangChain face alone: a call is made ready in `calling`, messages become tokens
in `template` and `vocabulary`, tokens become text in `engine`, and text becomes messages in
`answers`. Constructing one reads no weights; the first call does, and models of the same
file and settings share one engine.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from groundling.errors import ModelError
from groundling.models.adapter_names import adapters_for, answering
from groundling.models.adapter_shelf import Shelved
from groundling.models.answers import AnswerReader
from groundling.models.calibration import as_measured
from groundling.models.calling import (
    Call,
    overflow_as_langchain_has_it,
    prepare,
    shown_name,
    template_of,
)
from groundling.models.calls import (
    Adapter,
    Choice,
    Chunk,
    EngineSettings,
    ModelEngine,
    Priority,
)
from groundling.models.choosing import Ballot, Choices, choices_of
from groundling.models.engines import engine_for
from groundling.models.forming import AdapterLike, FormingChat
from groundling.models.sampled import SAMPLING_FIELDS, Sampled
from groundling.models.toolbox import Toolbox, ToolChoice
from groundling.settings import ModelSettings, Settings

_DEFAULTS = ModelSettings.model_construct()
_ENGINE = EngineSettings()

# LangChain has other uses for these names.
_RENAMED = {"cache": "cache_tokens", "batch": "batch_tokens"}


class ChatLlama(Sampled, FormingChat):
    """A chat model that runs on this machine on llama.cpp.

    Every setting of the sampler can also be given with a call (`invoke(…, temperature=1.0)`),
    and so can `model`, `adapters`, `max_tokens`, `timeout`, `priority`, `overflow`, `keep`,
    `logprobs`, `top_logprobs` and `reasoning`.

    What a model thinks before it answers comes as blocks of type `reasoning` (and as
    `additional_kwargs["reasoning_content"]`). Where a grammar binds the answer from its first
    token on, as in `with_structured_output` and a forced tool call, the model does not think.

    Raises (from calls, not from the constructor):
        ModelNotFound: the model is not on this machine; the hint is the command to fetch it.
        ModelFileError: its file is damaged, or no chat model.
        ModelTooBig: it does not fit into the free memory.
        ContextOverflow: the prompt is longer than the context; it is LangChain's
            `ContextOverflowError`, too.
        EngineBusy: as many calls wait as may wait.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str = Field(_DEFAULTS.name, description="catalogue id, or the path of a GGUF file")
    context: int = Field(_DEFAULTS.context, ge=256, description="context window, in tokens")
    max_tokens: int | None = Field(
        _DEFAULTS.max_tokens, ge=1, description="longest answer; None: what the context holds"
    )
    stop: list[str] | None = Field(None, description="strings that end every answer")
    timeout: float | None = Field(None, gt=0.0, description="seconds for one answer")
    reasoning: bool | None = Field(
        None, description="whether to think first, where the template asks; None: its default"
    )
    logprobs: bool = Field(False, description="log-probabilities in `response_metadata`")
    top_logprobs: int | None = Field(None, ge=0, le=64, description="of the likeliest tokens, too")
    adapters: list[AdapterLike] | None = Field(
        None,
        description="LoRA adapters: names, paths, {name, scale} or {path, scale}; None: as "
        "`model.adapter` of the home folder says",
    )
    priority: Priority = Field(Priority.ANSWER, description="which calls go first")
    overflow: Literal["stop", "shift"] = Field(
        "stop", description="at the context's end: stop, or forget the oldest turns and go on"
    )
    keep: int | None = Field(
        None, ge=0, description="tokens that a shift never forgets; None: system text and tools"
    )
    cache_tokens: int | None = Field(
        _DEFAULTS.cache_tokens,
        ge=256,
        description="tokens kept for all callers; None: twice the context",
    )
    parallel: int = Field(
        _DEFAULTS.parallel, ge=1, le=128, description="calls that are written at once"
    )
    queue: int = Field(_DEFAULTS.queue, ge=0, description="calls that may wait")
    threads: int | None = Field(
        None, ge=1, description="None: as measured on this machine, else the physical cores"
    )
    batch_tokens: int | None = Field(
        _ENGINE.batch, ge=1, description="tokens read in one pass; None: the backend's default"
    )
    gpu_layers: int = Field(_DEFAULTS.gpu_layers, ge=-1)
    flash_attention: bool = _DEFAULTS.flash_attention
    repack: bool | None = Field(
        _DEFAULTS.repack, description="repacked weights; None: as measured here, else off"
    )
    cache_type: Literal["f16", "q8_0"] = _DEFAULTS.cache_type
    speculate: int = Field(
        _DEFAULTS.speculate, ge=0, le=15, description="tokens guessed ahead; 0: none"
    )
    isolated: bool = Field(_DEFAULTS.isolated, description="run the model in a process of its own")
    snapshot: Path | None = Field(
        None, description="a folder that keeps what was read from one run to the next"
    )
    streaming: bool = Field(False, description="`invoke` streams to callbacks, too")
    max_retries: int | None = Field(None, description="accepted; a local call is not retried")
    api_key: SecretStr | None = Field(None, description="accepted; a local model wants none")

    _settings: Settings | None = PrivateAttr(None)
    _paths: dict[str, Path] = PrivateAttr(default_factory=dict)
    _models_path: Path = PrivateAttr(default=Path())

    @classmethod
    def from_settings(cls, settings: Settings) -> ChatLlama:
        """Make the chat model that the settings of a home folder describe."""
        elsewhere = {"name", "adapter", "embedder", "base_url", "api_key", "measure"}
        fields = settings.model.model_dump(exclude=elsewhere)
        chat = cls(model=settings.model.name, **fields)
        chat._settings = settings
        return chat

    def answering(self) -> tuple[Shelved, ...]:
        """Return the adapters that a call uses where it names none; reads no weights.

        Raises:
            ModelNotFound: the model is not on this machine.
            AdapterError: `model.adapter` names one that is not there, or is of another base.
        """
        if self._settings is None or self.adapters is not None:
            return ()
        return answering(self._settings, self._path(self.model))

    # Counting

    def get_token_ids(self, text: str) -> list[int]:
        """Split a text into the model's own tokens."""
        return self._engine(self.model).vocabulary.tokenize(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """Count the tokens of a conversation as the model will read it, markup included."""
        shown = [convert_to_openai_tool(tool) for tool in tools or ()]
        call = prepare(self, messages, None, {**kwargs, "tools": shown})
        return len(call.request.tokens)

    # Structure

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: ToolChoice = None,
        parallel_tool_calls: bool = True,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools, in the way its chat template has for that.

        A call that is forced is valid by grammar: the tool is there and its arguments keep
        to the schema. Where the model is free to call, a grammar binds the call as soon as
        one begins with the dialect's own mark.

        Args:
            tools: tools, functions, classes, or schemas in OpenAI's form.
            tool_choice: `auto` (as None), `none`, `any` or `required` (as True), or a tool by
                its name.
            parallel_tool_calls: whether an answer may hold several calls.
            strict: refuse schemas with something that no grammar keeps, such as a pattern.
            kwargs: other settings of the calls.

        Raises:
            ValueError: the choice names no tool of these.
            ModelError: a call is forced, and no grammar keeps a tool's schema; it names the
                tool.
        """
        shown = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        box = Toolbox.of(shown, tool_choice, parallel=parallel_tool_calls, strict=strict)
        if box is not None:
            box.check()
        return self.bind(
            tools=shown,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            strict=strict,
            **kwargs,
        )

    # What FormingChat and BaseChatModel ask for

    def _choosing(
        self, options: Sequence[str], wishes: Mapping[str, Any]
    ) -> Runnable[dict[str, Any], list[Choices]]:
        def ballot(prompts: Sequence[Sequence[BaseMessage]]) -> Ballot:
            engine = self._engine(wishes["model"] or self.model)
            vocabulary, template = engine.vocabulary, template_of(engine)
            adapters = self._adapters(wishes["adapters"], engine)
            tokens = [vocabulary.tokenize(option) for option in options]
            written = [template.render(messages, reasoning=False) for messages in prompts]
            choices = [
                Choice(vocabulary.encode(parts), tokens, adapters=adapters) for parts in written
            ]
            return Ballot(engine, choices, self.timeout)

        def weigh(asked: dict[str, Any]) -> list[Choices]:
            with overflow_as_langchain_has_it():
                found = ballot(asked["prompts"]).result()
            return [choices_of(options, weights) for weights in found]

        async def aweigh(asked: dict[str, Any]) -> list[Choices]:
            with overflow_as_langchain_has_it():
                found = await (await asyncio.to_thread(ballot, asked["prompts"])).aresult()
            return [choices_of(options, weights) for weights in found]

        return RunnableLambda(weigh, aweigh, name="choose")

    @property
    def _llm_type(self) -> str:
        return "groundling"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("model", "context", "stop", "max_tokens", "reasoning", "adapters")
        return {name: getattr(self, name) for name in (*names, *SAMPLING_FIELDS)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "groundling"
        params["ls_model_name"] = shown_name(kwargs.get("model") or self.model)
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        return ModelProfile(
            max_input_tokens=self.context,
            max_output_tokens=min(self.max_tokens or self.context, self.context),
            text_inputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
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
        call = prepare(self, messages, stop, kwargs)
        with overflow_as_langchain_has_it():
            return _result(call, list(call.engine.generate(call.request, call.timeout)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = await asyncio.to_thread(prepare, self, messages, stop, kwargs)
        with overflow_as_langchain_has_it():
            chunks = call.engine.agenerate(call.request, call.timeout)
            return _result(call, [chunk async for chunk in chunks])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = prepare(self, messages, stop, kwargs)
        reader = call.reader()
        with overflow_as_langchain_has_it():
            for chunk in call.engine.generate(call.request, call.timeout):
                yield from _pieces(reader, chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = await asyncio.to_thread(prepare, self, messages, stop, kwargs)
        reader = call.reader()
        written = call.engine.agenerate(call.request, call.timeout)
        with overflow_as_langchain_has_it():
            # Closed here rather than by the garbage collector: the model is to stop at once.
            async with aclosing(cast("AsyncGenerator[Chunk]", written)) as chunks:
                async for chunk in chunks:
                    for piece in _pieces(reader, chunk):
                        yield piece

    # The engine

    def _engine(self, model: str) -> ModelEngine:
        path = self._path(model)
        names = {field.name for field in dataclasses.fields(EngineSettings)} - _RENAMED.keys()
        values = {name: getattr(self, name) for name in names}
        values |= {name: getattr(self, field) for name, field in _RENAMED.items()}
        wished = EngineSettings(**{**values, "repack": bool(self.repack)})
        wished = as_measured(self._models_path, path, wished, self.repack)
        engine = engine_for(path, wished, isolated=self.isolated)
        if model == self.model and self.profile is not None:
            self.profile["reasoning_output"] = template_of(engine).thinks
            self.profile["max_input_tokens"] = engine.context_length
        return engine

    def _adapters(self, wished: Sequence[Any] | None, engine: ModelEngine) -> tuple[Adapter, ...]:
        given = self.adapters if wished is None else wished
        return adapters_for(given, self._settings, engine.path)

    def _path(self, model: str) -> Path:
        if model not in self._paths:
            self._paths[model] = self._find(model)
        return self._paths[model]

    def _find(self, model: str) -> Path:
        from groundling import settings
        from groundling.models.files.store import ModelStore

        home = self._settings or settings.load()
        self._models_path = home.models_path
        found = ModelStore(home.models_path, home.download).resolve(model)
        if found.entry.role not in ("chat", "guard"):
            raise ModelError(
                f"{found.entry.id} is no chat model; it is for {found.entry.role}.",
                hint="groundling model list shows which models are for chat",
            )
        return found.path


def _pieces(reader: AnswerReader, chunk: Chunk) -> Iterator[ChatGenerationChunk]:
    message: AIMessageChunk | None = reader.read(chunk)
    if message is not None:
        info = None
        if chunk.finish_reason is not None:
            info = {"finish_reason": message.response_metadata["finish_reason"]}
        yield ChatGenerationChunk(message=message, generation_info=info)


def _result(call: Call, chunks: Sequence[Chunk]) -> ChatResult:
    message = call.reader().message(chunks)
    info = {"finish_reason": message.response_metadata["finish_reason"]}
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])
