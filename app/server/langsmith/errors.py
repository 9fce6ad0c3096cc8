"""What a request is answered that cannot be served: LangSmith's `{"detail": …}`.

The statuses are chosen by what LangSmith's client does with them (client.py,
`request_with_retries`): it sends again what was answered 408, 425, 429 or 5xx, after the time
in Retry-After, and drops what was answered anything else. So only what may go better the next
time is answered 503.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from groundling.errors import GroundlingError

RETRY_AFTER = "1"  # seconds


class BadPart(ValueError):
    """A value in a request is not what it should be; the text says what is wrong with it."""


def missing(what: str) -> HTTPException:
    """Return the answer 404: there is no such thing."""
    return HTTPException(404, f"There is no {what}.")


def wrong(detail: str) -> HTTPException:
    """Return the answer 422: the request cannot be understood."""
    return HTTPException(422, detail)


def conflict(detail: str) -> HTTPException:
    """Return the answer 409: there is one already."""
    return HTTPException(409, detail)


def too_large(limit: int) -> HTTPException:
    """Return the answer 413, with the way out."""
    return HTTPException(
        413,
        f"The request is larger than {limit:,} bytes. Send fewer runs at once "
        "(LANGSMITH_BATCH_INGEST_SIZE_LIMIT), or leave large values out of inputs and outputs.",
    )


def busy(reason: str) -> HTTPException:
    """Return the answer 503: nothing is wrong with the request, it may be sent again."""
    return HTTPException(503, f"{reason} Send it again.", {"Retry-After": RETRY_AFTER})


async def answer_http(_: Request, error: Exception) -> Response:
    """Answer what a route refused."""
    assert isinstance(error, HTTPException)
    headers: Mapping[str, str] | None = error.headers
    return JSONResponse({"detail": error.detail}, error.status_code, headers)


async def answer_bad(request: Request, error: Exception) -> Response:
    """Answer an error of ours: the request asked for something that cannot be."""
    if isinstance(error.__cause__, sqlite3.Error):
        return await answer_store(request, error.__cause__)
    hint = getattr(error, "hint", None)
    return JSONResponse({"detail": f"{error} Next: {hint}" if hint else str(error)}, 422)


async def answer_store(_: Request, error: Exception) -> Response:
    """Answer a full disk, or a locked or damaged database."""
    failed = busy(f"The store cannot be used: {error}.")
    return JSONResponse({"detail": failed.detail}, failed.status_code, failed.headers)


async def answer_broken(request: Request, error: Exception) -> Response:
    """Answer what should not have happened; the server's log has the traceback."""
    what = f"{request.method} {request.url.path} failed: {type(error).__name__}."
    return JSONResponse({"detail": what}, 500)


HANDLERS: dict[Any, Any] = {
    HTTPException: answer_http,
    BadPart: answer_bad,
    GroundlingError: answer_bad,
    sqlite3.Error: answer_store,
    OSError: answer_store,
    Exception: answer_broken,
}
