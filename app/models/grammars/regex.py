"""Regular expressions as grammars: what Python's `re` and ECMAScript have in common.

Characters, classes, groups, alternatives and repetitions are kept. What looks around or
back cannot be kept by a grammar and is refused by its name. Laziness makes no difference
to which texts match. `\\d`, `\\w` and `\\s` are ASCII, as in ECMAScript and JSON Schema.
"""

from __future__ import annotations

from groundling.errors import ModelError
from groundling.models.grammars.gbnf import Grammar
from groundling.models.grammars.parts import (
    HIGHEST,
    Characters,
    Part,
    Ranges,
    Repeat,
    Text,
    chain,
    complement,
    either,
    maybe,
    write,
)  # fmt: skip

_DIGITS: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Ranges = ((0x09, 0x0D), (0x20, 0x20))
_CLASSES = {
    "d": _DIGITS, "D": complement(_DIGITS), "w": _WORD, "W": complement(_WORD),
    "s": _SPACE, "S": complement(_SPACE),
}  # fmt: skip
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "a": "\a"}
_DOT = complement(((0x0A, 0x0A), (0x0D, 0x0D)))
_ANYTHING = Repeat(Characters(((0, HIGHEST),)), 0, None)
_GROUPS = {
    "?=": "a lookahead", "?!": "a negative lookahead", "?<=": "a lookbehind",
    "?<!": "a negative lookbehind", "?P=": "a backreference", "?P>": "a recursion",
    "?(": "a condition", "?#": "a comment", "?>": "an atomic group",
}  # fmt: skip
_DEEPEST = 50
_MOST_REPEATS = 100_000


def regex_grammar(pattern: str) -> Grammar:
    """Make a grammar of the texts that a regular expression matches from start to end.

    Raises:
        ModelError: it is none, or has a part that no grammar keeps.
    """
    return Grammar(write({"root": parse_regex(pattern)}))


def choice_grammar(options: list[str] | tuple[str, ...]) -> Grammar:
    """Make a grammar of exactly these texts.

    Raises:
        ModelError: there are none.
    """
    if not options:
        raise ModelError("A choice needs at least one option.")
    return Grammar(write({"root": either(map(Text, options))}))


def parse_regex(pattern: str, *, anywhere: bool = False) -> Part:
    """Read a regular expression.

    Args:
        pattern: the expression.
        anywhere: what it matches may stand anywhere in the text, as in JSON Schema, unless
            `^` and `$` say otherwise.

    Raises:
        ModelError: it is none, or has a part that no grammar keeps.
    """
    return _Parser(pattern).whole(anywhere)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def whole(self, anywhere: bool) -> Part:
        options = []
        while True:
            start = self._eat("^") or self._eat("\\A")
            inner = self._sequence(0)
            end = self._eat("$") or self._eat("\\Z") or self._eat("\\z")
            before = _ANYTHING if anywhere and not start else Text("")
            after = _ANYTHING if anywhere and not end else Text("")
            options.append(chain(before, inner, after))
            if not self._eat("|"):
                break
        if self._at < len(self._pattern):
            raise self._bad("a bracket too many" if self._next == ")" else "an anchor inside")
        return either(options)

    @property
    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _eat(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _alternatives(self, depth: int) -> Part:
        options = [self._sequence(depth)]
        while self._eat("|"):
            options.append(self._sequence(depth))
        return either(options)

    def _sequence(self, depth: int) -> Part:
        if depth > _DEEPEST:
            raise self._bad("groups nested too deeply")
        parts: list[Part] = []
        while self._next and self._next not in "|)":
            if self._next == "$" or self._pattern.startswith(("\\Z", "\\z"), self._at):
                break
            parts.append(self._times(self._atom(depth)))
        return chain(*parts)

    def _atom(self, depth: int) -> Part:
        if self._eat("("):
            return self._group(depth)
        if self._eat("["):
            return Characters(self._class())
        if self._eat("."):
            return Characters(_DOT)
        if self._eat("\\"):
            found = self._escape(in_class=False)
            return Text(chr(found)) if isinstance(found, int) else Characters(found)
        if self._next == "^":
            raise self._bad("an anchor inside")
        if self._next in "*+?" or (self._next == "{" and self._counts() is not None):
            raise self._bad("a repetition of nothing")
        self._at += 1
        return Text(self._pattern[self._at - 1])

    def _group(self, depth: int) -> Part:
        for mark, name in sorted(_GROUPS.items(), key=lambda item: -len(item[0])):
            if self._pattern.startswith(mark, self._at):
                raise self._bad(name)
        if self._eat("?P<") or self._eat("?<"):
            end = self._pattern.find(">", self._at)
            if not self._pattern[self._at : max(end, 0)].isidentifier():
                raise self._bad("a group's name")
            self._at = end + 1
        elif not self._eat("?:") and self._next == "?":
            raise self._bad("a flag")
        inner = self._alternatives(depth + 1)
        if not self._eat(")"):
            raise self._bad("an anchor inside" if self._next else "a bracket that is not closed")
        return inner

    def _times(self, part: Part) -> Part:
        if self._eat("*"):
            counts: tuple[int, int | None] = (0, None)
        elif self._eat("+"):
            counts = (1, None)
        elif self._eat("?"):
            counts = (0, 1)
        else:
            found = self._counts() if self._next == "{" else None
            if found is None:
                return part
            *counts_found, self._at = found
            counts = (counts_found[0] or 0, counts_found[1])
        if self._eat("+"):
            raise self._bad("a possessive repetition")
        self._eat("?")
        if self._next and self._next in "*+?":
            raise self._bad("a repetition of a repetition")
        low, high = counts
        if high is not None and high < low:
            raise self._bad("a repetition that ends before it begins")
        if max(low, high or 0) > _MOST_REPEATS:
            raise self._bad("a repetition too long")
        return maybe(part) if counts == (0, 1) else Repeat(part, low, high)

    def _counts(self) -> tuple[int, int | None, int] | None:
        """Read `{2}`, `{2,}`, `{,3}` or `{2,3}`; None: the bracket is itself."""
        end = self._pattern.find("}", self._at)
        low, comma, high = self._pattern[self._at + 1 : max(end, 0)].partition(",")
        digits = low + high
        if end < 0 or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            return None
        most = int(low) if not comma else int(high) if high else None
        return int(low or 0), most, end + 1

    def _class(self) -> Ranges:
        negated = self._eat("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._next != "]":
            if not self._next:
                raise self._bad("a class that is not closed")
            low = self._class_item()
            first = False
            if not isinstance(low, int):
                ranges += low
                continue
            high = low
            # A minus sign before the closing bracket is itself.
            if self._next == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                found = self._class_item()
                if not isinstance(found, int) or found < low:
                    raise self._bad("a range that ends before it begins")
                high = found
            ranges.append((low, high))
        self._at += 1
        found_ranges = complement(complement(tuple(ranges)))
        result = complement(found_ranges) if negated else found_ranges
        if not result:
            raise self._bad("a class of no characters")
        return result

    def _class_item(self) -> int | Ranges:
        if self._eat("\\"):
            return self._escape(in_class=True)
        self._at += 1
        return ord(self._pattern[self._at - 1])

    def _escape(self, *, in_class: bool) -> int | Ranges:
        letter = self._next
        if not letter:
            raise self._bad("a backslash at the end")
        self._at += 1
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter == "b" and in_class:
            return 8
        if letter in _CONTROLS:
            return ord(_CONTROLS[letter])
        if letter in "xuU":
            return self._code_point({"x": 2, "u": 4, "U": 8}[letter])
        if letter in "bB":
            raise self._bad("a word boundary")
        if letter in "pP":
            raise self._bad("a Unicode property")
        if letter in "123456789kg":
            raise self._bad("a backreference")
        if letter.isalnum() and letter.isascii():
            raise self._bad(f"an escape that is not known, \\{letter}")
        return ord(letter)

    def _code_point(self, digits: int) -> int:
        if digits == 4 and self._eat("{"):
            end = self._pattern.find("}", self._at)
            text = self._pattern[self._at : max(end, 0)]
            self._at = end + 1
        else:
            text = self._pattern[self._at : self._at + digits]
            self._at += digits
            if len(text) < digits:
                text = ""
        try:
            point = int(text, 16)
        except ValueError:
            raise self._bad("an escape that is not known") from None
        if point > HIGHEST or 0xD800 <= point < 0xE000:
            raise self._bad("an escape of no character")
        return point

    def _bad(self, what: str) -> ModelError:
        return ModelError(
            f"The pattern {self._pattern[:80]!r} has {what}, at {self._at}; no grammar keeps that.",
            hint="Write it with classes, groups, alternatives and repetitions alone.",
        )
