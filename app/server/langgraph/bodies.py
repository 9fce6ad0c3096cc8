"""What requests bring: bodies, parameters and ids, read and bounded.

Unknown fields are passed over, as LangGraph's own server does: its clients send more from
version to version. What is known must have the right type; the answer names what has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from groundling.server.bodies import read_json
from groundling.server.problems import Problem, not_found

T = TypeVar("T", bound=BaseModel)

METADATA_BYTES = 262_144
_LONGEST_ID = 128


class Body(BaseModel):
    """A JSON object; wrong types are refused, further fields are not."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Query(BaseModel):
    """Parameters of an address: text that is read as what it should be."""

    model_config = ConfigDict(extra="ignore")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _split(value: Any) -> Any:
    """Read `a,b` and `a&b` alike: clients differ; what they leave open comes as nothing."""
    return [part for each in value for part in str(each).split(",") if part]


def _small(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value and len(orjson.dumps(value)) > METADATA_BYTES:
        raise ValueError(f"may have {METADATA_BYTES:,} bytes")
    return value


Object = dict[str, Any]
Metadata = Annotated[Object | None, AfterValidator(_small)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Offset = Annotated[int, Field(ge=0, le=10_000_000)]
Order = Literal["asc", "desc"]
Listed = BeforeValidator(_listed)
Split = BeforeValidator(_split)


async def read(request: Request, kind: type[T]) -> T:
    """Read a body as one of the models of this package.

    Raises:
        Problem: 422, it is not such a thing.
    """
    return checked(await read_json(request), kind)


def parameters(request: Request, kind: type[T]) -> T:
    """Read the parameters of the address.

    Raises:
        Problem: 422, one of them is wrong.
    """
    given = request.query_params
    data = {
        name: given.getlist(name) if _takes_list(kind, name) else given[name]
        for name in given
        if name in kind.model_fields
    }
    return checked(data, kind)


def checked(data: Any, kind: type[T]) -> T:
    """Return data as a model.

    Raises:
        Problem: 422; it names the first field that is wrong.
    """
    if not isinstance(data, Mapping):
        raise Problem(422, "The body should be a JSON object.")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = _named(first["loc"], data)
        reason = first["msg"].removeprefix("Value error, ")
        raise Problem(422, f"{name}: {reason}." if name else f"{reason}.", param=name) from None


def run_id(request: Request) -> UUID:
    """Return the run that the path names.

    Raises:
        Problem: 422, that is no id of a run.
    """
    return uuid_of(request.path_params["run_id"], "run ID")


def uuid_of(text: str, what: str) -> UUID:
    """Read a UUID.

    Raises:
        Problem: 422, it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise Problem(422, f"Invalid {what}: must be a UUID.") from None


def thread_id(request: Request) -> str:
    """Return the thread that the path names.

    Raises:
        Problem: 404, no thread can be called that.
    """
    given = str(request.path_params["thread_id"])
    if not 0 < len(given) <= _LONGEST_ID or not given.isprintable():
        raise not_found("such thread")
    return plain_id(given)


def plain_id(text: str) -> str:
    """Write a UUID in its usual form, whichever it came in; leave other ids alone."""
    try:
        return str(UUID(text)) if len(text) in (32, 36) else text
    except ValueError:
        return text


def new_thread_id(text: str) -> str:
    """Return an id that a client wants for a thread.

    Raises:
        Problem: 422, it is neither a UUID nor eight hexadecimal digits.
    """
    short = len(text) == 8 and set(text) <= set("0123456789abcdef")
    return text if short else str(uuid_of(text, "thread ID"))


def _takes_list(kind: type[BaseModel], name: str) -> bool:
    return _is_list(kind.model_fields[name].annotation)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def _named(loc: tuple[int | str, ...], data: Any) -> str:
    """Name a field as the sender would: without the names that pydantic gives to choices."""
    parts: list[str] = []
    for part in loc:
        if _has(data, part):
            data = data[part]
        elif not isinstance(data, Mapping) or part in _CHOICES:
            continue
        else:
            data = None
        parts.append(str(part))
    return ".".join(parts)


def _has(data: Any, part: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, Mapping) and part in data


_CHOICES = ("str", "int", "float", "bool", "dict", "list", "literal")
