"""From LangChain messages to the prompt a model was trained on.

A GGUF file carries its chat template: Jinja, rendered here the way Hugging Face renders it,
in a sandbox. What people, documents and tools wrote cannot forge the template's own markup:
where a message contains the text of a control token (`<|im_end|>`), that text is taken out
before rendering and tokenised as plain text afterwards. How LangChain's messages become what
templates expect is in `conversation`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from jinja2 import TemplateError, meta
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from langchain_core.messages import BaseMessage

from groundling.errors import ModelError
from groundling.models.conversation import (
    TemplateMessage,
    in_words,
    one_call_each,
    short_ids,
    string_arguments,
    to_template_messages,
    without_system,
)
from groundling.models.dialects import Dialect, dialect_of
from groundling.models.vocabulary import Part

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Two private-use characters around a number stand for a control token's text.
_OPEN, _CLOSE = "\ue0f1", "\ue0f2"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")

# How models mark what they think before they answer.
_THINKING = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<reasoning>", "</reasoning>"),
)
_CALL: TemplateMessage = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "abcdefghi",
            "type": "function",
            "function": {"name": "probe", "arguments": {"needle": 1}},
        }
    ],
}
_RESULT = {"role": "tool", "content": "1", "tool_call_id": "abcdefghi", "name": "probe"}


class ChatTemplate:
    """A chat template with the control tokens of its model.

    Args:
        source: Jinja; None takes ChatML.
        bos: the begin-of-text token as text.
        eos: the end-of-text token as text.
        control_texts: every text that the tokenizer would read as a control token.

    Raises:
        ModelError: the template is no valid Jinja.
    """

    def __init__(
        self, source: str | None, *, bos: str, eos: str, control_texts: Collection[str]
    ) -> None:
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._source = source or CHATML
        self.stop = () if source else ("<|im_end|>",)
        # A mark in a message is a text to take out too: it must not stand for another.
        hidden = sorted({*control_texts, _OPEN, _CLOSE} - {""}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, hidden)))
        environment = _environment()
        try:
            self._template = environment.from_string(self._source)
            names = meta.find_undeclared_variables(environment.parse(self._source))
        except TemplateError as error:
            raise ModelError(f"The model's chat template is broken: {error}") from error
        self.knows_tools = "tools" in names
        self.dialect: Dialect = dialect_of(source)
        self.thinking = next((two for two in _THINKING if two[1] in self._source), _THINKING[0])
        self.thinks = self.thinking[1] in self._source
        controls = (*self.dialect.marks, *self.thinking)
        self.markup = any(text in control_texts for text in controls)

    def render(
        self,
        messages: Sequence[BaseMessage],
        *,
        generate: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        reasoning: bool | None = None,
    ) -> list[Part]:
        """Render a conversation.

        Where a template refuses it, what it may not know is written in another way: the
        system's text in front of the first human message, several calls as one message each.
        Tools, calls and results that a template does not know at all are told in words.

        Args:
            messages: system, human, AI and tool messages with text.
            generate: end with the opening of the assistant's answer.
            tools: tools in OpenAI's form.
            reasoning: whether the model is to think first, where the template asks; None
                leaves it to the template.

        Returns:
            The prompt's parts, in order: markup, and the control texts that messages held.

        Raises:
            ModelError: a message holds something else than text, or the template refuses
                the order of the roles.
        """
        hidden: list[str] = []
        told = to_template_messages(messages, reasoning="reasoning_content" in self._source)
        raw = [self._hide(message, hidden) for message in told]
        shown = [self._hide(tool, hidden) for tool in tools or ()]
        if not self.knows_tools:
            raw, shown = in_words(raw, shown), []
        if self._short_ids:
            raw = short_ids(raw)
        if any(message.get("tool_calls") for message in raw) and self._string_arguments:
            raw = string_arguments(raw)
        options: dict[str, Any] = {"tools": shown or None, "add_generation_prompt": generate}
        if reasoning is not None:
            options |= {"enable_thinking": reasoning, "thinking": reasoning}
        parts = _split(self._attempt(raw, options), hidden)
        if generate and reasoning is False and self.opens_thinking(parts):
            parts.append(Part(f"\n\n{self.thinking[1]}\n\n", markup=True))
        return parts

    def opens_thinking(self, parts: Sequence[Part]) -> bool:
        """Tell whether a prompt ends inside of what the model thinks."""
        return bool(parts) and parts[-1].text.rstrip().endswith(self.thinking[0])

    def _attempt(self, messages: list[TemplateMessage], options: dict[str, Any]) -> str:
        ways: list[Callable[[list[TemplateMessage]], list[TemplateMessage]]] = [
            lambda same: same,
            without_system,
            one_call_each,
            lambda both: one_call_each(without_system(both)),
        ]
        refusal: Exception | None = None
        for way in ways:
            try:
                return self._template.render(messages=way(messages), **options, **self._tokens)
            except (TemplateError, TypeError) as error:
                refusal = refusal or error
        raise ModelError(
            f"The model's chat template refuses this conversation: {refusal}"
        ) from refusal

    @cached_property
    def _short_ids(self) -> bool:
        """Mistral's templates insist on ids of nine characters."""
        return re.search(r"length\s*[!=]=\s*9", self._source) is not None

    @cached_property
    def _string_arguments(self) -> bool:
        """Whether the template wants arguments as JSON text rather than as an object."""
        asked: list[TemplateMessage] = [{"role": "user", "content": "x"}, _CALL, _RESULT]
        options = {"tools": None, "add_generation_prompt": False, **self._tokens}
        try:
            return "'needle'" in self._template.render(messages=asked, **options)
        except (TemplateError, TypeError):
            pass
        try:
            self._template.render(messages=string_arguments(asked), **options)
        except (TemplateError, TypeError):
            return False
        return True

    def _hide(self, value: Any, hidden: list[str]) -> Any:
        def mark(match: re.Match[str]) -> str:
            hidden.append(match[0])
            return f"{_OPEN}{len(hidden) - 1}{_CLOSE}"

        if isinstance(value, str):
            return self._control.sub(mark, value)
        if isinstance(value, dict):
            return {
                self._hide(key, hidden): self._hide(item, hidden) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._hide(item, hidden) for item in value]
        return value


def _split(text: str, hidden: list[str]) -> list[Part]:
    parts = []
    for n, piece in enumerate(_MARK.split(text)):
        if n % 2:
            parts.append(Part(hidden[int(piece)], markup=False))
        elif piece:
            parts.append(Part(piece, markup=True))
    return parts


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    text = json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    # The marks of what was taken out must stay what they are.
    return text.replace("\\ue0f1", _OPEN).replace("\\ue0f2", _CLOSE) if ensure_ascii else text


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
