"""JSON Schema to a grammar of the JSON texts that satisfy it.

What a grammar cannot say is refused, or left out where the caller validates the result; it
is never ignored in silence. `schema` resolves what is asked for; this module writes it.
Text is written as `json.dumps` does, with or without a space after brackets and marks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from groundling.errors import ModelError
from groundling.models.grammars.digits import Bound, integers, numbers
from groundling.models.grammars.gbnf import Grammar
from groundling.models.grammars.json_text import (
    CHARACTER,
    COMMA,
    FORMATS,
    QUOTE,
    RULES,
    SPACE,
    in_string,
    listed,
    literal,
    other_names,
)  # fmt: skip
from groundling.models.grammars.parts import (
    NOTHING,
    Part,
    Reference,
    Repeat,
    Text,
    chain,
    either,
    maybe,
    names,
    write,
)  # fmt: skip
from groundling.models.grammars.regex import choice_grammar, parse_regex, regex_grammar
from groundling.models.grammars.schema import CHECKED, AllowsNothing, Schema, SchemaReader, fits

__all__ = ["Grammar", "any_json", "choice_grammar", "grammar_for", "regex_grammar"]

_MOST_OPTIONS = 20_000
_LONGEST_RUN = 10_000  # items or characters that are counted
_MOST_RESIDUES = 200
_DEEPEST = 100


def grammar_for(schema: Mapping[str, Any], *, validated: bool = False) -> Grammar:
    """Convert a JSON Schema to a grammar.

    Kept: types; properties, which are required, and what others may be; enums of up to
    20,000 options and constants; unions, `allOf` and internal references, recursive ones
    too; arrays' items and lengths; strings' patterns and lengths; bounds of numbers;
    multiples; dates, times and UUIDs. Objects that name properties hold no others unless
    `additionalProperties` asks for them, and properties come in the schema's order. `oneOf`
    is read as `anyOf`. Whatever else narrows a value (`not`, `uniqueItems`,
    `patternProperties`) must be checked on the result.

    Args:
        schema: the schema; it is not changed.
        validated: the result is validated by the caller, so that a grammar which allows
            more than the schema is good enough.

    Raises:
        ModelError: a keyword that no grammar keeps, a broken reference, or a schema that is
            too large or that nothing satisfies.
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, sort_keys=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"The schema is not JSON: {error}") from error
    return _convert(text, validated)


def any_json() -> Grammar:
    """Return the grammar of any JSON object."""
    return grammar_for({"type": "object"})


@lru_cache(maxsize=256)
def _convert(text: str, validated: bool) -> Grammar:
    schema = json.loads(text)
    if not isinstance(schema, dict) or not schema:
        raise ModelError("The schema allows anything; a schema of an object is wanted.")
    try:
        return Grammar(write(_Writer(schema, validated=validated).rules()))
    except RecursionError as error:
        raise ModelError("The schema is nested too deeply, or refers to itself alone.") from error


class _Writer:
    """Write a schema's rules; each schema and each reference becomes one."""

    def __init__(self, schema: Schema, *, validated: bool) -> None:
        self._schema = schema
        self._reader = SchemaReader(schema, validated=validated)
        self._rules: dict[str, Part] = {}
        self._known: dict[str, Part] = {}

    def rules(self) -> dict[str, Part]:
        """Return the rules, `root` among them, and those of `RULES` that they need."""
        self._rules["root"] = NOTHING  # takes the name
        self._rules["root"] = self._visit(self._schema, "#", 0)
        todo = list(self._rules.values())
        while todo:
            for name in names(todo.pop()):
                if name not in self._rules:
                    self._rules[name] = RULES[name]
                    todo.append(RULES[name])
        return self._rules

    def _visit(self, schema: object, where: str, depth: int) -> Part:
        """Return what a schema allows, as a reference to its rule."""
        if depth > _DEEPEST:
            raise ModelError(f"The schema is nested too deeply, at {where[:80]}.")
        reference = self._reader.points_on(schema)
        key = f"$ref {reference}" if reference else json.dumps(schema, sort_keys=True)
        if key not in self._known:
            name = self._name()
            self._known[key] = Reference(name)
            try:
                if reference:
                    target = self._reader.resolve(reference)
                    self._rules[name] = self._visit(target, reference, depth + 1)
                else:
                    flat = self._reader.flatten(schema, where)
                    self._rules[name] = self._write(flat, where, depth)
            except AllowsNothing:
                del self._known[key], self._rules[name]
                raise
        return self._known[key]

    def _name(self) -> str:
        name = f"rule-{len(self._rules)}"
        self._rules[name] = NOTHING
        return name

    def _write(self, flat: Schema, where: str, depth: int) -> Part:
        if "anyOf" in flat:
            return self._union(flat["anyOf"], where, depth)
        if "enum" in flat:
            return self._options(flat, where)
        kind = flat.get("type")
        if kind == "object":
            return self._object(flat, where, depth)
        if kind == "array":
            return self._array(flat, where, depth)
        if kind == "string":
            return self._string(flat, where)
        if kind in ("integer", "number"):
            return self._number(flat, where)
        return Reference(str(kind) if kind else "value")

    def _union(self, options: list[object], where: str, depth: int) -> Part:
        found = []
        for n, option in enumerate(options):
            try:
                found.append(self._visit(option, f"{where}/anyOf/{n}", depth + 1))
            except AllowsNothing:
                continue
        if not found:
            raise AllowsNothing(f"No option of the union is possible, at {where}.")
        return either(found)

    def _options(self, flat: Schema, where: str) -> Part:
        options = [value for value in flat["enum"] if fits(value, flat)]
        if not options:
            raise AllowsNothing(f"An enum without options that fit at {where}.")
        if len(options) > _MOST_OPTIONS:
            raise ModelError(
                f"{len(options):,} options at {where}; a grammar keeps {_MOST_OPTIONS:,}."
            )
        kept = {"enum", "type"} | CHECKED.keys()
        for key in flat.keys() - kept:
            self._reader.leave_out(f"{key} beside enum", where)
        return either(map(literal, options))

    def _object(self, flat: Schema, where: str, depth: int) -> Part:
        required = list(dict.fromkeys(flat.get("required", ())))
        properties = dict(flat.get("properties", {}))
        closed = "properties" in flat and "additionalProperties" not in flat
        others = flat.get("additionalProperties", not closed)
        for name in required:
            # What is required and not described may be anything that others may be.
            properties.setdefault(name, flat.get("additionalProperties", True))
        members: list[tuple[Part, bool]] = []
        for name, schema in properties.items():
            try:
                value = self._visit(schema, f"{where}/properties/{name}", depth + 1)
            except AllowsNothing:
                if name in required:
                    raise
                continue
            members.append((chain(literal(name), Text(":"), SPACE, value), name in required))
        other = self._others(others, list(properties), where, depth)
        low, high = flat.get("minProperties", 0), flat.get("maxProperties")
        if members or other is None:
            # Members that may be missing are not counted, nor are names written twice.
            if low > len(required):
                self._reader.leave_out(f"minProperties={low}", where)
            if high is not None and (other is not None or high < len(members)):
                self._reader.leave_out(f"maxProperties={high}", where)
            inner = self._members(members, other)
        else:
            if low > 1:
                self._reader.leave_out(f"minProperties={low}", where)
            inner = listed(other, min(low, 1), high)
        return chain(Text("{"), SPACE, inner, Text("}"))

    def _others(self, schema: object, known: list[str], where: str, depth: int) -> Part | None:
        if schema is False:
            return None
        try:
            value = self._visit(schema, f"{where}/additionalProperties", depth + 1)
        except AllowsNothing:
            return None
        name = other_names(known, self._rules, "name") if known else Reference("string")
        return chain(name, Text(":"), SPACE, value)

    def _members(self, members: list[tuple[Part, bool]], other: Part | None) -> Part:
        """Write members in their order, from the last one on."""
        first: Part = NOTHING if other is None else listed(other, 0, None)
        after: Part = NOTHING if other is None else Repeat(chain(COMMA, other), 0, None)
        for member, needed in reversed(members):
            begun = chain(member, after)
            going = chain(COMMA, member)
            first = self._rule(begun if needed else either([begun, first]))
            after = self._rule(chain(going if needed else maybe(going), after))
        return first

    def _rule(self, part: Part) -> Part:
        if part == NOTHING or isinstance(part, Reference):
            return part
        name = self._name()
        self._rules[name] = part
        return Reference(name)

    def _array(self, flat: Schema, where: str, depth: int) -> Part:
        low, high = int(flat.get("minItems", 0)), flat.get("maxItems")
        high = None if high is None else int(high)
        if low > _LONGEST_RUN or (high is not None and high > _LONGEST_RUN):
            raise ModelError(
                f"An array of {max(low, high or 0):,} items at {where}; "
                f"a grammar counts {_LONGEST_RUN:,}."
            )
        heads: list[Part] = []
        rest: Part | None = None
        try:
            for n, schema in enumerate(flat.get("prefixItems", ())):
                heads.append(self._visit(schema, f"{where}/prefixItems/{n}", depth + 1))
            if high is None or high > len(heads):
                rest = self._visit(flat.get("items", True), f"{where}/items", depth + 1)
        except AllowsNothing:
            rest = None
        most = high if rest is not None else min(high or len(heads), len(heads))
        if high == 0:
            most = 0
        if most is not None and most < low:
            raise AllowsNothing(f"The schema asks for more items than it allows, at {where}.")
        return chain(Text("["), SPACE, self._items(heads, rest, low, most), Text("]"))

    def _items(self, heads: list[Part], rest: Part | None, low: int, high: int | None) -> Part:
        if not heads:
            return NOTHING if rest is None else listed(rest, low, high)
        count = len(heads) if high is None else min(len(heads), high)
        after: Part = NOTHING
        if rest is not None and (high is None or high > count):
            most = None if high is None else high - count
            after = Repeat(chain(COMMA, rest), max(low - count, 0), most)
        for n in range(count - 1, 0, -1):
            going = chain(COMMA, heads[n], after)
            after = self._rule(going if n < low else maybe(going))
        some = chain(heads[0], after)
        if not count:
            return NOTHING
        return some if low else maybe(some)

    def _string(self, flat: Schema, where: str) -> Part:
        low, high = int(flat.get("minLength", 0)), flat.get("maxLength")
        expression = flat.get("pattern")
        inner: Part | None = None
        if expression is not None:
            try:
                inner = in_string(parse_regex(expression, anywhere=True))
            except ModelError as error:
                self._reader.leave_out(f"pattern={expression!r} ({error})", where)
        if inner is None and flat.get("format") in FORMATS:
            inner = in_string(parse_regex(FORMATS[flat["format"]]))
        if inner is not None:
            if low or high is not None:
                self._reader.leave_out("a length beside a pattern", where)
            return chain(QUOTE, inner, QUOTE)
        if high is not None and high > _LONGEST_RUN:
            self._reader.leave_out(f"maxLength={high}", where)
            high = None
        if low > _LONGEST_RUN:
            self._reader.leave_out(f"minLength={low}", where)
            low = 0
        if high is not None and high < low:
            raise AllowsNothing(f"The schema asks for more than maxLength at {where}.")
        if not low and high is None:
            return Reference("string")
        return chain(QUOTE, Repeat(CHARACTER, low, None if high is None else int(high)), QUOTE)

    def _number(self, flat: Schema, where: str) -> Part:
        low = _tighter(flat, "minimum", "exclusiveMinimum", max)
        high = _tighter(flat, "maximum", "exclusiveMaximum", min)
        whole = flat["type"] == "integer"
        step = flat.get("multipleOf")
        if whole:
            least = None if low is None else _next_integer(low)
            most = None if high is None else -_next_integer(Bound(-high.value, high.open))
            if step is not None and step != 1:
                return self._multiples(step, least, most, where)
            found = integers(least, most)
        else:
            if step is not None:
                self._reader.leave_out(f"multipleOf={step}", where)
            found = numbers(low, high)
        if found is None:
            raise AllowsNothing(f"No number is within the bounds at {where}.")
        if low is None and high is None:
            return Reference("integer" if whole else "number")
        return found

    def _multiples(self, step: float, low: int | None, high: int | None, where: str) -> Part:
        if step <= 0:
            raise ModelError(f"The schema's multipleOf is {step!r}, at {where}.")
        if step == int(step):
            step = int(step)
            if low is not None and high is not None and (high - low) // step < _MOST_OPTIONS:
                values = range(-(-low // step) * step, high + 1, step)
                if not values:
                    raise AllowsNothing(f"No multiple is within the bounds at {where}.")
                return either(Text(str(value)) for value in values)
            if low is None and high is None and step <= _MOST_RESIDUES:
                return chain(maybe(Text("-")), self._residues(step))
        self._reader.leave_out(f"multipleOf={step}", where)
        found = integers(low, high)
        if found is None:
            raise AllowsNothing(f"No number is within the bounds at {where}.")
        return found

    def _residues(self, step: int) -> Part:
        """Write the multiples of a number: each rule is a remainder of what was written."""
        rules = [self._name() for _ in range(step)]
        for remainder, name in enumerate(rules):
            options: list[Part] = [NOTHING] if remainder == 0 else []
            for digit in range(10):
                following = Reference(rules[(10 * remainder + digit) % step])
                options.append(chain(Text(str(digit)), following))
            self._rules[name] = either(options)
        starts = [chain(Text(str(d)), Reference(rules[d % step])) for d in range(1, 10)]
        return either([Text("0"), *starts])


def _tighter(
    flat: Schema, closed: str, opened: str, which: Callable[[list[Bound]], Bound]
) -> Bound | None:
    bounds = []
    if closed in flat:
        bounds.append(Bound(Decimal(str(flat[closed]))))
    if opened in flat:
        bounds.append(Bound(Decimal(str(flat[opened])), open=True))
    if len(bounds) == 2 and bounds[0].value == bounds[1].value:
        return bounds[1]
    return which(bounds) if bounds else None


def _next_integer(bound: Bound) -> int:
    """Return the least integer from a bound on."""
    floor = int(bound.value // 1) if bound.value >= 0 else -int(-bound.value // 1)
    while floor < bound.value or (bound.open and floor == bound.value):
        floor += 1
    return floor
