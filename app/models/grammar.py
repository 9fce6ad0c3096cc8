"""JSON Schema to a grammar that llama.cpp obeys, checked before it reaches native code.

llama.cpp ends the process over a grammar that does not parse, recurses to the left or
repeats without bounds. So a `Grammar` can only be made from text that passed the checks
here. The conversion itself is llama-cpp-python's; what it would ignore in silence is
settled first: see `grammar_for`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from groundling.errors import ModelError
from groundling.models.native import import_converter

Schema = dict[str, Any]

_MOST_CHARACTERS = 200_000
_MOST_RULES = 4_000
_DEEPEST = 120
_MOST_REPEATS = 2_000
_MOST_OPTIONS = 1_000
_LONGEST_RUN = 100  # items or characters that are counted out one by one


@dataclass(frozen=True)
class Grammar:
    """A GBNF grammar with one rule a line and the start rule `root`.

    Raises:
        ModelError: it does not parse, names a rule that is not there, recurses to the left,
            or is too large.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text.isascii() and self.text.encode("utf-8", "replace").decode() != self.text:
            raise _bad("it holds half a surrogate pair")
        if len(self.text) > _MOST_CHARACTERS or self.text.count("\n") > _MOST_RULES:
            raise _bad("it is too large", f"{len(self.text):,} characters")
        rules = dict(_rules(self.text))
        if "root" not in rules:
            raise _bad("it has no rule named root")
        for rule in rules.values():
            for name in rule.names:
                if name not in rules:
                    raise _bad(f"there is no rule named {name!r}")
        _refuse_left_recursion(rules)


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


@dataclass(frozen=True)
class _Rule:
    """What a rule refers to, and the rules it may begin with."""

    alternatives: tuple[tuple[_Item, ...], ...]

    @property
    def names(self) -> Iterator[str]:
        for sequence in self.alternatives:
            for item in sequence:
                yield from item.names


@dataclass(frozen=True)
class _Item:
    """One element: a literal (neither name nor group), a reference, or a group."""

    name: str | None = None
    group: _Rule | None = None
    optional: bool = False
    repeated: bool = False

    @property
    def names(self) -> Iterator[str]:
        if self.name is not None:
            yield self.name
        if self.group is not None:
            yield from self.group.names


_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<literal>"(?:[^"\\\r\n]|\\.)*")
      | (?P<class>\[(?:[^\]\\\r\n]|\\.)*\]|\.)
      | (?P<name>[a-zA-Z0-9-]+)
      | (?P<repeat>[*+?]|\{\s*(?P<low>\d+)\s*(?:,\s*(?P<high>\d*)\s*)?\})
      | (?P<mark>[()|])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(?:["\\\[\]rnt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(.?))')


def _rules(text: str) -> Iterator[tuple[str, _Rule]]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, equals, body = line.partition(" ::= ")
        if not equals or not re.fullmatch(r"[a-zA-Z0-9-]+", name):
            raise _bad("a line is no rule", line)
        parser = _Parser(body)
        rule = parser.alternatives(0)
        if not parser.done:
            raise _bad("brackets do not match", line)
        yield name, rule


class _Parser:
    def __init__(self, body: str) -> None:
        self._body = body
        self._matches = list(_scan(body))
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._matches)

    def alternatives(self, depth: int) -> _Rule:
        if depth > _DEEPEST:
            raise _bad("it is nested too deeply")
        found: list[tuple[_Item, ...]] = []
        sequence: list[_Item] = []
        while not self.done:
            match = self._matches[self._at]
            if match["mark"] == ")":
                break
            self._at += 1
            if match["mark"] == "|":
                found.append(tuple(sequence))
                sequence = []
            elif match["mark"] == "(":
                group = self.alternatives(depth + 1)
                if self.done:
                    raise _bad("brackets do not match", self._body)
                self._at += 1
                sequence.append(_Item(group=group))
            elif match["repeat"]:
                self._repeat(match, sequence)
            else:
                sequence.append(_Item(name=match["name"]))
        return _Rule((*found, tuple(sequence)))

    def _repeat(self, match: re.Match[str], sequence: list[_Item]) -> None:
        if not sequence:
            raise _bad("a repetition of nothing", self._body)
        counts = [int(match[group]) for group in ("low", "high") if match[group]]
        if any(count > _MOST_REPEATS for count in counts):
            raise _bad("a repetition is too long", match[0])
        optional = match[0] in "*?" or match["low"] == "0"
        last = sequence.pop()
        sequence.append(_Item(last.name, last.group, last.optional or optional, match[0] != "?"))


def _scan(body: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None:
            raise _bad("it does not parse", body[at : at + 40])
        if match["literal"] or match["class"]:
            wrong = next((m for m in _ESCAPE.finditer(match[0]) if m[1] is not None), None)
            if wrong or match["class"] == "[]":
                raise _bad("it does not parse", match[0])
        if not match["space"]:
            yield match
        at = match.end()


def _refuse_left_recursion(rules: Mapping[str, _Rule]) -> None:
    nullable: set[str] = set()

    def empty(rule: _Rule) -> bool:
        return any(all(vanishes(item) for item in items) for items in rule.alternatives)

    def vanishes(item: _Item) -> bool:
        if item.optional or item.name in nullable:
            return True
        return item.group is not None and empty(item.group)

    size = -1
    while size != len(nullable):
        size = len(nullable)
        nullable.update(name for name, rule in rules.items() if empty(rule))

    def first(rule: _Rule) -> Iterator[str]:
        for items in rule.alternatives:
            for item in items:
                yield from (item.name,) if item.name is not None else ()
                if item.group is not None:
                    if item.repeated and empty(item.group):
                        raise _bad("it repeats what may be empty")
                    yield from first(item.group)
                if item.repeated and item.name in nullable:
                    raise _bad("it repeats what may be empty", str(item.name))
                if not vanishes(item):
                    break

    edges = {name: set(first(rule)) for name, rule in rules.items()}
    state: dict[str, int] = {}
    for start in edges:
        stack = [(start, iter(edges[start]))]
        state.setdefault(start, 0)
        if state[start] == 2:
            continue
        state[start] = 1
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[name] = 2
                stack.pop()
            elif state.get(following) == 1:
                raise _bad("it recurses to the left", following)
            elif state.get(following) != 2:
                state[following] = 1
                stack.append((following, iter(edges[following])))


def _bad(reason: str, at: str = "") -> ModelError:
    return ModelError(f"The grammar is refused: {reason}{': ' + at[:80] if at else ''}.")
