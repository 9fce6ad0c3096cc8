"""Tools on a server: left to it where it does them well, done here where it does not.

OpenAI's interface has tools, and vLLM keeps to `tool_choice`. llama.cpp's server lets the
model write freely before a call that must come, reads a tool's name in `tool_choice` as
`auto`, and shows no tools at all where the model's template knows none. There a call that
must come is held by a grammar of ours, a template without tools gets them in words, and
calls that are left in the text are found by the parser that local models have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from groundling.models.conversation import in_words
from groundling.models.dialects import MOST_CALLS, Parser, Tool, calls_grammar
from groundling.models.dialects.generic import Generic
from groundling.models.remote.http import Json

_DIALECT = Generic()


def chosen(tools: Sequence[Json], choice: Any) -> str | None:
    """Return which tool must be called: `none`, `auto`, `required`, or the name of one.

    Raises:
        ValueError: no tool has that name.
    """
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        choice = function.get("name") or choice.get("type")
    if choice is None or choice is False:
        return None
    if choice in (True, "any", "required"):
        return "required"
    if choice in ("none", "auto"):
        return str(choice)
    names = [tool["function"]["name"] for tool in tools]
    if choice not in names:
        raise ValueError(f"tool_choice names {choice!r}; the tools are {', '.join(names)}")
    return str(choice)


def plain(body: Json, tools: Sequence[Json], choice: str | None, parallel: bool | None) -> Json:
    """Add tools to a request as OpenAI's interface has them."""
    fields: Json = {"tools": list(tools)}
    if choice in ("none", "auto", "required"):
        fields["tool_choice"] = choice
    elif choice is not None:
        fields["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if parallel is not None:
        fields["parallel_tool_calls"] = parallel
    return {**body, **fields}


def held(
    body: Json, tools: Sequence[Json], choice: str | None, parallel: bool | None, *, shown: bool
) -> tuple[Json, Parser | None]:
    """Add tools to a request for llama.cpp's server.

    Args:
        body: the request.
        tools: as OpenAI writes them.
        choice: see `chosen`.
        parallel: whether one answer may hold several calls.
        shown: whether the model's template knows tools.

    Returns:
        The request, and what finds calls in the answer's text.

    Raises:
        ModelError: a tool must be called whose schema no grammar keeps.
    """
    known = [Tool.of(tool) for tool in tools]
    named = [tool for tool in known if tool.name == choice]
    forced = bool(named) or choice == "required"
    most = 1 if named or parallel is False else MOST_CALLS
    if not shown:
        body = {**body, "messages": _told(body["messages"], tools)}
    elif choice == "none" or forced:
        # With `none` the server shows the tools and leaves the answer to the grammar.
        body = plain(body, tools, "none", None)
    else:
        body = plain(body, tools, choice, parallel)
    if choice == "none":
        return body, None
    if forced:
        grammar = calls_grammar(_DIALECT.frame, tuple(named or known), most=most)
        body = {**body, "grammar": grammar.text}
    return body, _DIALECT.parser(known, most)


def _told(messages: Sequence[Json], tools: Sequence[Json]) -> list[Json]:
    """Write tools, calls and results in words."""
    read = []
    for message in messages:
        calls = [
            {"function": {**call["function"], "arguments": _arguments(call["function"])}}
            for call in message.get("tool_calls") or ()
        ]
        one = {**message, "content": message.get("content") or ""}
        read.append({**one, "tool_calls": calls} if calls else one)
    return [
        {"role": message["role"], "content": message["content"]}
        for message in in_words(read, tools)
    ]


def _arguments(function: Mapping[str, Any]) -> Any:
    try:
        return json.loads(function["arguments"])
    except ValueError:
        return function["arguments"]
