"""Request bodies: JSON, read strictly, with errors that name the field."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from groundling.server.bodies import read_json
from groundling.server.problems import Problem
from groundling.server.sse import as_json

_ROOT = "The body"


class Body(BaseModel):
    """A request; fields that are not known are let be, since clients send many."""

    model_config = ConfigDict(extra="ignore", strict=True)


B = TypeVar("B", bound=Body)


async def read(request: Request, kind: type[B]) -> B:
    """Read the body of a request.

    Raises:
        Problem: 400; it is no JSON object, nested too deeply, or a field is wrong.
    """
    await request.body()  # too long or too slow a one is refused with its own status
    try:
        given = await read_json(request)
    except Problem as error:
        raise Problem(400, error.message, code="invalid_json") from None
    if not isinstance(given, dict):
        raise Problem(400, "The body must be a JSON object.", code="invalid_type")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _wrong_field(error) from None


def _wrong_field(error: ValidationError) -> Problem:
    found = error.errors(include_url=False, include_input=False)
    # What is there and wrong says more than what a thing of another kind would need.
    first = min(found, key=lambda one: one["type"] == "missing")
    field = path(*first["loc"])
    reason = str(first["msg"]).removeprefix("Value error, ")
    missing = first["type"] == "missing"
    code = "missing_required_parameter" if missing else "invalid_value"
    return wrong(field, "is missing" if missing else reason, code=code)


def reply(value: Any) -> Response:
    """Answer with a value as JSON; a number that JSON has no form for is null."""
    return Response(as_json(value), media_type="application/json")


def path(*parts: Any) -> str:
    """Write where a value stands, as `messages[2].content`."""
    written = ""
    for part in parts:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else str(part)
    return written


def wrong(
    param: str, reason: str, *, hint: str | None = None, code: str = "invalid_value"
) -> Problem:
    """Say that a field of the request cannot be used."""
    return Problem(400, f"{param or _ROOT}: {reason}.", hint=hint, code=code, param=param or None)


def unsupported(param: str, reason: str, *, hint: str | None = None) -> Problem:
    """Say that a field asks for something that is not there."""
    return wrong(param, reason, hint=hint, code="unsupported_parameter")
