"""JSON Schema to a grammar that llama.cpp obeys.

The conversion is llama-cpp-python's; what it would ignore in silence is settled first: see
`grammar_for`. What comes out is checked in `gbnf`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from groundling.errors import ModelError
from groundling.models.gbnf import Grammar
from groundling.models.native import import_converter

__all__ = ["Grammar", "any_json", "grammar_for"]

Schema = dict[str, Any]

_MOST_OPTIONS = 1_000
_LONGEST_RUN = 100  # items or characters that are counted out one by one


def grammar_for(schema: Mapping[str, Any], *, validated: bool = False) -> Grammar:
    """Convert a JSON Schema to a grammar.

    Kept by the grammar: types, properties and which are required, enums, constants, unions,
    internal references (recursive ones too), array and string lengths up to 100, integer
    ranges of up to 1,000 numbers, dates, times and UUIDs. Whatever else narrows a value (a
    wider range, a pattern, `uniqueItems`) must be checked on the result.

    Args:
        schema: the schema; it is not changed.
        validated: the result is validated by the caller, so that a grammar which allows
            more than the schema is good enough.

    Raises:
        ModelError: a keyword that no grammar keeps, a broken reference, or a schema that is
            too large.
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, sort_keys=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"The schema is not JSON: {error}") from error
    return _convert(text, validated)


def any_json() -> Grammar:
    """Return the grammar of any JSON object."""
    return grammar_for({"type": "object"})


@lru_cache(maxsize=256)
def _convert(text: str, validated: bool) -> Grammar:
    try:
        schema = _settle(json.loads(text), validated, "#")
        if not isinstance(schema, dict):
            raise ModelError("The schema allows anything; a schema of an object is wanted.")
        references = _name_references(schema)
        return Grammar(import_converter()(schema, references))
    except RecursionError as error:
        raise ModelError("The schema is nested too deeply, or refers to itself alone.") from error
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"The schema cannot be made into a grammar: {error}") from error


def _name_references(schema: Schema) -> dict[str, Schema]:
    """Give each referenced schema a name of its own; return the schemas by name."""
    names: dict[str, str] = {}
    targets: dict[str, Schema] = {}

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        if not isinstance(node, dict):
            return
        reference = node.get("$ref")
        if isinstance(reference, str):
            if reference not in names:
                names[reference] = f"schema-reference-{len(names)}"
                targets[names[reference]] = _resolve(schema, reference)
            node["$ref"] = names[reference]
        for key, item in node.items():
            if key not in ("enum", "const"):
                walk(item)

    walk(schema)
    return targets


def _resolve(schema: Schema, reference: str) -> Schema:
    target: Any = schema
    if not reference.startswith("#"):
        raise ModelError(f"The schema refers to {reference!r}, which is outside of it.")
    for step in reference[1:].split("/")[1:]:
        step = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            target = target[int(step) if isinstance(target, list) else step]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelError(f"The schema refers to {reference!r}, which is not in it.") from error
    if not isinstance(target, dict):
        raise ModelError(f"The schema refers to {reference!r}, which is no schema.")
    return target


_ANNOTATIONS = {
    "$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated",
    "readOnly", "writeOnly", "discriminator", "strict", "name", "nullable",
}  # fmt: skip
_KEPT = {
    "type", "properties", "required", "additionalProperties", "items", "prefixItems", "enum",
    "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions", "minItems", "maxItems",
    "minLength", "maxLength", "format",
}  # fmt: skip
_NARROWING = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern",
    "uniqueItems", "minProperties", "maxProperties", "contentEncoding", "contentMediaType",
}  # fmt: skip
_FORMATS = {"date", "time", "date-time", "uuid"}


def _settle(schema: Any, validated: bool, where: str) -> Any:
    """Rewrite a schema so that the converter ignores nothing; refuse what it cannot keep."""
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise ModelError(f"The schema allows nothing, or is none, at {where}.")
    unknown = schema.keys() - _ANNOTATIONS - _KEPT - _NARROWING
    if unknown:
        raise ModelError(
            f"No grammar can keep {', '.join(sorted(unknown))!r} of the schema, at {where}.",
            hint="Ask for a simpler shape and check the rest afterwards.",
        )
    schema = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    schema = _lift(schema, where)
    _check_type(schema, where)
    if not schema.keys() - {"$defs", "definitions"}:
        schema["type"] = "value"  # the converter's name for anything
    schema = _ranges(schema)
    for key in list(schema):
        if key in _NARROWING or _too_long(key, schema[key]):
            _drop(schema, key, validated, where)
    if schema.get("format") not in _FORMATS:
        schema.pop("format", None)  # an annotation, as JSON Schema has it
    options = schema.get("enum", ())
    if len(options) > _MOST_OPTIONS:
        raise ModelError(f"{len(options):,} options at {where}; a grammar keeps {_MOST_OPTIONS:,}.")
    if "enum" in schema and not options:
        raise ModelError(f"An enum without options at {where}.")
    missing = set(schema.get("required", ())) - set(schema.get("properties", ()))
    if missing and "properties" in schema:
        raise ModelError(f"{sorted(missing)} is required but has no schema, at {where}.")
    return _settle_inner(schema, validated, where)


def _settle_inner(schema: Schema, validated: bool, where: str) -> Schema:
    for key in ("properties", "$defs", "definitions"):
        if key in schema:
            schema[key] = {
                name: _settle(value, validated, f"{where}/{key}/{name}")
                for name, value in schema[key].items()
            }
    for key in ("anyOf", "oneOf", "prefixItems"):
        if key in schema:
            schema[key] = [
                _settle(value, validated, f"{where}/{key}/{n}")
                for n, value in enumerate(schema[key])
            ]
    for key in ("items", "additionalProperties"):
        value = schema.get(key)
        if isinstance(value, dict) or (value is True and key == "items"):
            schema[key] = _settle(value, validated, f"{where}/{key}")
        elif value is False:
            del schema[key]
    return schema


def _lift(schema: Schema, where: str) -> Schema:
    """Write lists of types as unions, and an `allOf` of one as that one."""
    if isinstance(schema.get("type"), list):
        definitions: Schema = {
            key: schema[key] for key in ("$defs", "definitions") if key in schema
        }
        rest = {key: schema[key] for key in schema.keys() - definitions.keys() - {"type"}}
        union = [{**({} if kind == "null" else rest), "type": kind} for kind in schema["type"]]
        return {"anyOf": union, **definitions}
    if "allOf" in schema:
        if len(schema["allOf"]) != 1 or not isinstance(schema["allOf"][0], dict):
            raise ModelError(f"An allOf of several schemas at {where}; write them as one.")
        schema = {**schema["allOf"][0], **{k: v for k, v in schema.items() if k != "allOf"}}
        return _lift({k: v for k, v in schema.items() if k not in _ANNOTATIONS}, where)
    for choice in ("anyOf", "oneOf"):
        if choice in schema and schema.keys() & {"properties", "items", "enum", "const", "$ref"}:
            raise ModelError(f"{choice} beside other content at {where}; write out the choices.")
    return schema


def _check_type(schema: Schema, where: str) -> None:
    kind = schema.get("type", "object")
    if kind not in ("object", "array", "string", "number", "integer", "boolean", "null"):
        raise ModelError(f"JSON has no type {kind!r}, at {where}.")


def _ranges(schema: Schema) -> Schema:
    """Count a short range of integers out."""
    if schema.get("type") != "integer" or "enum" in schema or "const" in schema:
        return schema
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + 1
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - 1
    if not isinstance(low, int) or not isinstance(high, int) or high - low >= _MOST_OPTIONS:
        return schema
    step = schema.get("multipleOf", 1)
    ranges = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "type"}
    kept = {key: value for key, value in schema.items() if key not in ranges}
    return {**kept, "enum": [n for n in range(low, high + 1) if n % step == 0]}


def _too_long(key: str, value: Any) -> bool:
    lengths = ("minItems", "maxItems", "minLength", "maxLength")
    return key in lengths and not (isinstance(value, int) and 0 <= value <= _LONGEST_RUN)


def _drop(schema: Schema, key: str, validated: bool, where: str) -> None:
    if not validated:
        raise ModelError(
            f"No grammar keeps {key}={schema[key]!r} of the schema, at {where}.",
            hint="Give a pydantic class, which checks the result, or leave the keyword out.",
        )
    del schema[key]
