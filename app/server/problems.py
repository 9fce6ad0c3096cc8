"""What goes wrong, in the shape that each interface has for errors.

A route raises `Problem`, or lets an error of Groundling through; what answers for the whole
server makes of it what the client of that path understands:

    /v1/…            OpenAI's      {"error": {"message", "type", "param", "code"}}
    all else         LangGraph's   {"detail": "…"}, and "hint" where there is a next step
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from groundling import errors

RETRY_SECONDS = 2
GONE = 499  # nginx's word for a client that did not wait; nobody reads it
_STATUS: tuple[tuple[type[errors.GroundlingError], int, str], ...] = (
    (errors.UnknownThread, 404, "not_found"),
    (errors.UnknownMemory, 404, "not_found"),
    (errors.MemoriesError, 422, "invalid_memory"),
    (errors.UnknownGraph, 404, "model_not_found"),
    (errors.EngineBusy, 429, "rate_limit_exceeded"),
    (errors.ContextOverflow, 400, "context_length_exceeded"),
    (errors.AdapterError, 422, "invalid_adapter"),
    (errors.ModelError, 503, "model_unavailable"),
    (errors.DiskFull, 507, "disk_full"),
    (errors.SettingsError, 422, "invalid_setting"),
    (errors.GraphError, 422, "invalid_input"),
    (errors.DocumentError, 422, "invalid_document"),
    (errors.KnowledgeError, 422, "invalid_knowledge"),
    (errors.EvaluationError, 422, "invalid_evaluation"),
    (errors.ToolError, 422, "tool_failed"),
    (errors.FactError, 422, "facts_unavailable"),
    (errors.DownloadError, 503, "download_failed"),
    (errors.TraceError, 404, "not_found"),
    (errors.WaitsForPerson, 409, "waits_for_person"),
)


class Problem(Exception):
    """An answer other than success.

    Args:
        status: of HTTP.
        message: what failed and why, for the one who asked.
        hint: the next step.
        code: a word for programs; default: by the status.
        param: which part of the request is wrong.
        headers: of the answer, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.code = code or _CODES.get(status, "invalid_request" if status < 500 else "error")
        self.param = param
        self.headers = dict(headers or {})


_CODES = {
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limit_exceeded",
    503: "unavailable",
}


def not_found(what: str) -> Problem:
    """Say that there is no such thing, or that it is another person's: nobody is told which."""
    return Problem(404, f"There is no {what}.")


def too_busy(message: str, seconds: int = RETRY_SECONDS) -> Problem:
    """Say that as much waits as may wait, and when to ask again."""
    return Problem(429, message, headers={"Retry-After": str(seconds)})


def problem_of(error: Exception) -> Problem:
    """Return what a client is told of an error; of an unforeseen one, nothing but that."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, str(error.detail), headers=error.headers)
        case ClientDisconnect():
            return Problem(GONE, "The client went away before it had sent its request.")
        case errors.GroundlingError():
            status, code = next(
                ((status, code) for kind, status, code in _STATUS if isinstance(error, kind)),
                (500, "error"),
            )
            headers = {"Retry-After": str(RETRY_SECONDS)} if status in (429, 503) else None
            return Problem(status, str(error), hint=error.hint, code=code, headers=headers)
        case _:
            return Problem(
                500, "Something failed inside the server.", hint="Its log names the request id."
            )


def told_of(error: Exception, home: Path) -> Problem:
    """Return what a client is told of an error: never where the home folder lies.

    Args:
        error: whatever went wrong.
        home: the home folder.
    """
    problem = problem_of(error)
    problem.message = without_home(problem.message, home)
    problem.hint = problem.hint and without_home(problem.hint, home)
    return problem


def without_home(text: str, home: Path) -> str:
    """Leave out of a text where the home folder lies: other machines need not know."""
    for place in sorted({str(home), str(home.resolve())}, key=len, reverse=True):
        text = text.replace(f"{place}/", "").replace(place, "the home folder")
    return text


def answer(problem: Problem, path: str) -> Response:
    """Write a problem as the interface of a path has it."""
    if path == "/v1" or path.startswith("/v1/"):
        kind = "server_error" if problem.status >= 500 else "invalid_request_error"
        told = f"{problem.message} {problem.hint}" if problem.hint else problem.message
        body: dict[str, object] = {
            "error": {
                "message": told,
                "type": kind,
                "param": problem.param,
                "code": problem.code,
            }
        }
    else:
        body = {"detail": problem.message, "code": problem.code}
        if problem.hint:
            body["hint"] = problem.hint
    return JSONResponse(body, problem.status, headers=problem.headers)
