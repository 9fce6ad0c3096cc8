"""A tool that always comes back: within its time, with a text of bearable length.

What a tool raises becomes a message to the model (LangChain's `ToolException`), so that it can
try another way; a traceback never reaches it. Interrupts of LangGraph pass through: they are
no errors.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from langchain_core.tools import StructuredTool, ToolException
from langgraph.errors import GraphBubbleUp
from pydantic import ValidationError

from groundling.errors import GroundlingError

LONGEST = 8_000  # characters of a result
Result = TypeVar("Result")


def bounded(tool: StructuredTool, seconds: float, most: int = LONGEST) -> StructuredTool:
    """Return the tool with limits; it keeps its name, schema and metadata.

    Args:
        tool: with a function, a coroutine, or both.
        seconds: for one call. A function that hangs is left to itself in a thread that
            ends with the process.
        most: characters of a result; what is cut off is counted in its last line.
    """
    function, coroutine = tool.func, tool.coroutine
    name, as_artifact = tool.name, tool.response_format == "content_and_artifact"

    def shorten(result: Any) -> Any:
        if as_artifact and isinstance(result, tuple):
            content, artifact = result
            return cut(content, most), artifact
        return cut(result, most)

    def call(*args: Any, **kwargs: Any) -> Any:
        if function is not None:
            started = in_thread(functools.partial(function, *args, **kwargs))
        else:
            started = in_thread(functools.partial(_alone, _callable(coroutine), args, kwargs))
        try:
            return shorten(started.result(timeout=seconds))
        except Exception as error:
            raise told(name, seconds, error) from error

    async def acall(*args: Any, **kwargs: Any) -> Any:
        try:
            if coroutine is not None:
                awaited: Awaitable[Any] = coroutine(*args, **kwargs)
            else:
                assert function is not None
                started = in_thread(functools.partial(function, *args, **kwargs))
                awaited = asyncio.wrap_future(started)
            return shorten(await asyncio.wait_for(awaited, seconds))
        except Exception as error:
            raise told(name, seconds, error) from error

    return tool.model_copy(
        update={
            # Wrapped, since LangChain looks at the signature for what else to hand in.
            "func": functools.wraps(function or _callable(coroutine))(call),
            "coroutine": functools.wraps(coroutine or _callable(function))(acall),
            "handle_tool_error": True,
            "handle_validation_error": malformed,
        }
    )


def told(name: str, seconds: float, error: Exception) -> Exception:
    """Return what is raised instead of an error: a message for the model."""
    if isinstance(error, GraphBubbleUp | ToolException):
        return error
    if isinstance(error, TimeoutError):
        return ToolException(f"{name} did not answer within {seconds:g} s; it was given up.")
    if isinstance(error, GroundlingError):
        return ToolException(f"{error} {error.hint or ''}".strip())
    return ToolException(f"{name} failed: {type(error).__name__}: {error}")


def malformed(error: Any) -> str:
    """Say what is wrong with the arguments of a call."""
    if not isinstance(error, ValidationError):
        return f"The arguments are wrong: {error}"
    wrong = [
        f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}"
        for one in error.errors()
    ]
    return f"The arguments are wrong: {'; '.join(wrong)}. Call it again with right ones."


def cut(content: Any, most: int) -> Any:
    """Shorten a text, and say by how much; what is no text stays."""
    if not isinstance(content, str) or len(content) <= most:
        return content
    return f"{content[:most]}\n[… {len(content) - most:,} more characters were cut off]"


def in_thread(function: Callable[[], Result]) -> Future[Result]:
    """Run a function in a thread of its own, which does not keep the process from ending."""
    future: Future[Result] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(function)
        except BaseException as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)

    threading.Thread(target=work, name="tool", daemon=True).start()
    return future


def _alone(coroutine: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
    async def wait() -> Any:
        return await coroutine(*args, **kwargs)

    return asyncio.run(wait())


def _callable(function: Callable[..., Any] | None) -> Callable[..., Any]:
    if function is None:
        raise ValueError("the tool has neither a function nor a coroutine")
    return function
