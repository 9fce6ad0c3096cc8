"""`ChatLlama`: a GGUF model on this machine as a LangChain chat model.

    model = ChatLlama(model="qwen2.5-coder-1.5b", temperature=0.2)
    model.invoke("Why is the sky blue?")
    model.choose([HumanMessage("Is grass green?")], ["yes", "no"])  # {'yes': 0.97, 'no': 0.03}

This is the LangChain face alone: messages become tokens in `template` and `vocabulary`,
tokens become text in `engine`. Constructing one reads no weights; the first call does, and
models of the same file and settings share one engine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from groundling.errors import ModelError
from groundling.models import structured
from groundling.models.calls import (
    Choice,
    Chunk,
    EngineSettings,
    ModelEngine,
    Request,
    Weights,
    normalise,
    timed_out,
)
from groundling.models.engines import engine_for
from groundling.models.sampling import Sampling
from groundling.models.template import ChatTemplate
from groundling.settings import ModelSettings, Settings

_DEFAULTS = ModelSettings.model_construct()
_CALL_SETTINGS = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens")

_templates: WeakKeyDictionary[ModelEngine, ChatTemplate] = WeakKeyDictionary()
_templates_lock = threading.Lock()


class _Call(NamedTuple):
    """One call, ready for the engine."""

    engine: ModelEngine
    request: Request
    model_name: str


class ChatLlama(BaseChatModel):
    """A chat model that runs in this process on llama.cpp.

    Every sampling setting can also be given with a call: `invoke(…, temperature=1.0)`, and
    so can `model`.

    Raises (from calls, not from the constructor):
        ModelNotFound: the model is not on this machine; the hint is the command to fetch it.
        ModelFileError: its file is damaged, or no chat model.
        ModelTooBig: it does not fit into the free memory.
        ContextOverflow: the prompt is longer than the context.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(_DEFAULTS.name, description="catalogue id, or the path of a GGUF file")
    context: int = Field(_DEFAULTS.context, ge=256, description="context window, in tokens")
    max_tokens: int | None = Field(
        _DEFAULTS.max_tokens, ge=1, description="longest answer; None: what the context holds"
    )
    temperature: float = Field(_DEFAULTS.temperature, ge=0.0, le=5.0)
    top_p: float = Field(_DEFAULTS.top_p, gt=0.0, le=1.0)
    top_k: int = Field(_DEFAULTS.top_k, ge=0, description="0 keeps every token")
    min_p: float = Field(_DEFAULTS.min_p, ge=0.0, le=1.0)
    repeat_penalty: float = Field(_DEFAULTS.repeat_penalty, gt=0.0)
    seed: int = Field(_DEFAULTS.seed, ge=0, description="the same seed draws the same sample")
    stop: list[str] | None = Field(None, description="strings that end every answer")
    timeout: float | None = Field(None, gt=0.0, description="seconds for one answer")
    threads: int | None = Field(None, ge=1, description="default: the physical cores")
    gpu_layers: int = Field(_DEFAULTS.gpu_layers, ge=-1)
    flash_attention: bool = _DEFAULTS.flash_attention
    repack: bool = _DEFAULTS.repack
    streaming: bool = Field(False, description="`invoke` streams to callbacks, too")
    max_retries: int | None = Field(None, description="accepted; a local call is not retried")
    api_key: SecretStr | None = Field(None, description="accepted; a local model wants none")

    _settings: Settings | None = PrivateAttr(None)
    _paths: dict[str, Path] = PrivateAttr(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Settings) -> ChatLlama:
        """Make the chat model that the settings of a home folder describe."""
        fields = settings.model.model_dump(exclude={"name", "embedder"})
        chat = cls(model=settings.model.name, **fields)
        chat._settings = settings
        return chat

    # Counting and choosing

    def get_token_ids(self, text: str) -> list[int]:
        """Split a text into the model's own tokens."""
        return self._engine(self.model).vocabulary.tokenize(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        """Count the tokens of a conversation as the model will read it, markup included."""
        engine = self._engine(self.model)
        return len(engine.vocabulary.encode(_template(engine).render(messages)))

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> dict[str, float]:
        """Weigh possible beginnings of the answer, by the model's own probabilities.

        Args:
            messages: the conversation.
            options: at least one; options of several tokens are scored token by token.

        Returns:
            The probability of each option among the options; they add up to 1.

        Raises:
            ValueError: no options, an empty one, or one given twice.
        """
        engine, tokens, choices = self._prepare_choice(messages, options)
        job, future = engine.choose(Choice(tokens, choices))
        try:
            return _weights(options, future.result(self.timeout))
        except TimeoutError:
            raise timed_out(self.timeout) from None
        finally:
            job.cancel()

    async def achoose(
        self, messages: Sequence[BaseMessage], options: Sequence[str]
    ) -> dict[str, float]:
        """Weigh possible beginnings of the answer, as `choose` does."""
        prepared = await asyncio.to_thread(self._prepare_choice, messages, options)
        engine, tokens, choices = prepared
        job, future = engine.choose(Choice(tokens, choices))
        try:
            async with asyncio.timeout(self.timeout):
                weights: Weights = await asyncio.wrap_future(future)
                return _weights(options, weights)
        except TimeoutError:
            raise timed_out(self.timeout) from None
        finally:
            job.cancel()

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: structured.Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer with an object of that schema; a grammar keeps the model to it.

        Args:
            schema: a pydantic class, a TypedDict, or a JSON Schema.
            include_raw: return `raw`, `parsed` and `parsing_error` instead of the object.
            method: accepted; all three keep to the schema by the grammar.
            strict: accepted; the grammar always is.

        Raises:
            ModelError: the schema has something that no grammar keeps.
        """
        if kwargs:
            raise ValueError(f"unknown arguments: {', '.join(kwargs)}")
        return structured.constrain(self, schema, method=method, include_raw=include_raw)

    # What BaseChatModel asks for

    @property
    def _llm_type(self) -> str:
        return "groundling"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("model", "context", "stop", *_CALL_SETTINGS)
        return {name: getattr(self, name) for name in names}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "groundling"
        params["ls_model_name"] = _name(kwargs.get("model") or self.model)
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
            tool_calling=False,
            structured_output=True,
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._prepare(messages, stop, kwargs)
        return _result(list(call.engine.generate(call.request, self.timeout)), call)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = await asyncio.to_thread(self._prepare, messages, stop, kwargs)
        return _result(
            [chunk async for chunk in call.engine.agenerate(call.request, self.timeout)], call
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._prepare(messages, stop, kwargs)
        for chunk in call.engine.generate(call.request, self.timeout):
            yield _generation_chunk(chunk, call)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = await asyncio.to_thread(self._prepare, messages, stop, kwargs)
        async for chunk in call.engine.agenerate(call.request, self.timeout):
            yield _generation_chunk(chunk, call)

    # From messages to tokens

    def _prepare(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> _Call:
        wishes = dict(kwargs)
        model = wishes.pop("model", None) or self.model
        grammar = structured.grammar_of(wishes.pop("response_format", None))
        unknown = wishes.keys() - set(_CALL_SETTINGS)
        if unknown:
            raise ValueError(f"ChatLlama takes no {', '.join(sorted(unknown))} with a call")
        values = {name: getattr(self, name) for name in _CALL_SETTINGS}
        values |= {name: value for name, value in wishes.items() if value is not None}
        most = values.pop("max_tokens") or self.context
        engine = self._engine(model)
        template = _template(engine)
        request = Request(
            tokens=engine.vocabulary.encode(template.render(messages)),
            sampling=Sampling(**values, grammar=grammar),
            max_tokens=most,
            stop=[*(stop if stop is not None else self.stop or ()), *template.stop],
        )
        return _Call(engine, request, _name(model))

    def _prepare_choice(
        self, messages: Sequence[BaseMessage], options: Sequence[str]
    ) -> tuple[ModelEngine, list[int], list[list[int]]]:
        if not options or not all(options) or len(set(options)) < len(options):
            raise ValueError("options must be different texts, at least one")
        engine = self._engine(self.model)
        vocabulary = engine.vocabulary
        tokens = vocabulary.encode(_template(engine).render(messages))
        return engine, tokens, [vocabulary.tokenize(option) for option in options]

    def _engine(self, model: str) -> ModelEngine:
        path = self._paths.get(model)
        if path is None:
            path = self._paths[model] = self._find(model)
        return engine_for(
            path,
            EngineSettings(
                context=self.context,
                threads=self.threads,
                gpu_layers=self.gpu_layers,
                flash_attention=self.flash_attention,
                repack=self.repack,
            ),
        )

    def _find(self, model: str) -> Path:
        from groundling import settings
        from groundling.models.store import ModelStore

        home = self._settings or settings.load()
        found = ModelStore(home.models_path, home.download).resolve(model)
        if found.entry.role not in ("chat", "guard"):
            raise ModelError(
                f"{found.entry.id} is no chat model; it is for {found.entry.role}.",
                hint="groundling model list shows which models are for chat",
            )
        return found.path


def _template(engine: ModelEngine) -> ChatTemplate:
    with _templates_lock:
        template = _templates.get(engine)
        if template is None:
            vocabulary = engine.vocabulary
            template = _templates[engine] = ChatTemplate(
                engine.chat_template,
                bos=vocabulary.bos,
                eos=vocabulary.eos,
                control_texts=vocabulary.control_texts,
            )
        return template


def _name(model: str) -> str:
    """Return what may be shown of a model: its id, or its file's name without the folder."""
    return Path(model).name if "/" in model or "\\" in model else model


def _weights(options: Sequence[str], weights: Weights) -> dict[str, float]:
    return dict(zip(options, normalise(weights.logarithms), strict=True))


def _usage(chunk: Chunk) -> UsageMetadata | None:
    usage = chunk.usage
    if usage is None:
        return None
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        input_token_details=InputTokenDetails(cache_read=usage.cached_tokens),
    )


def _metadata(chunk: Chunk, call: _Call) -> dict[str, Any]:
    usage = chunk.usage
    if usage is None:
        return {}
    speed = usage.completion_tokens / usage.decode_seconds if usage.decode_seconds else 0.0
    return {
        "model_name": call.model_name,
        "model_provider": "groundling",
        "finish_reason": chunk.finish_reason,
        "prefill_seconds": round(usage.prefill_seconds, 3),
        "tokens_per_second": round(speed, 1),
    }


def _generation_chunk(chunk: Chunk, call: _Call) -> ChatGenerationChunk:
    last = chunk.finish_reason is not None
    message = AIMessageChunk(
        content=chunk.text,
        usage_metadata=_usage(chunk),
        response_metadata=_metadata(chunk, call),
        chunk_position="last" if last else None,
    )
    info = {"finish_reason": chunk.finish_reason} if last else None
    return ChatGenerationChunk(message=message, generation_info=info)


def _result(chunks: list[Chunk], call: _Call) -> ChatResult:
    last = chunks[-1]
    message = AIMessage(
        content="".join(chunk.text for chunk in chunks),
        usage_metadata=_usage(last),
        response_metadata=_metadata(last, call),
    )
    info = {"finish_reason": last.finish_reason}
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])
