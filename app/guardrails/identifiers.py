"""Numbers that name a person, a business or an account: Korean and international ones.

What carries a check digit or a date is judged by it; what is only digits counts beside a
word that says what it is (계좌, 여권, card). Rules of the Korean numbers: the Resident
Registration Act's enforcement rules (date, sex and century, check digit; since October 2020
the last six digits are chance) and the National Tax Service (business numbers).
"""

from __future__ import annotations

import re
from datetime import date

from groundling.guardrails.candidate import NO, REACH, Candidate, cue, rule, word
from groundling.guardrails.checksums import IBAN_LENGTHS, iban, kr_business, kr_resident, luhn

_WON = re.compile(r"\s?(?:원|만|억|천|won|krw|usd|dollars?)")
_ORDER = re.compile(
    r"(?:주문|접수|송장|관리|문서|거래|예약|order|invoice|ticket)[^\s0-9]{0,6}\W{0,3}$"
)
_RESIDENT = cue("주민", "외국인", "등록번호", word("rrn"), "resident", "registration n")
_BUSINESS = cue("사업자", word("brn"), "business (?:registration|number)")
_LICENCE = cue("면허", "driver'?s? licen[cs]e")
_PASSPORT = cue("여권", "passport")
_CARD = cue("card", "카드", word("cc"), "credit", "visa", "master", "amex")
_SOCIAL = cue(word("ssn"), "social security")
_ACCOUNT = cue(
    "계좌|은행|뱅크|농협|수협|신협|새마을금고|우체국|예금주|입금|송금|이체",
    r"(?:account|acct)\.?\s?(?:no\b|num|#|:|is\b)",
    "bank account",
)
IDENTIFIER_CUES = cue(
    *(c.pattern for c in (_RESIDENT, _BUSINESS, _LICENCE, _PASSPORT, _CARD, _SOCIAL, _ACCOUNT))
)
_REGION_BEFORE = re.compile(
    r"(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주)\s?$"
)
_CARD_BEGINS = re.compile(
    r"4|5[1-5]|2(?:2[2-9]|[3-6]|7[01]|720)|6(?:011|4[4-9]|5|2)|35(?:2[89]|[3-8])"
)
_CLOCK = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]"
)
# Each country's IBAN has its own length, so that the next word is not taken for more of it.
_IBANS = "|".join(
    f"(?i:{'|'.join(country for country, n in IBAN_LENGTHS.items() if n == length)})"
    f"[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{{length - 4}}}"
    for length in sorted(set(IBAN_LENGTHS.values()))
)


def _resident(found: Candidate) -> float:
    """Judge a resident (sex digit 1–4, 9, 0) or a foreigner (5–8) registration number."""
    digits = found.digits
    century = {"9": 1800, "0": 1800, "1": 1900, "2": 1900, "5": 1900, "6": 1900}
    year = century.get(digits[6], 2000) + int(digits[:2])
    try:
        born = date(year, int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return NO
    if born > date.today() or year < 1880:
        return NO
    checked = kr_resident(digits)
    if found.before(_RESIDENT):
        return 0.99 if checked else 0.9
    if found.before(_ORDER, 16):
        return 0.3
    if "-" in found.written:
        return 0.97 if checked else 0.65
    # Milliseconds since 1970 begin with 15 to 20 these years.
    stamp = found.bare and "15" <= digits[:2] <= "20"
    return 0.8 if checked and not stamp else 0.3


def _business(found: Candidate) -> float:
    if not kr_business(found.digits) or found.digits[3:5] == "00":
        return 0.3 if found.before(_BUSINESS) else NO
    if found.before(_BUSINESS):
        return 0.97
    if found.bare:
        return NO
    return 0.4 if found.before(_ORDER, 16) else 0.85


def _licence(found: Candidate) -> float:
    if found.before(_LICENCE):
        return 0.97
    if found.before(_REGION_BEFORE, 4):
        return 0.9
    region = 11 <= int(found.digits[:2]) <= 28
    return 0.85 if region and found.written.count("-") == 3 else NO


def _passport(found: Candidate) -> float:
    return 0.9 if found.before(_PASSPORT) else 0.3


def _card(found: Candidate) -> float:
    digits, count = found.digits, len(found.digits)
    cued = found.before(_CARD, REACH)
    if cued:
        score = 0.95 if count >= 13 else 0.75
    elif count == 16 and (_CARD_BEGINS.match(digits) or (digits[0] == "9" and not found.bare)):
        score = 0.75 if found.bare else 0.9  # Korean cards for use at home begin with 9
    elif count == 15 and digits.startswith(("34", "37", "1800", "2131")):
        score = 0.7
    elif count == 14 and re.match("30[0-5]|36|38|39", digits):
        score = 0.6
    else:
        return NO
    return score if luhn(digits) and len(set(digits)) > 1 else NO


def _social(found: Candidate) -> float:
    if found.before(_SOCIAL):
        return 0.97
    return 0.7 if "-" in found.written else NO


def _account(found: Candidate) -> float:
    digits = found.digits
    if not 10 <= len(digits) <= 16 or _CLOCK.match(digits):
        return NO
    if not found.before(_ACCOUNT, 25) or found.after(_WON):
        return NO
    return 0.75


def _iban(found: Candidate) -> float:
    return 0.98 if iban(found.digits) else NO


IDENTIFIERS = (
    rule(
        "kr_rrn",
        r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?: ?- ?| )?[0-49][0-9]{6}",
        _resident,
    ),
    rule(
        "kr_frn",
        r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?: ?- ?| )?[5-8][0-9]{6}",
        _resident,
    ),
    rule("kr_brn", r"[0-9]{3}(?P<brn> ?- ?|)[0-9]{2}(?P=brn)[0-9]{5}", _business),
    rule("kr_driver", r"(?:[12][0-9]-)?[0-9]{2}-[0-9]{6}-[0-9]{2}|[12][0-9]{11}", _licence),
    rule(
        "card",
        r"[0-9]{4}(?P<four>[- ])[0-9]{4}(?P=four)[0-9]{4}(?P=four)[0-9]{4}(?:(?P=four)[0-9]{3})?"
        r"|3[0-9]{3}(?P<amex>[- ])[0-9]{6}(?P=amex)[0-9]{4,5}|[1-69][0-9]{11,18}",
        _card,
    ),
    rule(
        "us_ssn",
        r"(?!000|666|9)[0-9]{3}(?P<ssn>[- ]?)(?!00)[0-9]{2}(?P=ssn)(?!0000)[0-9]{4}",
        _social,
    ),
    rule("passport", r"[0-9]{9}", _passport),
    rule(
        "bank_account",
        r"(?=(?:[0-9]-?){9}[0-9])[0-9]{2,6}(?:-[0-9]{1,8}){1,4}|[0-9]{10,16}",
        _account,
    ),
)
LETTERED = (
    rule("passport", r"[A-Z][0-9]{3}[A-Z][0-9]{4}|[A-Z]{1,2}[0-9]{7,8}", _passport),
    rule("iban", _IBANS, _iban),
)
