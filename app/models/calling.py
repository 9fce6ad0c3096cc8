"""From messages and one call's wishes to what the engine is asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from groundling.errors import ContextOverflow
from groundling.models.adapter_shelf import ADAPTER
from groundling.models.answers import AnswerReader, Thoughts
from groundling.models.calls import Adapter, ModelEngine, Priority, Request
from groundling.models.sampled import SAMPLING_FIELDS
from groundling.models.structured import grammar_of
from groundling.models.template import ChatTemplate
from groundling.models.toolbox import Toolbox

if TYPE_CHECKING:
    from groundling.models.chat import ChatLlama

_SETTINGS = {
    *SAMPLING_FIELDS, "max_tokens", "timeout", "model", "adapters", "priority", "overflow", "keep",
    "logprobs", "top_logprobs", "reasoning", "response_format", "tools", "tool_choice",
    "parallel_tool_calls", "strict", "stream",
}  # fmt: skip

_templates: WeakKeyDictionary[ModelEngine, ChatTemplate] = WeakKeyDictionary()
_templates_lock = threading.Lock()


class PromptTooLong(ContextOverflow, ContextOverflowError):
    """The prompt is longer than the context; also the error that LangChain has for that."""


@contextmanager
def overflow_as_langchain_has_it() -> Iterator[None]:
    """Raise `PromptTooLong` in the place of the engine's own error."""
    try:
        yield
    except PromptTooLong:
        raise
    except ContextOverflow as error:
        raise PromptTooLong(error.prompt_tokens, error.context_tokens) from error


@dataclass(frozen=True)
class Call:
    """One call, ready for the engine."""

    engine: ModelEngine
    template: ChatTemplate
    request: Request
    toolbox: Toolbox | None
    thinking: bool
    timeout: float | None
    model_name: str

    def reader(self) -> AnswerReader:
        """Return what makes messages of this call's chunks."""
        template, parser = self.template, None
        if self.toolbox is not None:
            parser = template.dialect.parser(self.toolbox.tools, self.toolbox.most)
        markup = None
        if self.request.markup:
            texts = sorted(self.engine.vocabulary.control_texts, key=len, reverse=True)
            markup = re.compile("|".join(map(re.escape, texts)))
        thoughts = Thoughts(template.thinking, self.thinking)
        adapters = [shown_adapter(each) for each in self.request.adapters]
        return AnswerReader(self.model_name, thoughts, parser, markup, adapters)


def prepare(
    chat: ChatLlama,
    messages: Sequence[BaseMessage],
    stop: Sequence[str] | None,
    wishes: Mapping[str, Any],
) -> Call:
    """Render and tokenise one call.

    Raises:
        ValueError: a wish that there is not, or of a wrong value.
        ModelError: the model, a message or a schema is none that can be used.
    """
    unknown = wishes.keys() - _SETTINGS
    if unknown:
        raise ValueError(f"ChatLlama takes no {', '.join(sorted(unknown))} with a call")

    def wish(name: str) -> Any:
        value = wishes.get(name)
        return getattr(chat, name) if value is None else value

    model = wish("model")
    engine = chat._engine(model)
    template = template_of(engine)
    toolbox = Toolbox.of(
        wishes.get("tools") or (),
        wishes.get("tool_choice"),
        parallel=wishes.get("parallel_tool_calls") is not False,
        strict=wishes.get("strict"),
    )
    grammar, trigger = grammar_of(wishes.get("response_format")), None
    if toolbox is not None:
        grammar, trigger = toolbox.constraint(template.dialect, grammar)
    # What a grammar holds from the first token on has no room for thoughts.
    bound = grammar is not None and trigger is None
    parts = template.render(
        messages,
        tools=toolbox.shown if toolbox is not None else None,
        reasoning=False if bound else wish("reasoning"),
    )
    tokens = engine.vocabulary.encode(parts)
    overflow = wish("overflow")
    keep = wish("keep")
    if overflow == "shift" and keep is None:
        keep = _fixed(engine, template, messages, toolbox, tokens)
    sampling = {name: wishes[name] for name in SAMPLING_FIELDS if name in wishes}
    request = Request(
        tokens=tokens,
        sampling=chat.sampling(sampling, grammar, trigger),
        max_tokens=wish("max_tokens") or engine.context_length,
        stop=[*(stop if stop is not None else chat.stop or ()), *template.stop],
        logprobs=(wish("top_logprobs") or 0) if wish("logprobs") else None,
        priority=Priority(wish("priority")),
        adapters=chat._adapters(wishes.get("adapters"), engine),
        overflow=overflow,
        keep=keep or 0,
        markup=template.markup,
    )
    return Call(
        engine=engine,
        template=template,
        request=request,
        toolbox=toolbox,
        thinking=template.opens_thinking(parts),
        timeout=wish("timeout"),
        model_name=shown_name(model),
    )


def _fixed(
    engine: ModelEngine,
    template: ChatTemplate,
    messages: Sequence[BaseMessage],
    toolbox: Toolbox | None,
    tokens: Sequence[int],
) -> int:
    """Count the tokens of the system's text and the tools, which stand before any turn."""
    system = [message for message in messages if isinstance(message, SystemMessage)]
    shown = toolbox.shown if toolbox is not None else None
    alone = engine.vocabulary.encode(template.render([*system, HumanMessage("")], tools=shown))
    pairs = zip(tokens, alone, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(tokens), len(alone)))


def template_of(engine: ModelEngine) -> ChatTemplate:
    """Return the chat template of a loaded model, made once."""
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


def adapters_of(given: Sequence[Any] | None) -> tuple[Adapter, ...]:
    """Read adapters: `Adapter`, `{"path": …, "scale": …}`, or a path alone.

    Raises:
        ValueError: something else.
    """
    adapters = []
    for one in given or ():
        if isinstance(one, str | Path):
            one = {"path": one}
        if isinstance(one, Mapping):
            unknown = one.keys() - {"path", "scale"}
            if "path" not in one or unknown:
                raise ValueError(f"an adapter has a path and a scale, not {sorted(one)}")
            one = Adapter(Path(one["path"]), float(one.get("scale", 1.0)))
        if not isinstance(one, Adapter):
            raise ValueError(f"{one!r} is no adapter")
        adapters.append(one)
    return tuple(adapters)


def shown_adapter(adapter: Adapter) -> str:
    """Return what may be shown of an adapter: its name, or its file's without the folder."""
    path = adapter.path
    name = path.parent.name if path.name == ADAPTER else path.name
    return name if adapter.scale == 1.0 else f"{name} × {adapter.scale:g}"


def shown_name(model: str) -> str:
    """Return what may be shown of a model: its id, or its file's name without the folder."""
    return Path(model).name if "/" in model or "\\" in model else model
