"""A graph's run as it goes: steps, text, and at last what the graph gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from groundling import errors
from groundling.server.openai.pieces import Usage
from groundling.server.problems import Problem, problem_of

if TYPE_CHECKING:
    from groundling.server.runs.request import RunRequest
    from groundling.server.services import Services

_STATUS = {"not_found": 404, "conflict": 409, "invalid_request": 422}  # codes of problems
MODES = ("tasks", "messages-tuple", "values")
_WRITING = ("answer", "conclude")  # nodes whose text is the answer's


@dataclass(frozen=True)
class Moment:
    """What happens next in a run.

    Args:
        step: has begun.
        text: of the answer, as the model writes it.
        usage: of a piece that the model wrote, whatever for.
        values: what the graph has given so far.
    """

    step: str | None = None
    text: str = ""
    usage: Usage | None = None
    values: Mapping[str, Any] | None = None


async def moments(held: Services, request: RunRequest) -> AsyncGenerator[Moment]:
    """Run a graph; leaving the loop cancels it.

    Args:
        held: of the server.
        request: for a run with `MODES`.

    Raises:
        Problem: the run could not be started, or failed.
    """
    await held.runs.start(request)
    events = cast("AsyncGenerator[Any]", held.runs.events(request.run_id, request.person))
    waits = False
    async with aclosing(events):
        async for event in events:
            match event.event:
                case "tasks" if "input" in event.data:
                    yield Moment(step=str(event.data["name"]))
                case "messages":
                    chunk, about = event.data
                    writes = about.get("langgraph_node") in _WRITING
                    yield Moment(text=_text(chunk) if writes else "", usage=_cost(chunk))
                case "values":
                    waits = "__interrupt__" in event.data
                    yield Moment(values=event.data)
                case "error":
                    raise failure(event.data)
    run = await held.runs.get(request.run_id, request.person)
    if run.status != "success" and not waits:  # what it has so far is no answer
        raise Problem(409, "The run was stopped before it had answered.", code="cancelled")


def _text(chunk: Mapping[str, Any]) -> str:
    if chunk.get("type") != "AIMessageChunk":  # whole messages repeat what came in pieces
        return ""
    content = chunk.get("content")
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, dict)]
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _cost(chunk: Mapping[str, Any]) -> Usage | None:
    cost = chunk.get("usage_metadata")
    if not cost:
        return None
    cached = (cost.get("input_token_details") or {}).get("cache_read") or 0
    return Usage(cost.get("input_tokens") or 0, cached, cost.get("output_tokens") or 0)


def failure(data: Mapping[str, Any]) -> Problem:
    """Return what a client is told of a run that failed.

    Args:
        data: of the run's event `error`: the error's class, or a problem's code; a message.
    """
    name, message = str(data.get("error", "")), str(data.get("message", ""))
    if name in _STATUS:
        return Problem(_STATUS[name], message, hint=data.get("hint"), code=name)
    if name == "ServerEnding":
        return Problem(503, message, headers={"Retry-After": "5"})
    name = "ContextOverflow" if name == "PromptTooLong" else name
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.GroundlingError)):
        return problem_of(RuntimeError(message))
    error = kind.__new__(kind)
    errors.GroundlingError.__init__(error, message, hint=data.get("hint"))
    return problem_of(error)
