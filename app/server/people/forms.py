"""What the routes of people take, and how the OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from groundling.server.person import Role
from groundling.server.problems import Problem

Name = Annotated[str, Field(min_length=1, max_length=64)]
Days = Annotated[float | None, Field(gt=0, le=3650, description="how long it is taken")]
Label = Annotated[str, Field(max_length=100, description="what it is for")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Login(_Asked):
    """What a browser logs in with."""

    key: Annotated[str, Field(max_length=200, description="gl_…")]


class NewUser(_Asked):
    """A user to add."""

    id: Name
    role: Role = Role.MEMBER
    again: bool = Field(False, description="the name of a removed user, with what they left")
    label: Label = ""
    days: Days = None


class UserChange(_Asked):
    """What becomes of a user."""

    role: Role | None = None
    disabled: bool | None = None


class NewKey(_Asked):
    """A key to make."""

    label: Label = ""
    days: Days = None


class AuditQuery(_Asked):
    """Which lines of the audit log; a query string."""

    person: str | None = None
    action: str | None = Field(None, description="such as user.add; user. takes all of users")
    before: int | None = Field(None, ge=0, le=2**62)
    limit: int = Field(100, ge=1, le=1000)


Model = TypeVar("Model", bound=BaseModel)


async def body_of(request: Request, model: type[Model]) -> Model:
    """Read a body as a model; an empty one is an empty object.

    Raises:
        Problem: 422, it names the first field that is wrong.
    """
    raw = await request.body()
    return checked(model, raw or b"{}")


def checked(model: type[Model], given: bytes | dict[str, str]) -> Model:
    """Return JSON, or the parameters of an address, as a model.

    Raises:
        Problem: 422, it names the first field that is wrong.
    """
    try:
        if isinstance(given, bytes):
            return model.model_validate_json(given)
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(
            422, f"{where or 'The body'}: {first['msg']}.", param=where or None, code="invalid_body"
        ) from None


def _described() -> dict[tuple[str, str], dict[str, Any]]:
    bodies: dict[tuple[str, str], type[BaseModel]] = {
        ("POST", "/api/session"): Login,
        ("POST", "/api/users"): NewUser,
        ("PATCH", "/api/users/{user}"): UserChange,
        ("POST", "/api/users/{user}/keys"): NewKey,
    }
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for (method, path), model in bodies.items():
        schema = _inlined(model)
        content = {"application/json": {"schema": schema}}
        needed = bool(schema.get("required"))
        found[method, path] = {"requestBody": {"required": needed, "content": content}}
    found["GET", "/api/audit"] = {"parameters": _parameters(_inlined(AuditQuery))}
    purge = {"type": "boolean", "default": False, "description": "also delete what is theirs"}
    user = {"name": "user", "in": "path", "required": True, "schema": {"type": "string"}}
    found["DELETE", "/api/users/{user}"] = {
        "parameters": [user, {"name": "purge", "in": "query", "schema": purge}]
    }
    return found


def _inlined(model: type[BaseModel]) -> dict[str, Any]:
    """Return a schema without references; the only one is the role's."""
    schema = model.model_json_schema()
    roles = schema.pop("$defs", {}).get("Role")
    for field in schema["properties"].values():
        if "$ref" in field:
            del field["$ref"]
            field.update(roles)
        for each in field.get("anyOf", ()):
            if "$ref" in each:
                del each["$ref"]
                each.update(roles)
    return schema


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": field}
        for name, field in schema["properties"].items()
    ]


DESCRIPTIONS = _described()
"""Members of OpenAPI operations, by method and path."""
