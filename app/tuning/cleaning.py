"""What is not learnt from, and why: rules that need no model, in the order they are asked.

Each rule is a function that returns a reason or nothing, so that a card can count reasons
and a person can read what was let go. The limits are Gopher's (Rae et al. 2021,
arXiv:2112.11446, A.1.1) where those hold for short texts in two languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, cast

from groundling.guardrails.detector import THRESHOLD, Detector
from groundling.guardrails.injection import Injection
from groundling.guardrails.redact import Redactor, default_detectors, redact
from groundling.tuning.example import Example, plain

Rule = Callable[[Example], str | None]
_WORD = re.compile(r"\w+")
_LETTER = {"ko": re.compile("[가-힣]"), "en": re.compile("[A-Za-z]")}
_BROKEN = re.compile("[\ufffd\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f]|Ã[\x80-\xbf]|â€")
_REPEATED = 0.35  # share of the words that stand in repeated three-word pieces
_FEW_WORDS = 12  # fewer say nothing of repetition
_RUN = re.compile(r"(\S)\1{15,}")
_BLACKED = re.compile(r"\W*(?:\[[A-Z][A-Z_]+\]\W*)+")


@dataclass(frozen=True)
class Limits:
    """How long and in which languages examples may be.

    Args:
        shortest: characters of an answer.
        longest: characters of all texts of an example together.
        languages: of `ko` and `en`; an example needs letters of one of them.
    """

    shortest: int = 1
    longest: int = 24_000
    languages: Sequence[str] = ("ko", "en")


def rules(limits: Limits) -> list[tuple[str, Rule]]:
    """Return the rules, each with the name that a card counts it under."""
    return [
        ("encoding", _broken),
        ("empty", lambda one: _empty(one, limits)),
        ("length", lambda one: _long(one, limits)),
        ("language", lambda one: _foreign(one, limits)),
        ("repetition", _repeats),
        ("no preference", _same),
        ("injection", _injected),
    ]


def fault(example: Example, asked: Sequence[tuple[str, Rule]]) -> tuple[str, str] | None:
    """Return the name of the first rule that lets an example go, and the reason."""
    for name, rule in asked:
        if (reason := rule(example)) is not None:
            return name, reason
    return None


def without_private(
    example: Example, detectors: Sequence[Detector] | None = None
) -> tuple[Example, Counter[str]]:
    """Black out personal data and secrets; return what it was in its texts, by kind.

    What is known of it is looked at, too: an accepted answer, a group named after a person.
    """
    known = default_detectors() if detectors is None else detectors
    found: Counter[str] = Counter()
    texts: list[str] = []
    for text in example.texts:
        cleared, here = redact(text, known, threshold=THRESHOLD)
        texts.append(cleared)
        found += here
    private = example.with_texts(texts) if found else example
    about, others = Redactor(known)(dict(example.about))
    if others:
        private = replace(private, about=cast("dict[str, Any]", about))
    source, group = (redact(name, known)[0] for name in (example.source, example.group))
    if source != example.source:
        private = replace(private, source=source)
    if group != example.group:  # groups stay apart whatever their names are
        private = replace(private, group=sha256(example.group.encode()).hexdigest()[:12])
    return private, found


def nothing_said(example: Example) -> bool:
    """Tell whether the answer is nothing but what was blacked out."""
    return _BLACKED.fullmatch(example.answer) is not None


def normal(example: Example) -> Example:
    """Compose characters, drop blanks at the ends, make line ends one kind."""
    texts = [
        unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
        for text in example.texts
    ]
    return example if texts == example.texts else example.with_texts(texts)


def _broken(example: Example) -> str | None:
    for text in example.texts:
        if found := _BROKEN.search(text):
            return f"a character that no text has: {found.group()!a}"
    return None


def _empty(example: Example, limits: Limits) -> str | None:
    if not example.question.strip():
        return "the question is empty"
    # A rejected answer may be empty: to say nothing can be what is not wanted.
    if len(example.answer.strip()) < limits.shortest:
        return f"the answer has fewer than {limits.shortest} characters"
    return None


def _long(example: Example, limits: Limits) -> str | None:
    size = sum(map(len, example.texts))
    return f"{size:,} characters, more than {limits.longest:,}" if size > limits.longest else None


def _foreign(example: Example, limits: Limits) -> str | None:
    said = f"{example.question} {example.answer}"
    letters = sum(character.isalpha() for character in said)
    known = sum(len(_LETTER[name].findall(said)) for name in limits.languages)
    if letters and known < letters / 2:
        return f"{known} of {letters} letters are of {' or '.join(limits.languages)}"
    return None


def _repeats(example: Example) -> str | None:
    if _RUN.search(example.answer):
        return "one character stands many times in a row"
    words = _WORD.findall(plain(example.answer))
    if len(words) < _FEW_WORDS:
        return None
    pieces = Counter(zip(words, words[1:], words[2:], strict=False))
    repeated = sum(count for count in pieces.values() if count > 1)
    share = repeated / max(1, len(words) - 2)
    return f"{share:.0%} of the answer repeats itself" if share > _REPEATED else None


def _same(example: Example) -> str | None:
    if example.rejected is not None and plain(example.rejected) == plain(example.answer):
        return "the chosen and the rejected answer are the same"
    return None


def _injected(example: Example) -> str | None:
    """Let go what gives orders to the model that learns from it: poisoned feedback."""
    for text in (example.answer, example.rejected or ""):
        for finding in _INJECTIONS.find(text):
            if finding.score >= THRESHOLD:
                return f"it gives orders to the model: {text[finding.start : finding.end][:60]!r}"
    return None


_INJECTIONS = Injection()
