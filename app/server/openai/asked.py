"""What a request asks of a model, whichever of OpenAI's interfaces it came by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from langchain_core.messages import BaseMessage
from pydantic import Field

from groundling.server.openai.bodies import Body, path, unsupported, wrong

MOST_STOPS = 16
MOST_TOOLS = 128
MOST_ANSWERS = 16
SEEDS = 2**32 - 1  # from 0 on; the last 32-bit number would ask llama.cpp for any
_TOOL_NAME = r"^[a-zA-Z0-9_-]{1,64}$"
_QUIET = ("none", "minimal")
Json = dict[str, Any]


class Extras(Body):
    """The request's field `groundling`, for what OpenAI's interface has no word for.

    Args:
        footnotes: write citations, notices and doubts below the text, too.
        knowledge: the knowledge base to answer from, for `rag`, `agent` and `toolbox`.
        strict: refuse what the documents do not answer.
    """

    footnotes: bool = True
    knowledge: str | None = Field(None, max_length=200)
    strict: bool | None = None


@dataclass(frozen=True)
class Asked:
    """A conversation, and how it is to be answered.

    Args:
        messages: the conversation.
        sampling: settings of the model's call, by their names in `ChatLlama`.
        stop: strings that end the answer.
        tools: that the model may call, in OpenAI's form.
        tool_choice: which of them it must.
        parallel: whether one answer may hold several calls.
        form: the `response_format`, as for chat completions.
        answers: how many.
        extras: see there.
    """

    messages: Sequence[BaseMessage]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    stop: Sequence[str] = ()
    tools: Sequence[Json] = ()
    tool_choice: str | None = None
    parallel: bool = True
    form: Json | None = None
    answers: int = 1
    extras: Extras = field(default_factory=Extras)


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
Listed = Annotated[int, Field(ge=0, le=20)]


def thinks(effort: Effort | None) -> bool | None:
    """Return whether the model is to think first, where its template has that."""
    return None if effort is None else effort not in _QUIET


class Function(Body):
    """A function that the model may call."""

    name: str = Field(pattern=_TOOL_NAME)
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None

    @property
    def tool(self) -> Json:
        """As `ChatLlama` takes it."""
        function: Json = {
            "name": self.name,
            "description": self.description or "",
            "parameters": self.parameters or {"type": "object", "properties": {}},
        }
        if self.strict is not None:
            function["strict"] = self.strict
        return {"type": "function", "function": function}


def chosen_tools(
    tools: Sequence[Function], choice: Any, param: str = "tool_choice"
) -> tuple[list[Json], str | None]:
    """Return the tools that may be called, and `none`, `auto`, `required` or one's name.

    Args:
        tools: those of the request.
        choice: as either interface writes it: a word, a function, or the tools allowed.

    Raises:
        Problem: 400; two have the same name, or none has the one that is chosen.
    """
    names = [tool.name for tool in tools]
    if len(tools) > MOST_TOOLS:
        raise wrong("tools", f"there are {len(tools)}; at most {MOST_TOOLS} can be given")
    for n, name in enumerate(names):
        if name in names[:n]:
            raise wrong(path("tools", n), f"there are two tools called {name}")
    allowed = names
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        inner = choice.get("allowed_tools", choice)
        listed = inner.get("tools") if isinstance(inner, dict) else None
        if not isinstance(listed, list):
            raise wrong(param, "allowed_tools lists the tools that are allowed")
        allowed = [_name(one, param) for one in listed]
        choice = inner.get("mode", "auto")
    elif isinstance(choice, dict):
        choice = _name(choice, param)
        allowed = [choice]
    elif choice is not None and choice not in ("none", "auto", "required"):
        raise wrong(param, "it is none, auto, required, or a function")
    if unknown := [name for name in allowed if name not in names]:
        raise wrong(param, f"there is no tool called {', '.join(unknown)}")
    if choice is not None and choice not in ("none", "auto") and not allowed:
        raise wrong(param, "a tool must be called, and there is none")
    return [tool.tool for tool in tools if tool.name in allowed], choice


def _name(given: Any, param: str) -> str:
    inner = given.get("function", given) if isinstance(given, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str) or given.get("type", "function") != "function":
        raise wrong(param, 'a choice is {"type": "function", "function": {"name": "…"}}')
    return name


def stops(given: str | list[str] | None) -> list[str]:
    """Read the strings that end an answer.

    Raises:
        Problem: 400; there are too many, one is too long, or one is empty.
    """
    listed = [given] if isinstance(given, str) else given or []
    if len(listed) > MOST_STOPS:
        raise wrong("stop", f"there are {len(listed)} strings; at most {MOST_STOPS} can be given")
    if not all(0 < len(text) <= 256 for text in listed):
        raise wrong("stop", "a string that ends the answer has 1 to 256 characters")
    return listed


def biases(given: dict[str, float] | None) -> dict[int, float] | None:
    """Read what is added to single tokens' logits.

    Raises:
        Problem: 400; a token is no number, or a bias is out of bounds.
    """
    if not given:
        return None
    if len(given) > 1024:
        raise wrong("logit_bias", f"it names {len(given)} tokens; at most 1024 can be given")
    if not all(token.isascii() and token.isdigit() and len(token) < 10 for token in given):
        raise wrong("logit_bias", "tokens are named by their numbers")
    if not all(-100 <= bias <= 100 for bias in given.values()):
        raise wrong("logit_bias", "a bias is a number from -100 to 100")
    return {int(token): bias for token, bias in given.items()}


def form_of(given: Json | None, param: str = "response_format") -> Json | None:
    """Read in which form the answer is wanted; None: as a text.

    Raises:
        Problem: 400; there is no such form, or its schema is missing.
    """
    kind = "text" if given is None else given.get("type")
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    if kind != "json_schema":
        raise unsupported(f"{param}.type", "it is text, json_object or json_schema")
    inner = given.get("json_schema")
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        raise wrong(f"{param}.json_schema", "there is no schema")
    if not isinstance(inner.get("strict", None), bool | None):
        raise wrong(f"{param}.json_schema.strict", "it is true or false")
    return {"type": kind, "json_schema": inner}
