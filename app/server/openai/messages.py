"""OpenAI's chat messages as LangChain's.

Only text is read. What a conversation may hold otherwise (images, sounds, files) is refused
by name, because a model that does not see it would answer as if it had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from groundling.server.openai.bodies import path, unsupported, wrong

ROLES = ("system", "developer", "user", "assistant", "tool")
_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}


def conversation(messages: Sequence[Any], param: str = "messages") -> list[BaseMessage]:
    """Read a conversation.

    Args:
        messages: as OpenAI writes them.
        param: where they stand in the request.

    Raises:
        Problem: 400; it is empty, or a message cannot be read.
    """
    if not messages:
        raise wrong(param, "there is no message")
    return [message_of(message, path(param, n)) for n, message in enumerate(messages)]


def message_of(given: Any, where: str) -> BaseMessage:
    """Read one message.

    Raises:
        Problem: 400; it cannot be read.
    """
    if not isinstance(given, dict):
        raise wrong(where, "a message is an object with a role and a content")
    role = given.get("role")
    reader = _READERS.get(role) if isinstance(role, str) else None
    if reader is None:
        raise wrong(f"{where}.role", f"{role!r} is no role; roles are {', '.join(ROLES)}")
    message = reader(given, where)
    name = given.get("name")
    if name is not None:
        if not isinstance(name, str):
            raise wrong(f"{where}.name", "a name is a text")
        message.name = name
    return message


def _system(given: dict[str, Any], where: str) -> BaseMessage:
    return SystemMessage(text_of(given.get("content"), f"{where}.content"))


def _user(given: dict[str, Any], where: str) -> BaseMessage:
    return HumanMessage(text_of(given.get("content"), f"{where}.content"))


def _assistant(given: dict[str, Any], where: str) -> BaseMessage:
    if given.get("function_call") is not None:
        hint = "Use tool_calls."
        raise unsupported(f"{where}.function_call", "function calls are an older form", hint=hint)
    calls = given.get("tool_calls") or []
    if not isinstance(calls, list):
        raise wrong(f"{where}.tool_calls", "tool calls are a list")
    read = [_call(call, path(where, "tool_calls", n)) for n, call in enumerate(calls)]
    content = given.get("content")
    if content is None and (read or given.get("refusal") is not None):
        content = given.get("refusal") or ""
    return AIMessage(text_of(content, f"{where}.content"), tool_calls=read)


def _tool(given: dict[str, Any], where: str) -> BaseMessage:
    id = given.get("tool_call_id")
    if not isinstance(id, str):
        raise wrong(f"{where}.tool_call_id", "a result names the call that it answers")
    return ToolMessage(text_of(given.get("content"), f"{where}.content"), tool_call_id=id)


_READERS: dict[str, Callable[[dict[str, Any], str], BaseMessage]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


def _call(given: Any, where: str) -> ToolCall:
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict) or given.get("type", "function") != "function":
        raise wrong(where, 'a call is {"id", "type": "function", "function": {…}}')
    return call_of(given.get("id"), function.get("name"), function.get("arguments"), where)


def call_of(id: Any, name: Any, arguments: Any, where: str) -> ToolCall:
    """Read one call that the model made earlier.

    Raises:
        Problem: 400; a part is missing, or the arguments are no JSON object.
    """
    if not (isinstance(id, str) and isinstance(name, str) and isinstance(arguments, str)):
        raise wrong(where, "a call has an id, a name and arguments, all texts")
    try:
        read = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        read = None
    if not isinstance(read, dict):
        raise wrong(where, "the arguments of a call are a JSON object, written as a text")
    return ToolCall(name=name, args=read, id=id, type="tool_call")


def text_of(content: Any, where: str) -> str:
    """Read a content: a text, or a list of parts that hold texts.

    Raises:
        Problem: 400; it is something else.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong(where, "a content is a text, or a list of parts")
    return "".join(_part(part, path(where, n)) for n, part in enumerate(content))


def _part(part: Any, where: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise wrong(where, 'a part is an object such as {"type": "text", "text": "…"}')
    if kind not in _TEXTS:
        hint = "Put what matters of it into words."
        raise unsupported(where, f"the models here read text, and this part is {kind}", hint=hint)
    text = part.get(_TEXTS[kind])
    if not isinstance(text, str):
        raise wrong(where, f"its {_TEXTS[kind]} is no text")
    return text
