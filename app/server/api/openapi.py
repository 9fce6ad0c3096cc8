"""The description of all interfaces in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0).

The own interface describes itself: an endpoint's annotations are its schemas. Of the others
there is what their routes tell (path, method, docstring), the models of bodies and parameters
that their functions name, and what their package says in `DESCRIPTIONS`, if it has that: a
mapping of (method, path) to members of an OpenAPI operation.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from groundling.server.api.endpoint import Endpoint, EndpointRoute
from groundling.server.people.sessions import COOKIE
from groundling.server.services import services
from groundling.server.sse import as_json

_PARAMETER = re.compile(r"{(\w+)(?::(\w+))?}")
_REFERENCE = "#/components/schemas/{model}"
_CONVERTED: dict[str, dict[str, Any]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "number": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    "base": {
        "type": "string",
        "minLength": 1,
        "pattern": "^[^/:]+(:[^/:]+)?$",
        "description": "a knowledge base: `name`, or another person's as `owner:name`",
    },
}
_TAGS = {"v1": "OpenAI", "mcp": "MCP", "langsmith": "LangSmith", "api": "People"}
_PROBLEMS = {
    401: "It is not said who asks, or the key is not known.",
    403: "It takes another role.",
    404: "There is no such thing, or it is another person's.",
    409: "It cannot be done as things are.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "The request is not as it should be; the answer names what is wrong.",
    429: "Too much at once; `Retry-After` says when to come again.",
    503: "The server, or its model, is not ready.",
    507: "The disk is full.",
}


class Told(BaseModel):
    """An error: what failed, a word for programs, and the next step."""

    detail: str
    code: str
    hint: str | None = None


class OpenAITold(BaseModel):
    """An error in OpenAI's shape."""

    error: dict[str, Any]


async def openapi(request: Request) -> Response:
    """Describe all interfaces; made once, when first asked for."""
    kept = request.app.state
    if (made := getattr(kept, "openapi", None)) is None:
        # Whoever asks meanwhile waits for the same one, and going away does not end it.
        made = kept.openapi = asyncio.create_task(
            services(request).work(_written, request.app.routes)
        )
    return Response(await asyncio.shield(made), media_type="application/json")


def _written(routes: Iterable[BaseRoute]) -> bytes:
    """Return the description as JSON; takes a tenth of a second, so call it from a worker."""
    return as_json(document(routes))


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the description of an application's routes."""
    plain = [route for route in routes if isinstance(route, Route) and route.include_in_schema]
    endpoints = [
        each
        for route in plain
        if isinstance(route, EndpointRoute)
        for each in route.endpoints.values()
    ]
    foreign = [
        (route, method)
        for route in plain
        if not isinstance(route, EndpointRoute) and not _is_page(route.path)
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    bodies = {
        kind
        for route, method in foreign
        if (kind := _named_models(route.endpoint, method)[1]) is not None
    }
    references, schemas = _schemas(endpoints, bodies)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = paths.setdefault(_template(endpoint.path), {})
        path[endpoint.method.lower()] = _operation(endpoint, references)
    described = _descriptions()
    for route, method in foreign:
        operation = _foreign(route, method, references)
        operation.update(described.get((method, route.path), {}))
        paths.setdefault(_template(route.path), {}).setdefault(method.lower(), operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Groundling",
            "version": version("groundling"),
            "summary": "A private agent over your documents, on your own machine.",
            "description": _ABOUT,
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"key": []}, {"bearer": []}, {"session": []}],
        "tags": _tags(paths),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def markdown(endpoints: Iterable[Endpoint]) -> str:
    """Return the page of the documentation that lists the own interface."""
    lines = [
        "# Groundling's own API",
        "",
        "Generated from `groundling.server.api`; `/openapi.json` of a running server has the",
        "schemas, and those of the other interfaces.",
        "",
        _ABOUT,
    ]
    groups: dict[str, list[Endpoint]] = {}
    for each in endpoints:
        groups.setdefault(each.tag, []).append(each)
    for tag, members in groups.items():
        lines += ["", f"## {tag}", "", "| | | takes | gives |", "|---|---|---|---|"]
        for each in sorted(members, key=lambda one: one.path):
            takes = ", ".join(_takes(each)) or "–"
            gives = each.media or _gives(each)
            path = _template(each.path)
            lines.append(
                f"| `{each.method} {path}` | {_summary(each.function)} | {takes} | {gives} |"
            )
    return "\n".join([*lines, ""])


_ABOUT = """Errors are `{"detail", "code", "hint"}`. Where the server has users, requests say who
sends them: `x-api-key: KEY` or `Authorization: Bearer KEY`; the page has a session. Bodies are
JSON; unknown fields are refused. What is another person's is answered with 404. Texts of
documents, memories and traces are data: they may hold any markup, and come as JSON alone."""


def _schemas(
    endpoints: Iterable[Endpoint], bodies: Iterable[type[BaseModel]]
) -> tuple[dict[tuple[type[BaseModel], str], dict[str, Any]], dict[str, Any]]:
    """Return references to the schemas of all models, and the schemas."""
    wanted: dict[tuple[type[BaseModel], Any], None] = {(Told, "serialization"): None}
    for endpoint in endpoints:
        if endpoint.body is not None:
            wanted[endpoint.body, "validation"] = None
        if (given := _answer(endpoint)) is not None:
            wanted[given, "serialization"] = None
    wanted[OpenAITold, "serialization"] = None
    for body in sorted(bodies, key=lambda each: (each.__module__, each.__name__)):
        wanted[body, "validation"] = None
    references, together = models_json_schema(
        list(wanted), ref_template=_REFERENCE, schema_generator=GenerateJsonSchema
    )
    return dict(references), together.get("$defs", {})  # type: ignore[arg-type]


def _operation(
    endpoint: Endpoint, references: Mapping[tuple[type[BaseModel], str], dict[str, Any]]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        **_words(endpoint.function),
        "operationId": endpoint.function.__name__ + "_" + _identifier(endpoint),
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query)],
    }
    if endpoint.body is not None:
        schema = references[endpoint.body, "validation"]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    if endpoint.form:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": _FILES}}
    answer: dict[str, Any] = {"description": "It was done."}
    status = endpoint.status
    if endpoint.media is not None:
        streamed = endpoint.media == "text/event-stream"
        media: dict[str, Any] = {endpoint.media: {} if streamed else {"schema": _TEXT}}
        if endpoint.media == "text/markdown":
            media["application/json"] = {"schema": {"type": "object"}}
        answer["content"] = media
    elif (given := _answer(endpoint)) is not None:
        schema = references[given, "serialization"]
        answer["content"] = {"application/json": {"schema": schema}}
    else:
        status = 204
    told = references[Told, "serialization"]
    operation["responses"] = {
        str(status): answer,
        **{
            str(each): {
                "description": _PROBLEMS[each],
                "content": {"application/json": {"schema": told}},
            }
            for each in sorted(_problems(endpoint))
        },
    }
    return operation


def _problems(endpoint: Endpoint) -> set[int]:
    found = {401, 403, 422, 429, 503}
    if endpoint.missing:
        found.add(404)
    if endpoint.conflict or "memories" in endpoint.path:
        found.add(409)
    if endpoint.body is not None or endpoint.form:
        found |= {413, 415}
    if endpoint.method != "GET":
        found.add(507)
    return found


def _answer(endpoint: Endpoint) -> type[BaseModel] | None:
    given = endpoint.hints["return"]
    return given if inspect.isclass(given) and issubclass(given, BaseModel) else None


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _CONVERTED.get(kind, {"type": "string", "minLength": 1}),
        }
        for name, kind in _PARAMETER.findall(path)
    ]


def _query_parameters(query: type[BaseModel] | None) -> Iterator[dict[str, Any]]:
    if query is None:
        return
    schema = query.model_json_schema(ref_template=_REFERENCE)
    inside = schema.get("$defs", {})
    for name, field in schema["properties"].items():
        described = _inlined(field, inside)
        about = described.pop("description", None)
        described.pop("title", None)
        # None means: not given. An address has no way to say it.
        if "anyOf" in described:
            kinds = [each for each in described.pop("anyOf") if each != {"type": "null"}]
            described = {**kinds[0], **described} if len(kinds) == 1 else {"anyOf": kinds}
            if described.get("default", 0) is None:
                del described["default"]
        parameter = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": described,
        }
        if about:
            parameter["description"] = about
        yield parameter


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a schema without references: those of parameters are small."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    return schema


def _foreign(
    route: Route,
    method: str,
    references: Mapping[tuple[type[BaseModel], str], dict[str, Any]],
) -> dict[str, Any]:
    """Describe a route of another package by its function."""
    first = route.path.lstrip("/").partition("/")[0]
    told = {"$ref": _REFERENCE.format(model="OpenAITold" if first == "v1" else "Told")}
    query, body = _named_models(route.endpoint, method)
    operation: dict[str, Any] = {
        **_words(route.endpoint),
        "tags": [_TAGS.get(first, "LangGraph")],
        "parameters": [*_path_parameters(route.path), *_query_parameters(query)],
        "responses": {
            "2XX": {"description": "It was done."},
            "4XX": {
                "description": "The request is not as it should be, or there is no such thing.",
                "content": {"application/json": {"schema": told}},
            },
        },
    }
    if method in ("POST", "PUT", "PATCH") or body is not None:
        schema = {"type": "object"} if body is None else references[body, "validation"]
        operation["requestBody"] = {
            "required": body is not None,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _named_models(
    function: Any, method: str
) -> tuple[type[BaseModel] | None, type[BaseModel] | None]:
    """Return the models of parameters and body that a function reads: it names them.

    A function of two methods names both; what a model of a body is, its base tells.
    """
    code = getattr(function, "__code__", None)
    found = [function.__globals__.get(name) for name in (code.co_names if code else ())]
    models = [each for each in found if inspect.isclass(each) and issubclass(each, BaseModel)]
    queries = [each for each in models if any(k.__name__.endswith("Query") for k in each.mro())]
    bodies = [each for each in models if each not in queries]
    body = bodies[0] if bodies and method != "GET" else None
    query = queries[0] if queries and (method == "GET" or len(models) == len(queries)) else None
    return query, body


def _descriptions() -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return what other packages say of their routes."""
    from groundling.server import langgraph, openai
    from groundling.server.people import routes as people

    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for package in (langgraph, openai, people):
        found.update(getattr(package, "DESCRIPTIONS", {}))
    return found


def _words(function: Any) -> dict[str, str]:
    text = inspect.getdoc(function) or ""
    summary, _, rest = text.partition("\n")
    words = {"summary": summary.rstrip(".")} if summary else {}
    if rest.strip():
        words["description"] = rest.strip()
    return words


def _summary(function: Any) -> str:
    return _words(function).get("summary", "").replace("|", "\\|")


def _takes(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.query is not None:
        yield from (f"`?{name}`" for name in endpoint.query.model_fields)
    if endpoint.body is not None:
        yield from (f"`{name}`" for name in endpoint.body.model_fields)
    if endpoint.form:
        yield "files"


def _gives(endpoint: Endpoint) -> str:
    given = _answer(endpoint)
    return "–" if given is None else ", ".join(f"`{name}`" for name in given.model_fields)


def _template(path: str) -> str:
    return _PARAMETER.sub(r"{\1}", path)


def _identifier(endpoint: Endpoint) -> str:
    plain = re.sub(r"\W+", "_", _template(endpoint.path).removeprefix("/api/")).strip("_")
    return f"{endpoint.method.lower()}_{plain}"


def _is_page(path: str) -> bool:
    return path in ("/", "/favicon.ico", "/openapi.json") or path.startswith("/page")


def _tags(paths: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    names = [tag for path in paths.values() for each in path.values() for tag in each["tags"]]
    return [{"name": name} for name in dict.fromkeys(names)]


_TEXT = {"type": "string"}
_FILES = {
    "schema": {
        "type": "object",
        "properties": {
            "files": {
                "type": "array",
                "items": {"type": "string", "format": "binary"},
                "description": "the files, each a part with a file name",
            }
        },
        "required": ["files"],
    }
}

ROUTES: list[BaseRoute] = [Route("/openapi.json", openapi, methods=["GET"])]
