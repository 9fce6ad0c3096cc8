"""BFCL's functions as JSON Schema, and its comparison of a call with the right ones.

The comparison follows the leaderboard's `ast_checker` for Python (Patil et al., "The
Berkeley Function Calling Leaderboard", ICML 2025; github.com/ShishirPatil/gorilla): one
call, the function's name with dots or underscores, every required argument, none that is
not there, each of the right type and among the possible values. An integer counts as a
float at the top level only; strings are compared without case, blanks and `,./-_*^`; `""`
among the possible values lets an argument be left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TYPES: dict[str, type] = {
    "string": str, "integer": int, "float": float, "boolean": bool,
    "array": list, "tuple": list, "dict": dict, "any": str,
}  # fmt: skip
_SCHEMA = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_KEPT = ("description", "enum", "default", "required")


def tool(function: Mapping[str, Any]) -> dict[str, Any]:
    """Return a BFCL function as an OpenAI tool; dots in its name become underscores."""
    return {
        "type": "function",
        "function": {
            "name": _flat(function["name"]),
            "description": function["description"],
            "parameters": schema(function["parameters"]),
        },
    }


def schema(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return BFCL's description of a value as JSON Schema."""
    kind = node.get("type", "string")
    made: dict[str, Any] = {"type": _SCHEMA.get(kind, kind)}
    made |= {key: node[key] for key in _KEPT if key in node}
    if "properties" in node:
        made["properties"] = {name: schema(value) for name, value in node["properties"].items()}
        made["additionalProperties"] = False
    if isinstance(node.get("items"), Mapping):
        made["items"] = schema(node["items"])
    return made


def conforms(function: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    """Tell whether a call names the function and its arguments conform to the schema."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    if _flat(call["name"]) != _flat(function["name"]):
        return False
    return bool(Draft202012Validator(schema(function["parameters"])).is_valid(call["args"]))


def mistake(
    function: Mapping[str, Any],
    calls: Sequence[Mapping[str, Any]],
    truth: Mapping[str, Sequence[Any]],
) -> str:
    """Say what is wrong with a model's calls, `kind: what`; empty where nothing is.

    Args:
        function: as BFCL describes it.
        calls: each with `name` and `args`.
        truth: the possible values of each argument.
    """
    if len(calls) != 1:
        return f"count: {len(calls)} calls"
    [call] = calls
    if _flat(call["name"]) != _flat(function["name"]):
        return f"function: {call['name']}"
    described = function["parameters"]["properties"]
    arguments = call["args"]
    for name in function["parameters"].get("required", ()):
        if name not in arguments:
            return f"missing: {name}"
    for name, value in arguments.items():
        if name not in described or name not in truth:
            return f"unexpected: {name}"
        wrong = _compare(described[name], value, truth[name])
        if wrong:
            return f"{wrong}: {name}={value!r}"
    for name, possible in truth.items():
        if name not in arguments and "" not in possible:
            return f"missing: {name}"
    return ""


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _compare(described: Mapping[str, Any], value: Any, possible: Sequence[Any]) -> str:
    """Return `type` or `value` where an argument is wrong."""
    kind = described["type"]
    wanted: Any = _TYPES[kind]
    inner = _TYPES[described["items"]["type"]] if kind in ("array", "tuple") else None
    if kind == "float" and type(value) is int:
        value = float(value)
    given = _kind_of(possible)
    # The right answer may be of another type than described, such as a variable's name.
    variable = given is not None and given is not wanted
    if type(value) is not wanted and not (variable and type(value) is given):
        return "type"
    if variable:
        return "" if value in possible else "value"
    if inner is not None and not _holds(value, inner, possible):
        return "type"
    if wanted is dict:
        right = any(_same_dict(value, one) for one in possible if one != "")
    elif inner is dict:
        right = any(_same_dicts(value, one) for one in possible if one != "")
    elif wanted is list:
        right = _plain(value) in [_plain(one) for one in possible]
    elif wanted is str:
        right = _plain(value) in [_plain(one) for one in possible if isinstance(one, str)]
    else:
        right = value in possible
    return "" if right else "value"


def _holds(value: Sequence[Any], inner: type, possible: Sequence[Any]) -> bool:
    return any(
        all(type(item) is inner or type(item) is _kind_of(one) for item in value)
        for one in possible
        if isinstance(one, list)
    )


def _kind_of(possible: Sequence[Any]) -> type | None:
    return next((type(one) for one in possible if one != ""), None)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) if isinstance(item, str) else item for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"')


def _same_dict(value: Mapping[str, Any], possible: Any) -> bool:
    for key, item in value.items():
        if key not in possible or _plain(item) not in [_plain(one) for one in possible[key]]:
            return False
    return all(key in value or "" in options for key, options in possible.items())


def _same_dicts(value: Sequence[Any], possible: Sequence[Any]) -> bool:
    return len(value) == len(possible) and all(
        isinstance(one, dict) and _same_dict(one, other)
        for one, other in zip(value, possible, strict=True)
    )
