"""Endpoints: functions that say what they take and give, and routes made of them.

    @endpoint("GET", "/api/memories/{number:number}", tag="Memories", missing=True)
    async def memory(request: Request, query: Wanted) -> MemoryWithHistory:
        '''Return a memory and what it took the place of.'''

`query` and `body`, where a function has them, are pydantic models: what comes is validated,
and refused with 422 and the field's name. What it returns is written as its annotation says;
a `Response` is sent as it is. The same annotations make the OpenAPI document.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.errors import GroundlingError, MemoriesError
from groundling.server.bodies import read_json
from groundling.server.problems import Problem, problem_of

M = TypeVar("M", bound=BaseModel)
Handler = Callable[..., Awaitable[Any]]
LONGEST = 2000  # characters of a text in the address
_SHOWN = 80  # characters of a name in a message


class Query(BaseModel):
    """Parameters of an address; further ones are passed over."""

    model_config = ConfigDict(extra="ignore")


class Body(BaseModel):
    """A JSON object; wrong types and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Answer(BaseModel):
    """What an endpoint gives."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class NumberConvertor(Convertor[int]):
    """A number in a path that SQLite can hold; a longer one is no such path."""

    regex = "[0-9]{1,15}"

    def convert(self, value: str) -> int:
        """Read the digits."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write the digits."""
        return str(value)


class BaseConvertor(Convertor[str]):
    """A knowledge base in a path: `handbook`, or another person's as `owner:name`.

    `owner/name`, the slash encoded, is read as well, unless the name is what paths below a
    base go on with; so answers write the colon.
    """

    regex = "[^/:]+(?::[^/:]+|/(?!(?:documents|search)(?:/|$))[^/:]+)?"

    def convert(self, value: str) -> str:
        """Return the name as it is shown."""
        return value.replace(":", "/", 1)

    def to_string(self, value: str) -> str:
        """Return the name as paths have it."""
        return value.replace("/", ":", 1)


register_url_convertor("number", NumberConvertor())
register_url_convertor("base", BaseConvertor())


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    Args:
        status: of success.
        tag: the group that it is described in.
        missing: whether 404 is among its answers; likewise `conflict`, 409.
        form: the body is `multipart/form-data`, which the function reads itself.
        media: the type of what it sends, where that is no JSON.
    """

    method: str
    path: str
    function: Handler
    status: int
    tag: str
    missing: bool
    conflict: bool
    form: bool
    media: str | None

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """The annotations of the function."""
        return get_type_hints(self.function)

    @property
    def query(self) -> type[BaseModel] | None:
        """What the address may have."""
        return self.hints.get("query")

    @property
    def body(self) -> type[BaseModel] | None:
        """What the body must be."""
        return self.hints.get("body")

    @cached_property
    def answer(self) -> TypeAdapter[Any] | None:
        """What writes the answer; None where there is no JSON."""
        given = self.hints["return"]
        if given is type(None) or (inspect.isclass(given) and issubclass(given, Response)):
            return None
        return TypeAdapter(given)

    async def respond(self, request: Request) -> Response:
        """Read a request, call the function, write what it returns."""
        given: dict[str, Any] = {}
        if (query := self.query) is not None:
            given["query"] = parameters(request, query)
        if (body := self.body) is not None:
            given["body"] = await body_of(request, body)
        try:
            result = await self.function(request, **given)
        except GroundlingError as error:
            raise _problem_of(error) from error
        if isinstance(result, Response):
            return result
        if self.answer is None:
            return Response(status_code=204)
        return Response(
            self.answer.dump_json(result, by_alias=True),
            self.status,
            media_type="application/json",
        )


def endpoint(
    method: str,
    path: str,
    *,
    tag: str,
    status: int = 200,
    missing: bool = False,
    conflict: bool = False,
    form: bool = False,
    media: str | None = None,
) -> Callable[[Handler], Endpoint]:
    """Make an endpoint of a function; the arguments are those of `Endpoint`."""

    def made(function: Handler) -> Endpoint:
        return Endpoint(method, path, function, status, tag, missing, conflict, form, media)

    return made


def routes(endpoints: Iterable[Endpoint]) -> list[BaseRoute]:
    """Return a route for each path, which knows all methods of it and refuses others."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method] = each
    return [EndpointRoute(path, methods) for path, methods in paths.items()]


class EndpointRoute(Route):
    """The route of all endpoints of a path."""

    def __init__(self, path: str, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = endpoints

        async def dispatch(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await endpoints[method].respond(request)

        super().__init__(path, dispatch, methods=list(endpoints))


def parameters(request: Request, kind: type[M]) -> M:
    """Read the parameters of an address.

    Raises:
        Problem: 422, one of them is wrong.
    """
    given = request.query_params
    for name in given:
        if len(given[name]) > LONGEST:
            raise Problem(422, f"{name[:_SHOWN]} has more than {LONGEST} characters.", param=name)
    return _checked(
        kind,
        {
            name: given.getlist(name) if _takes_list(kind, name) else given[name]
            for name in given
            if name in kind.model_fields and given[name] != ""
        },
    )


async def body_of(request: Request, kind: type[M]) -> M:
    """Read a body of JSON.

    Raises:
        Problem: 415, it is said to be something else; 422, it is not what it should be.
    """
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media.lower() != "application/json":
        raise Problem(415, "The body should be application/json.")
    data = await read_json(request)
    if not isinstance(data, dict):
        raise Problem(422, "The body should be a JSON object.")
    return _checked(kind, data)


def _problem_of(error: GroundlingError) -> Problem:
    """Return what is told of an error, where that is another thing here than elsewhere."""
    told = problem_of(error)
    if "Another process is writing" in told.message:
        told.status, told.code = 409, "conflict"
    if told.status == 500 and isinstance(error, MemoriesError) and error.__cause__ is None:
        told.status, told.code = 422, "invalid_memory"  # a bad fact, no file that cannot be read
    return told


def _checked(kind: type[M], data: Mapping[str, Any]) -> M:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])[:_SHOWN]
        reason = first["msg"].removeprefix("Value error, ")
        told = f"{name}: {reason}." if name else f"{reason}."
        raise Problem(422, told, param=name or None) from None


def _takes_list(kind: type[BaseModel], name: str) -> bool:
    if name not in kind.model_fields:
        return False
    annotation = kind.model_fields[name].annotation
    kinds = (annotation, *getattr(annotation, "__args__", ()))
    return any(get_origin(each) is list for each in kinds)
