"""Phone numbers: Korean, North American, international, and others beside a word for them.

A number in the form of its country stands on its own: 010-1234-5678, 02)123-4567,
+44 20 7946 0958, (212) 555-0100. Anything else of 7 to 15 digits needs a word such as
"phone" or 연락처 near it: "99 668472" may be anything.

Patterns and not phonenumberslite: its matcher reads 0.2 to 2 MB/s, where this reads tens, and
of the 102 numbers in Presidio's synthetic documents it finds 10 (for Korea) to 54 (for five
countries), because it wants numbers that can be in service; told to take whatever is possible,
it finds 100 and 1,012 that are none.
"""

from __future__ import annotations

import re

from groundling.guardrails.candidate import NO, Candidate, cue, rule, word

_AREA = r"(?:2|[3-6][1-5]|70|80|50[2-8])"
_SPACED = r"(?:[-. ]| - )"
_EXTENSION = r"(?: ?(?:x|ext\.? ?)[0-9]{1,6})?"
# Country calling codes (ITU-T E.164), as they begin.
_COUNTRY = re.compile(
    r"1|7|2[07]|2[1-69][0-9]|3[0-469]|3[578][0-9]|4[013-9]|42[0-9]|5[1-8]|5[09][0-9]|6[0-6]"
    r"|6[7-9][0-9]|8[1246]|8[05-8][0-9]|9[0-58]|9[679][0-9]"
)
_NAMED = cue(
    "phone",
    "mobile",
    word("cell", "tel", "tele", "fax", "hp", "cellular"),
    "전화",
    "연락처",
    "휴대폰",
    "핸드폰",
    "팩스",
    "폰번호",
)
_BEFORE = cue(
    _NAMED.pattern,
    word("desk", "sms", "dial", "message", "messages", "answering", "reach", "reached"),
    word("contact"),
    r"call(?<![a-z]call)(?:ing|ed)? (?:[a-z]+ ){0,3}(?:at|on|back)\b",
    "whatsapp", "대표번호", "내선",
)  # fmt: skip
_AFTER = re.compile(
    r"[\s\-(,]{0,2}(?:office|fax|mobile|cell|phone|desk|home)\b|[\s(]{0,2}(?:전화|휴대폰|팩스)"
)
PHONE_CUES = cue(_BEFORE.pattern, word("home", "office"))
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-./ ][0-9]{1,2}[-./ ][0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}[-./ ][0-9]{1,2}[-./ ](?:19|20)[0-9]{2}(?![0-9])"
    r"|(?:19|20)[0-9]{2} ?[-/.] ?(?:19|20)[0-9]{2}(?![0-9])"
)
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}$")


def _mobile(found: Candidate) -> float:
    digits = found.digits
    if set(digits) <= {"0", "1"}:
        return NO  # a binary number
    if digits.startswith("010") and len(digits) < 11:
        return NO
    if not found.bare:
        return 0.95
    if len(digits) == 11:
        return 0.85
    return 0.7 if found.before(_BEFORE) else 0.3


def _landline(found: Candidate) -> float:
    if found.before(_BEFORE):
        return 0.95
    return 0.85 if re.search("[-)]", found.written) else 0.6


def _local(found: Candidate) -> float:
    """Judge a Korean number without its area, or one in a single piece."""
    if _DATE.match(found.written):
        return NO
    return 0.75 if found.before(_NAMED, 15) else 0.2


def _international(found: Candidate) -> float:
    digits = found.digits.partition("x")[0]
    if digits.startswith("00"):
        digits = digits[2:]
    if not _COUNTRY.match(digits) or len(digits) < 9:
        return NO
    return 0.85 if "+" in found.written or found.before(_BEFORE) else 0.6


def _abroad(found: Candidate) -> float:
    """Judge a number of any other country: +20231201 and +1.1234567 are none."""
    written = found.written.lstrip("(+")
    if _DATE.match(written) or _DECIMAL.fullmatch(written):
        return NO
    return _international(found)


def _north_american(found: Candidate) -> float:
    if found.before(_BEFORE) or found.after(_AFTER):
        return 0.9
    if re.search("x", found.written):
        return 0.8
    digits = found.digits[-10:]
    if digits[3] in "01":  # exchanges begin with 2
        return 0.3
    return 0.65 if re.search("[-.()]", found.written) else 0.3


def _other(found: Candidate) -> float:
    count = len(found.digits)
    if not 7 <= count <= 15 or _DATE.match(found.written) or _ADDRESS.match(found.written):
        return NO
    if found.bare:
        return 0.7 if count >= 9 and found.before(_NAMED, 20) else NO
    return 0.6 if found.before(_BEFORE) or found.after(_AFTER) else NO


PHONES = (
    rule("phone", rf"01[016-9](?:{_SPACED}|\)[ -]?)?[0-9]{{3,4}}{_SPACED}?[0-9]{{4}}", _mobile),
    rule("phone", rf"\(?0{_AREA}(?:\)[ -]?|{_SPACED})[0-9]{{3,4}}{_SPACED}[0-9]{{4}}", _landline),
    rule("phone", rf"0{_AREA}[0-9]{{7,8}}|1[5-9][0-9]{{2}}[- ][0-9]{{4}}", _local, cued=True),
    rule(
        "phone",
        r"\(?\+82\)?[-. ]?(?:\(0\)|0)?[-. ]?[1-7][0-9]{0,2}[-. )]{0,2}[0-9]{3,4}[-. ]?[0-9]{4}",
        _international,
    ),
    rule(
        "phone",
        rf"\(?\+1\)?[-. ]?\(?[2-9][0-9]{{2}}\)?[-. ]{{0,2}}[0-9]{{3}}[-. ]?[0-9]{{4}}{_EXTENSION}",
        _international,
    ),
    rule(
        "phone",
        rf"\(?(?:\+[1-9]|00[1-9][0-9]{{0,2}}[-. ])[0-9]{{0,14}}\)?"
        rf"(?:(?:[-. ]|(?<=\))| ?\()[0-9]{{1,11}}\)?){{0,5}}{_EXTENSION}",
        _abroad,
    ),
    rule(
        "phone",
        rf"(?:1[-. ])?(?:\([2-9][0-9]{{2}}\) ?|[2-9][0-9]{{2}}[-. ])[0-9]{{3}}[-. ][0-9]{{4}}"
        rf"{_EXTENSION}",
        _north_american,
    ),
    rule(
        "phone",
        r"\(?[0-9]{2,5}\)?(?:(?:[-./ ]|(?<=\)) ?)[0-9]{2,8}){1,4}|[0-9]{9,12}",
        _other,
        cued=True,
    ),
)
