"""JSON Schemas read for what they allow: references, `allOf` and unions resolved.

`SchemaReader.flatten` turns a schema into one without `$ref` and `allOf`: either
`{"anyOf": [...]}` alone, or keywords that all count together. Where schemas meet, what both
of them allow is left. Keywords: JSON Schema 2020-12, and what OpenAPI and pydantic add.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from groundling.errors import ModelError

Schema = dict[str, Any]

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_ANNOTATIONS = {
    "$schema", "$id", "$comment", "title", "description", "default", "examples", "example",
    "deprecated", "readOnly", "writeOnly", "discriminator", "strict", "name", "$defs",
    "definitions",
}  # fmt: skip
_KEPT = {
    "type", "properties", "required", "additionalProperties", "items", "prefixItems", "enum",
    "const", "anyOf", "oneOf", "allOf", "$ref", "minItems", "maxItems", "minLength",
    "maxLength", "format", "pattern", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minProperties", "maxProperties", "nullable",
}  # fmt: skip
_HIGHER = {"minimum", "exclusiveMinimum", "minItems", "minLength", "minProperties"}
_LOWER = {"maximum", "exclusiveMaximum", "maxItems", "maxLength", "maxProperties"}
_MOST_COMBINATIONS = 256
_BELONGS = {
    "properties": "object", "required": "object", "additionalProperties": "object",
    "minProperties": "object", "maxProperties": "object", "items": "array",
    "prefixItems": "array", "minItems": "array", "maxItems": "array", "pattern": "string",
    "minLength": "string", "maxLength": "string", "format": "string", "minimum": "number",
    "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number",
    "multipleOf": "number",
}  # fmt: skip


class AllowsNothing(ModelError):
    """No value satisfies this part of the schema."""


class SchemaReader:
    """Resolve one schema's parts.

    Args:
        root: the whole schema, which references point into.
        validated: whether what no grammar keeps may be left out.
    """

    def __init__(self, root: Schema, *, validated: bool) -> None:
        self._root = root
        self._validated = validated

    def flatten(self, schema: object, where: str, via: tuple[str, ...] = ()) -> Schema:
        """Resolve a schema's own level; what is inside of it stays as it is.

        Raises:
            AllowsNothing: its parts contradict each other.
            ModelError: it is no schema, or has a keyword that no grammar keeps.
        """
        if schema is True:
            return {}
        if schema is False:
            raise AllowsNothing(f"The schema allows nothing at {where}.")
        if not isinstance(schema, dict):
            raise ModelError(f"The schema has {schema!r} where a schema belongs, at {where}.")
        self._check(schema, where)
        flat = {key: value for key, value in schema.items() if key in _KEPT}
        reference, parts = flat.pop("$ref", None), flat.pop("allOf", [])
        unions = [_options(flat.pop(key), where) for key in ("anyOf", "oneOf") if key in flat]
        flat = _own(flat, where)
        if reference is not None:
            if reference in via:
                raise ModelError(f"The schema refers to itself alone, at {where}.")
            target = self.resolve(reference)
            flat = _merge(flat, self.flatten(target, where, (*via, reference)), where)
        for part in parts:
            flat = _merge(flat, self.flatten(part, where, via), where)
        for union in unions:
            flat = _merge(flat, {"anyOf": union}, where)
        return _spread(flat)

    @staticmethod
    def points_on(schema: object) -> str | None:
        """Return the reference of a schema that is nothing but one."""
        if not isinstance(schema, dict) or schema.keys() - _ANNOTATIONS != {"$ref"}:
            return None
        return str(schema["$ref"])

    def resolve(self, reference: object) -> Schema | bool:
        """Find what a reference names.

        Raises:
            ModelError: it is outside of the schema, or not there.
        """
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ModelError(f"The schema refers to {reference!r}, which is outside of it.")
        target: Any = self._root
        for step in reference[1:].split("/")[1:]:
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(step) if isinstance(target, list) else step]
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise ModelError(
                    f"The schema refers to {reference!r}, which is not in it."
                ) from error
        if not isinstance(target, (dict, bool)):
            raise ModelError(f"The schema refers to {reference!r}, which is no schema.")
        return target

    def leave_out(self, what: str, where: str) -> None:
        """Go on without what no grammar keeps, where the result is validated.

        Raises:
            ModelError: it is not validated.
        """
        if not self._validated:
            raise ModelError(
                f"No grammar keeps {what} of the schema, at {where}.",
                hint="Give a pydantic class, which checks the result, or leave the keyword out.",
            )

    def _check(self, schema: Schema, where: str) -> None:
        for key in schema.keys() - _ANNOTATIONS - _KEPT:
            if key != "uniqueItems" or schema[key]:
                self.leave_out(repr(key), where)
        for key, wanted in (
            ("properties", dict), ("required", list), ("enum", list), ("allOf", list),
            ("prefixItems", list), ("pattern", str), ("format", str),
        ):  # fmt: skip
            if key in schema and not isinstance(schema[key], wanted):
                raise ModelError(f"The schema's {key} is {schema[key]!r}, at {where}.")
        for key in (_HIGHER | _LOWER | {"multipleOf"}) & schema.keys():
            value = schema[key]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ModelError(f"The schema's {key} is {value!r}, at {where}.")
            counts = key.endswith(("Items", "Length", "Properties"))
            if not math.isfinite(value) or (counts and (value < 0 or value != int(value))):
                raise ModelError(f"The schema's {key} is {value!r}, at {where}.")


def both(left: object, right: object) -> object:
    """Return a schema of what two of them allow."""
    parts: list[object] = []
    for schema in (left, right):
        whole = isinstance(schema, dict) and schema.keys() == {"allOf"}
        for part in schema["allOf"] if whole else [schema]:  # type: ignore[index]
            if part not in parts and part not in (True, {}):
                parts.append(part)
    return parts[0] if len(parts) == 1 else {"allOf": parts} if parts else True


def _own(flat: Schema, where: str) -> Schema:
    """Write `const`, `type` and `nullable` in one way each."""
    if "const" in flat:
        constant = flat.pop("const")
        flat["enum"] = [v for v in flat.get("enum", [constant]) if _same(v, constant)]
    if "type" in flat:
        kinds = flat["type"] if isinstance(flat["type"], list) else [flat["type"]]
        wrong = next((kind for kind in kinds if kind not in TYPES), None)
        if wrong is not None or not kinds:
            raise ModelError(f"JSON has no type {wrong!r}, at {where}.")
        if flat.get("nullable") is True and "null" not in kinds:
            kinds = [*kinds, "null"]
        flat["type"] = list(dict.fromkeys(kinds))
    flat.pop("nullable", None)
    return flat


def _options(options: object, where: str) -> list[object]:
    if not isinstance(options, list) or not options:
        raise ModelError(f"A union without options at {where}.")
    return options


def _spread(flat: Schema) -> Schema:
    """Give each option of a union what stands beside the union."""
    if "anyOf" in flat:
        rest = {key: value for key, value in flat.items() if key != "anyOf"}
        return {"anyOf": [both(rest, option) for option in flat["anyOf"]]}
    if "type" not in flat:
        kinds = list(dict.fromkeys(_BELONGS[key] for key in flat if key in _BELONGS))
        if "enum" in flat or not kinds:
            return flat
        flat = {**flat, "type": kinds}
    if len(flat["type"]) == 1:
        return {**flat, "type": flat["type"][0]}
    return {"anyOf": [{**flat, "type": kind} for kind in flat["type"]]}


def _merge(left: Schema, right: Schema, where: str) -> Schema:
    merged = dict(left)
    for key, value in right.items():
        if key == "type" and isinstance(value, str):
            value = [value]
        if key in ("properties", "additionalProperties", "items", "prefixItems"):
            continue
        merged[key] = _meet(key, left[key], value, where) if key in left else value
    if merged.get("enum") == [] or merged.get("type") == []:
        raise AllowsNothing(f"The schema contradicts itself at {where}.")
    return {**merged, **_merge_objects(left, right), **_merge_arrays(left, right)}


def _meet(key: str, left: Any, right: Any, where: str) -> Any:
    if key in _HIGHER:
        return max(left, right)
    if key in _LOWER:
        return min(left, right)
    if key == "required":
        return list(dict.fromkeys([*left, *right]))
    if key == "enum":
        return [value for value in left if any(_same(value, other) for other in right)]
    if key == "type":
        return _common_types(left, right)
    if key == "anyOf":
        if len(left) * len(right) > _MOST_COMBINATIONS:
            raise ModelError(f"Unions meet in too many ways at {where}.")
        return [both(one, other) for one in left for other in right]
    if key == "multipleOf" and isinstance(left, int) and isinstance(right, int):
        return math.lcm(left, right)
    if left != right:
        raise ModelError(f"Two schemas that must both hold differ in {key}, at {where}.")
    return left


def _common_types(left: list[str], right: list[str]) -> list[str]:
    found = [kind for kind in left if kind in right]
    if not {"integer", "number"} & {*found} and (
        ("integer" in left and "number" in right) or ("number" in left and "integer" in right)
    ):
        found.append("integer")  # which is a number, too
    return found


def _merge_objects(left: Schema, right: Schema) -> Schema:
    merged: Schema = {}
    if "properties" in left or "properties" in right:
        properties: Schema = {}
        for one, other in ((left, right), (right, left)):
            for name, schema in one.get("properties", {}).items():
                if name not in properties:
                    beside = other.get("properties", {}).get(name)
                    if beside is None:
                        beside = other.get("additionalProperties", True)
                    properties[name] = both(schema, beside)
        merged["properties"] = properties
    if "additionalProperties" in left or "additionalProperties" in right:
        more = (left.get("additionalProperties", True), right.get("additionalProperties", True))
        merged["additionalProperties"] = False if False in more else both(*more)
    return merged


def _merge_arrays(left: Schema, right: Schema) -> Schema:
    merged: Schema = {}
    heads = (left.get("prefixItems", []), right.get("prefixItems", []))
    tails = (left.get("items", True), right.get("items", True))
    length = max(map(len, heads))
    if length:
        merged["prefixItems"] = [
            both(
                *(
                    head[n] if n < len(head) else tail
                    for head, tail in zip(heads, tails, strict=True)
                )
            )
            for n in range(length)
        ]
    if "items" in left or "items" in right:
        merged["items"] = False if False in tails else both(*tails)
    return merged


def _same(left: object, right: object) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


# What is asked of an enum's options, too.
CHECKED: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
}
_PYTHON = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "number": (int, float), "integer": int,
}  # fmt: skip


def fits(value: Any, flat: Schema) -> bool:
    """Tell whether an option of an enum satisfies the type and the bounds beside it."""
    kind = flat.get("type")
    if kind == "integer" and isinstance(value, float):
        return value == int(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is not None:
        if kind in ("number", "integer") and not is_number:
            return False
        if not isinstance(value, _PYTHON[kind]):  # type: ignore[arg-type]
            return False
    for key, check in CHECKED.items():
        right = isinstance(value, str) if key.endswith("Length") else is_number
        if key in flat and right and not check(value, flat[key]):
            return False
    return True
