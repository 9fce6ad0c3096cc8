"""Personal data: what names, reaches or pays a person.

Kinds: `email`, `phone`, `kr_rrn` (resident registration number), `kr_frn` (foreigner's),
`kr_brn` (business), `kr_driver` (licence), `passport`, `card`, `iban`, `us_ssn`, `ip`,
`bank_account`. Names and postal addresses are not among them: they take a model.

One pattern finds the places where a number begins that is long enough to be any of these;
only there are the rules tried, each anchored at that place. So prose costs one pass, and no
input costs more than a bounded amount of work a character.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from groundling.guardrails.addresses import ADDRESSES, emails
from groundling.guardrails.candidate import REACH, Candidate, Rule, cue, joined, word
from groundling.guardrails.detector import PLACEHOLDER, THRESHOLD, Finding
from groundling.guardrails.identifiers import IDENTIFIER_CUES, IDENTIFIERS, LETTERED
from groundling.guardrails.phones import PHONE_CUES, PHONES
from groundling.guardrails.plain import PlainDetector, scan

_FIELD_LENGTHS = range(7, 65)
_AHEAD = 400  # how far words are looked for at once where numbers stand close together
# A digit that no number goes on to, that begins neither an ISO date nor a decimal, and what
# must follow it: six more digits, an IPv4 or IPv6 address, or (after letters) the rest of an
# IBAN or a passport number. It begins with a set because the engine skips to those, and looks
# ahead only, so that no start is stepped over.
_GATE = re.compile(
    r"[0-9](?<![0-9].)(?<![0-9][-.].)"
    r"(?![0-9]{3}-[01][0-9]-[0-3][0-9](?![0-9])|[0-9]{0,4}\.[0-9]++(?![-. ][0-9]))"
    r"(?=(?:[-. ()/]{0,3}[0-9]){6}|[0-9]{0,2}(?:\.[0-9]{1,3}){3}"
    r"|[0-9A-Fa-f]{0,3}(?::[0-9A-Fa-f]{0,4}){3}"
    r"|(?<=[A-Za-z]{2}.)[0-9] ?[A-Za-z0-9]{4}|(?<=[A-Z].)[0-9]{2}[A-Z][0-9]{4})"
)
_NUMBERS = (*PHONES, *IDENTIFIERS, *ADDRESSES)
_CUELESS = tuple(rule for rule in _NUMBERS if not rule.cued)
_SHAPES = re.compile("|".join(rule.pattern.pattern for rule in _CUELESS))
_CUES = cue(PHONE_CUES.pattern, IDENTIFIER_CUES.pattern)
_LETTERS = re.compile(r"[A-Za-z]{1,2}$")
_FIELDS = cue(
    "phone", "mobile", "tel", "fax", "resident", "rrn", "ssn", "social", "passport", "card",
    "account", "licen", "business", word("ip"), "전화", "연락처", "휴대", "핸드폰", "팩스", "주민",
    "외국인", "등록번호", "사업자", "여권", "카드", "계좌", "면허",
)  # fmt: skip


class PersonalData(PlainDetector):
    """Finds personal data by patterns, check digits and the words around them.

    Scores below `THRESHOLD` are guesses: a number of the right shape without a word for it.
    """

    def search(self, text: str) -> Iterator[Finding]:
        """Yield the personal data in a plain text."""
        if "@" in text:
            yield from emails(text)
        yield from _numbers(text)

    def find_in_field(self, name: str, text: str) -> Iterable[Finding]:
        """Return what is found once the field's name is read as the words before the text."""
        if len(text) not in _FIELD_LENGTHS or not _FIELDS.search(name.lower()):
            return ()
        words = f"{name}: "
        return [
            Finding(found.kind, found.start - len(words), found.end - len(words), found.score)
            for found in self.find(words + text)
            if found.start >= len(words)
        ]


class _Cues:
    """Where a text has words that tell what a number is; read as far as is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: list[int] = []
        self._read = -_AHEAD

    def near(self, place: int) -> bool:
        """Tell whether there is one near a place; the places asked for must not go back."""
        if place + REACH > self._read:
            dense = place < self._read + _AHEAD
            begin, self._read = max(0, place - REACH), place + REACH + dense * _AHEAD
            piece = self._text[begin : self._read].lower()
            self._places = [begin + match.start() for match in _CUES.finditer(piece)]
        index = bisect_left(self._places, place - REACH)
        return index < len(self._places) and self._places[index] < place + REACH


def _numbers(text: str) -> Iterator[Finding]:
    cues = _Cues(text)
    done = 0
    for hit in scan(_GATE, text):
        digit = hit.start()
        if digit < done:
            continue
        for start, rules in _starts(text, digit, cues):
            for finding in _judge(text, start, rules):
                if finding.score >= THRESHOLD:
                    done = max(done, finding.end)
                yield finding
            if done > digit:
                break


def _starts(text: str, digit: int, cues: _Cues) -> Iterator[tuple[int, tuple[Rule, ...]]]:
    """Yield where a number with this first digit may begin: at a letter, + or bracket too."""
    last = text[digit - 1] if digit else " "
    if last in "+(":
        start = digit - 2 if text[digit - 2 : digit - 1] in ("+", "(") else digit - 1
        if not joined(text, start):
            yield start, PHONES
    elif last.isalpha():
        letters = _LETTERS.search(text, max(0, digit - 2), digit)
        if letters and not joined(text, letters.start()):
            yield letters.start(), LETTERED
    if last not in " \n" and joined(text, digit):
        return
    if cues.near(digit):
        yield digit, _NUMBERS
    elif _SHAPES.match(text, digit):
        yield digit, _CUELESS


def _judge(text: str, start: int, rules: tuple[Rule, ...]) -> Iterator[Finding]:
    left = PLACEHOLDER.sub(" ", text[max(0, start - REACH) : start]).lower()
    for rule in rules:
        match = rule.pattern.match(text, start)
        if match:
            score = rule.judge(Candidate(text, match, left))
            if score:
                yield Finding(rule.kind, start, match.end(), score)
