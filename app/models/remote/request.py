"""A chat completion request, as the server at hand understands it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from groundling.errors import ModelError
from groundling.models import structured
from groundling.models.dialects import Parser
from groundling.models.remote.http import Ask, Json
from groundling.models.remote.server import EXTRAS, Capabilities
from groundling.models.remote.tools import chosen, held, plain
from groundling.models.remote.wire import to_wire

_OPENAI = ("temperature", "top_p", "seed", "max_tokens", "logprobs", "top_logprobs")


def write_request(
    messages: Sequence[BaseMessage],
    stop: Sequence[str],
    wishes: Mapping[str, Any],
    found: Capabilities,
) -> tuple[Json, Parser | None]:
    """Write a request.

    Args:
        messages: the conversation.
        stop: strings that end the answer.
        wishes: the call's settings, by their names in `ChatRemote`.
        found: what the server can do.

    Returns:
        The request, and what finds tool calls in the text of the answer.

    Raises:
        ModelError: the server cannot do what is wished.
    """
    sent = {ours: theirs for ours, theirs in EXTRAS[found.server].items() if ours in wishes}
    body: Json = {
        "model": wishes.get("model") or found.model,
        "messages": to_wire(messages),
        "stop": list(stop) or None,
        **{name: wishes.get(name) for name in _OPENAI},
        **{theirs: wishes[ours] for ours, theirs in sent.items()},
        **_format(wishes.get("response_format"), found),
    }
    if not body["logprobs"]:
        body |= {"logprobs": None, "top_logprobs": None}
    if (thinks := wishes.get("reasoning")) is not None and found.server != "other":
        body["chat_template_kwargs"] = {"enable_thinking": thinks, "thinking": thinks}
    parser = None
    if tools := wishes.get("tools"):
        choice = chosen(tools, wishes.get("tool_choice"))
        parallel = wishes.get("parallel_tool_calls")
        if found.server == "llama.cpp":
            body, parser = held(body, tools, choice, parallel, shown=found.shows_tools)
        else:
            body = plain(body, tools, choice, parallel)
    return {name: value for name, value in body.items() if value is not None}, parser


def streamed(body: Json) -> Ask:
    """Ask for an answer piece by piece, and for its cost at the end."""
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
