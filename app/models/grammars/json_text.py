"""JSON's own grammar, and texts as they stand inside of JSON strings (RFC 8259)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from groundling.models.grammars.digits import integers, numbers
from groundling.models.grammars.parts import (
    NOTHING,
    Characters,
    Choice,
    Part,
    Ranges,
    Reference,
    Repeat,
    Text,
    chain,
    complement,
    either,
    maybe,
    without,
)  # fmt: skip

_SPECIAL: Ranges = ((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C))  # must be escaped
_SHORT = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
PLAIN = Characters(complement((*_SPECIAL, (0x7F, 0x7F))))
QUOTE = Text('"')
SPACE = Reference("space")
COMMA = chain(Text(","), SPACE)
CHARACTER = Reference("char")


def _letters(*letters: str) -> Part:
    return Characters(tuple((ord(text[0]), ord(text[-1])) for text in letters))


def _integer() -> Part:
    found = integers(None, None)
    assert found is not None
    return found


def _number() -> Part:
    found = numbers(None, None)
    assert found is not None
    return found


def listed(item: Part, low: int, high: int | None) -> Part:
    """Write items with commas between them."""
    if high == 0:
        return NOTHING
    more = Repeat(chain(COMMA, item), max(low - 1, 0), None if high is None else high - 1)
    some = chain(item, more)
    return some if low else maybe(some)


_HEX = _letters("09", "AF", "af")
# Half a surrogate pair is no text, so no escape may write one.
_ESCAPED = either(
    [
        chain(_letters("09", "AC", "EF", "ac", "ef"), Repeat(_HEX, 3, 3)),
        chain(_letters("D", "d"), _letters("07"), Repeat(_HEX, 2, 2)),
    ]
)
_MEMBER = chain(Reference("string"), Text(":"), SPACE, Reference("value"))

# What any JSON value may be; rules that are not referred to are left out of a grammar.
RULES: dict[str, Part] = {
    "space": maybe(Text(" ")),
    "char": either(
        [PLAIN, chain(Text("\\"), either([_letters(*'"\\/bfnrt'), chain(Text("u"), _ESCAPED)]))]
    ),
    "string": chain(QUOTE, Repeat(CHARACTER, 0, None), QUOTE),
    "integer": _integer(),
    "number": _number(),
    "boolean": either([Text("true"), Text("false")]),
    "null": Text("null"),
    "array": chain(Text("["), SPACE, listed(Reference("value"), 0, None), Text("]")),
    "object": chain(Text("{"), SPACE, listed(_MEMBER, 0, None), Text("}")),
    "value": either(
        Reference(name) for name in ("object", "array", "string", "number", "boolean", "null")
    ),
}

_THIRTY_ONE = "0[13578]|1[02]"
_LEAP = r"[1-9]\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00"
_DATE = (
    rf"(?:[1-9]\d{{3}}-(?:(?:{_THIRTY_ONE})-(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|(?:{_LEAP})-02-29)"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
}


def literal(value: object) -> Text:
    """Write one JSON value."""
    return Text(json.dumps(value, ensure_ascii=False))


def in_string(part: Part) -> Part:
    """Rewrite a grammar of texts to one of those texts inside of a JSON string."""
    if isinstance(part, Text):
        return Text(json.dumps(part.text, ensure_ascii=False)[1:-1])
    if isinstance(part, Characters):
        return _in_string(part.ranges)
    if isinstance(part, Repeat):
        return Repeat(in_string(part.part), part.low, part.high)
    if isinstance(part, Choice):
        return Choice(tuple(tuple(map(in_string, option)) for option in part.options))
    return part


def _in_string(ranges: Ranges) -> Part:
    options: list[Part] = []
    plain = without(ranges, _SPECIAL)
    if plain:
        options.append(Characters(plain))
    short = [letter for c, letter in _SHORT.items() if _holds(ranges, ord(c))]
    if short:
        options.append(chain(Text("\\"), _letters(*short)))
    if not options:
        codes = [code for code in range(0x20) if _holds(ranges, code)]
        options += [Text(f"\\u{code:04x}") for code in codes]
    return either(options)


def _holds(ranges: Ranges, point: int) -> bool:
    return any(low <= point <= high for low, high in ranges)


def other_names(names: Iterable[str], rules: dict[str, Part], prefix: str) -> Part:
    """Return the strings that are none of these, adding rules that they need.

    Escapes are not written, so that no name can come in disguise.
    """
    tree: dict[str, dict] = {}  # type: ignore[type-arg]
    for name in names:
        if all(_holds(PLAIN.ranges, ord(c)) for c in name):
            node = tree
            for c in name:
                node = node.setdefault(c, {})
            node[""] = {}
    return chain(QUOTE, _others(tree, rules, prefix), QUOTE)


def _others(tree: dict[str, dict], rules: dict[str, Part], prefix: str) -> Part:  # type: ignore[type-arg]
    letters = [c for c in tree if c]
    if not letters:
        # Past the end of a name: anything longer is another one.
        return Repeat(PLAIN, 1, None)
    apart = without(PLAIN.ranges, tuple((ord(c), ord(c)) for c in letters))
    options: list[Part] = [] if "" in tree else [NOTHING]
    options.append(chain(Characters(apart), Repeat(PLAIN, 0, None)))
    options += [chain(Text(c), _others(tree[c], rules, prefix)) for c in letters]
    name = f"{prefix}-{len(rules)}"
    rules[name] = either(options)
    return Reference(name)
