"""What arithmetic is written with: numbers, signs and words, with the places they stand at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "sign", "function", "constant", "relation", "word", "other"]

_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,2}(?![\d.]))?"
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<number>{_NUMBER})|(?P<relation>=>|<=|>=|==|!=|≠|≈|≃|~=|∼|=|≤|≥|<|>)"
    r"|(?P<sign>\*\*|[-+*/^()\[\]{}!%×÷−–∙·⋅√±²³])"
    r"|(?P<money>[$€£₩¥])|(?P<word>[A-Za-zπ]+|[가-힣]+)|(?P<other>.)",
    re.DOTALL,
)
_SAME = {
    "×": "*", "∙": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "**": "^",
    "[": "(", "{": "(", "]": ")", "}": ")",
}  # fmt: skip
_WORDS = {
    "plus": "+", "minus": "-", "times": "*", "x": "*", "multiplied": "*", "divided": "/",
    "over": "/", "of": "of", "percent": "%", "squared": "²", "cubed": "³", "mod": "mod",
    "더하기": "+", "빼기": "-", "곱하기": "*", "나누기": "/", "퍼센트": "%", "프로": "%",
}  # fmt: skip
_FUNCTIONS = {"sqrt", "log", "ln", "sin", "cos", "tan", "abs", "exp", "root"}
_CONSTANTS = {"pi", "π", "e"}
_FILLERS = {"by", "to"}
_KOREAN_PART = re.compile(r"(?<=\d)의\s*(?=[\d.,]+\s*(?:%|퍼센트|프로))")


@dataclass(frozen=True)
class Token:
    """A piece of a text: what it is, how it is read, and where it stands."""

    kind: Kind
    text: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """Split a text; what is no arithmetic comes as words and others."""
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup, match.group()
        start, end = match.span()
        if kind in ("space", "money"):
            continue
        if kind == "word":
            low = found.lower()
            if low in _WORDS:
                yield Token("sign", _WORDS[low], start, end)
            elif low in _FUNCTIONS:
                yield Token("function", low, start, end)
            elif low in _CONSTANTS and (low != "e" or found == "e"):
                yield Token("constant", low, start, end)
            else:
                yield Token("word", found, start, end)
        elif kind == "sign":
            yield Token("sign", _SAME.get(found, found), start, end)
        else:
            yield Token(kind, found, start, end)  # type: ignore[arg-type]


def in_signs(text: str) -> str:
    """Write "80의 25%" with a sign; the text's length, and so all offsets, stay."""
    return _KOREAN_PART.sub(lambda match: "*" + " " * (len(match.group()) - 1), text)


def is_filler(token: Token) -> bool:
    return token.kind == "word" and token.text.lower() in _FILLERS
