"""A tool that always comes back: within its time, with a text of bearable length.

What a tool raises becomes a message to the model (LangChain's `ToolException`), so that it can
try another way; a traceback never reaches it. Interrupts of LangGraph pass through: they are
no errors.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from langchain_core.messages.tool import ToolOutputMixin
from langchain_core.tools import StructuredTool, ToolException
from langgraph.errors import GraphBubbleUp
from pydantic import ValidationError

from groundling.errors import GroundlingError

LONGEST = 8_000  # characters of a result
_GRACE = 2.0  # seconds that a coroutine that is given up has for saying so itself
_TIDYING = 15.0  # seconds that it has, unwatched, for tidying up
Result = TypeVar("Result")


def bounded(tool: StructuredTool, seconds: float | None, most: int = LONGEST) -> StructuredTool:
    """Return the tool with limits; it keeps its name, schema and metadata.

    Args:
        tool: with a function, a coroutine, or both.
        seconds: for one call; None: it may take as long as it likes. A function that hangs is
            left to itself in a thread that ends with the process; a coroutine is cancelled.
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
            patience = seconds
        else:
            started = in_thread(functools.partial(alone, functools.partial(acall, *args, **kwargs)))
            patience = None if seconds is None else seconds + _GRACE
        try:
            return shorten(started.result(timeout=patience))
        except Exception as error:
            late = seconds if not started.done() else None
            raise told(name, error, late, most) from error

    async def acall(*args: Any, **kwargs: Any) -> Any:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                if coroutine is not None:
                    return shorten(await coroutine(*args, **kwargs))
                assert function is not None
                return shorten(await threaded(functools.partial(function, *args, **kwargs)))
        except (Exception, SystemExit) as error:
            late = seconds if limit.expired() else None
            raise told(name, error, late, most) from error

    return tool.model_copy(
        update={
            # Wrapped, since LangChain looks at the signature for what else to hand in.
            "func": functools.wraps(function or _callable(coroutine))(call),
            "coroutine": functools.wraps(coroutine or _callable(function))(acall),
            "handle_tool_error": True,
            "handle_validation_error": malformed,
        }
    )


def told(
    name: str, error: BaseException, late: float | None = None, most: int = LONGEST
) -> BaseException:
    """Return what is raised instead of an error: a message for the model.

    Args:
        name: of the tool.
        error: what it raised.
        late: the seconds after which it was given up, if it was.
        most: characters of the message.
    """
    if isinstance(error, GraphBubbleUp):
        return error
    if late is not None and isinstance(error, TimeoutError):
        return ToolException(f"{name} did not answer within {late:g} s; it was given up.")
    if isinstance(error, ToolException):
        return error if len(str(error)) <= most else ToolException(cut(str(error), most))
    if isinstance(error, GroundlingError):
        return ToolException(cut(f"{error} {error.hint or ''}".strip(), most))
    return ToolException(cut(f"{name} failed: {type(error).__name__}: {error}", most))


def malformed(error: Any) -> str:
    """Say what is wrong with the arguments of a call."""
    if not isinstance(error, ValidationError):
        return f"The arguments are wrong: {error}"
    wrong = [
        f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}"
        for one in error.errors()
    ]
    return (
        f"The arguments are wrong: {cut('; '.join(wrong), 1_000)}. Call it again with right ones."
    )


def cut(content: Any, most: int) -> Any:
    """Shorten a text, and say by how much. Data that is too long becomes a text first.

    What steers a graph (LangChain's `ToolOutputMixin`: a message, a `Command`) stays.
    """
    if isinstance(content, ToolOutputMixin):
        return content
    text = content if isinstance(content, str) else _written(content)
    if len(text) <= most:
        return content
    return f"{text[:most]}\n[… {len(text) - most:,} more characters were cut off]"


def in_thread(function: Callable[[], Result]) -> Future[Result]:
    """Run a function in a thread of its own, which does not keep the process from ending."""
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody but the thread ends it
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(function))
        except SystemExit as error:  # a tool must not end the program
            future.set_exception(RuntimeError(f"it tried to end the program ({error})"))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="tool", daemon=True).start()
    return future


async def threaded(function: Callable[[], Result]) -> Result:
    """Await a function that blocks; if it hangs, it keeps neither the loop nor the process."""
    return await asyncio.wrap_future(in_thread(function))


def alone(coroutine: Callable[[], Awaitable[Result]]) -> Result:
    """Run a coroutine in a loop of its own, and let what it has begun come to its end."""

    async def wait() -> Result:
        try:
            return await coroutine()
        finally:
            # A client that is still connecting ends the process that it started only if its
            # tasks are not cancelled together with the loop.
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=_TIDYING)

    return asyncio.run(wait())


def _written(content: Any) -> str:
    try:
        return json.dumps(content, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(content)


def _callable(function: Callable[..., Any] | None) -> Callable[..., Any]:
    if function is None:
        raise ValueError("the tool has neither a function nor a coroutine")
    return function
