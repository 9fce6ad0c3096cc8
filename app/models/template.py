"""From LangChain messages to the prompt a model was trained on.

A GGUF file carries its chat template: Jinja, rendered here the way Hugging Face renders it,
in a sandbox. What people and documents wrote cannot forge the template's own markup: where
a message contains the text of a control token (`<|im_end|>`), that text is taken out before
rendering and tokenised as plain text afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, ToolMessage

from groundling.errors import ModelError
from groundling.models.vocabulary import Part

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
# Two private-use characters around a number stand for a control token's text.
_OPEN, _CLOSE = "\ue0f1", "\ue0f2"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")

TemplateMessage = dict[str, Any]


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
        self.stop = () if source else ("<|im_end|>",)
        # A mark in a message is a text to take out too: it must not stand for another.
        hidden = sorted({*control_texts, _OPEN, _CLOSE} - {""}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, hidden)))
        try:
            self._template = _environment().from_string(source or CHATML)
        except TemplateError as error:
            raise ModelError(f"The model's chat template is broken: {error}") from error

    def render(
        self,
        messages: Sequence[BaseMessage],
        *,
        generate: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Part]:
        """Render a conversation.

        Templates that know no system role get its text in front of the first human message.

        Args:
            messages: system, human, AI and tool messages with text.
            generate: end with the opening of the assistant's answer.
            tools: JSON schemas of tools, for templates that list them.

        Returns:
            The prompt's parts, in order: markup, and the control texts that messages held.

        Raises:
            ModelError: a message holds something else than text, or the template refuses
                the order of the roles.
        """
        hidden: list[str] = []
        raw = [self._hide(message, hidden) for message in map(to_template_message, messages)]
        try:
            text = self._render(raw, generate, tools)
        except TemplateError as refusal:
            try:
                text = self._render(_without_system(raw), generate, tools)
            except TemplateError:
                raise ModelError(
                    f"The model's chat template refuses this conversation: {refusal}"
                ) from refusal
        return _split(text, hidden)

    def _render(
        self,
        messages: list[TemplateMessage],
        generate: bool,
        tools: Sequence[Mapping[str, Any]] | None,
    ) -> str:
        return self._template.render(
            messages=messages,
            add_generation_prompt=generate,
            tools=list(tools) if tools else None,
            **self._tokens,
        )

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


def to_template_message(message: BaseMessage) -> TemplateMessage:
    """Convert a message to what templates expect: a role, a text, tool calls.

    Raises:
        ModelError: an image, a sound, a file: this model reads text.
    """
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type)
    if role is None:
        raise ModelError(f"A chat model cannot read a message of type {message.type!r}.")
    converted: TemplateMessage = {"role": role, "content": _text(message)}
    if message.name:
        converted["name"] = message.name
    if isinstance(message, AIMessage) and message.tool_calls:
        converted["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["args"]},
            }
            for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        converted["tool_call_id"] = message.tool_call_id
    return converted


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        if isinstance(block, str):
            texts.append(block)
        elif block.get("type") == "text":
            texts.append(str(block.get("text", "")))
        elif block.get("type") == "json":
            texts.append(json.dumps(block.get("json"), ensure_ascii=False))
        elif block.get("type") not in ("tool_use", "tool_call", "reasoning", "thinking"):
            raise ModelError(
                f"This model reads text; a message holds a block of type {block.get('type')!r}.",
                hint="Take the block out, or describe it in words.",
            )
    return "".join(texts)


def _without_system(messages: list[TemplateMessage]) -> list[TemplateMessage]:
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [dict(message) for message in messages if message["role"] != "system"]
    merged: list[TemplateMessage] = []
    for message in rest:
        if merged and merged[-1]["role"] == message["role"] == "user":
            merged[-1]["content"] += "\n\n" + message["content"]
        else:
            merged.append(message)
    if system:
        first = next((message for message in merged if message["role"] == "user"), None)
        if first is None:
            merged.insert(0, {"role": "user", "content": "\n\n".join(system)})
        else:
            first["content"] = "\n\n".join([*system, first["content"]])
    return merged


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


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
