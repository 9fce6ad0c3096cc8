"""The body of a request for a response: which fields there are, and what they may hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field

from groundling.server.openai.asked import (
    Asked,
    Effort,
    Extras,
    Function,
    Listed,
    Share,
    Temperature,
    Tokens,
    chosen_tools,
    form_of,
    thinks,
)
from groundling.server.openai.bodies import Body, path, unsupported
from groundling.server.openai.response_items import messages_of

Json = dict[str, Any]
_LOGPROBS = "message.output_text.logprobs"


class ResponseFunction(Function):
    """A tool; functions are the only kind that a model here can call."""

    type: Literal["function"]


class Text(Body):
    """In which form the answer is wanted."""

    format: Json | None = None


class Reasoning(Body):
    """Whether the model thinks first."""

    effort: Effort | None = None


class ResponseRequest(Body):
    """The body."""

    model: str = Field(max_length=300)
    input: str | list[Any]
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    tools: list[ResponseFunction] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_logprobs: Listed | None = None
    max_output_tokens: Tokens | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    user: str | None = None
    background: bool | None = None
    conversation: str | Json | None = None
    prompt: Json | None = None
    groundling: Extras | None = None

    def asked(self, earlier: Sequence[Json], items: Sequence[Json]) -> Asked:
        """Return what is asked.

        Args:
            earlier: items of the responses before.
            items: of this one.

        Raises:
            Problem: 400; a field is wrong, or asks for something that is not there.
        """
        tools, chosen = chosen_tools(self.tools or (), self.tool_choice)
        logprobs = _LOGPROBS in (self.include or ()) or bool(self.top_logprobs)
        wishes = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_output_tokens,
            "logprobs": logprobs or None,
            "top_logprobs": self.top_logprobs,
            "reasoning": thinks(self.reasoning.effort) if self.reasoning else None,
        }
        # Read alone first, so that an error names the item's place in this request.
        new = messages_of(items, None)
        return Asked(
            messages=[*messages_of(earlier, self.instructions), *new],
            sampling={name: value for name, value in wishes.items() if value is not None},
            tools=tools,
            tool_choice=chosen,
            parallel=self.parallel_tool_calls is not False,
            form=self._form(),
            extras=self.groundling or Extras(),
        )

    def refuse(self) -> None:
        """Refuse what is not there.

        Raises:
            Problem: 400; it names the field.
        """
        if self.background:
            hint = "Leave it out, or start a run in the background by the LangGraph API."
            raise unsupported("background", "responses are written while you wait", hint=hint)
        if self.conversation is not None:
            hint = "Use previous_response_id."
            raise unsupported("conversation", "there are no conversations to name", hint=hint)
        if self.prompt is not None:
            raise unsupported("prompt", "there are no stored prompts", hint="Use instructions.")
        for n, wish in enumerate(self.include or ()):
            if wish not in (_LOGPROBS, "reasoning.encrypted_content"):
                raise unsupported(path("include", n), f"{wish!r} cannot be included here")

    def _form(self) -> Json | None:
        given = self.text.format if self.text else None
        if given is not None and given.get("type") == "json_schema":
            inner = {name: given.get(name) for name in ("name", "schema", "strict")}
            given = {"type": "json_schema", "json_schema": inner}
        return form_of(given, "text.format")

    def response(self, model: str) -> Json:
        """Return the object that the answer will be part of."""
        return {
            "id": f"resp_{uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "error": None,
            "incomplete_details": None,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": self.reasoning.effort if self.reasoning else None},
            "store": self.store is not False,
            "temperature": self.temperature,
            "text": {"format": (self.text and self.text.format) or {"type": "text"}},
            "tool_choice": self.tool_choice or "auto",
            "tools": [tool.model_dump() for tool in self.tools or ()],
            "top_p": self.top_p,
            "truncation": self.truncation or "disabled",
            "user": self.user,
        }
