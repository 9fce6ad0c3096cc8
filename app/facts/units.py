"""Claims that one quantity is another: "5 miles is 8.05 km", "30평은 약 99.2 m²".

Pint converts (its registry is made once, when it is first needed). Korean names of metric
units and Korea's own units are defined here; 평 is 400/121 m² (계량에 관한 법률).
"""

from __future__ import annotations

import re
import threading
from decimal import Decimal
from functools import cache
from typing import Any

from groundling.errors import FactError
from groundling.facts.arithmetic import ABOUT, like
from groundling.facts.claim import Background, CheckedClaim, Claim, settled

DEFINITIONS = """
pyeong = 400 / 121 * meter ** 2
korean_geun = 600 * gram
korean_gwan = 3750 * gram
korean_don = 3.75 * gram
korean_doe = 1.8039 * liter
korean_mal = 18.039 * liter
korean_ri = 392.7272727 * meter
korean_ja = 10 / 33 * meter
"""
NAMES = {
    "평": "pyeong", "근": "korean_geun", "관": "korean_gwan", "돈": "korean_don",
    "되": "korean_doe", "말": "korean_mal", "리": "korean_ri", "자": "korean_ja",
    "킬로미터": "kilometer", "미터": "meter", "센티미터": "centimeter", "센티": "centimeter",
    "밀리미터": "millimeter", "마이크로미터": "micrometer", "제곱미터": "meter**2",
    "제곱킬로미터": "kilometer**2", "평방미터": "meter**2", "세제곱미터": "meter**3",
    "헥타르": "hectare", "킬로그램": "kilogram", "그램": "gram", "밀리그램": "milligram",
    "톤": "metric_ton", "리터": "liter", "밀리리터": "milliliter", "초": "second",
    "분": "minute", "시간": "hour", "일": "day", "주": "week", "년": "year",
    "섭씨": "degC", "화씨": "degF", "도": "degC", "인치": "inch", "피트": "foot", "야드": "yard",
    "마일": "mile", "파운드": "pound", "온스": "ounce", "갤런": "gallon",
    "킬로바이트": "kilobyte", "메가바이트": "megabyte", "기가바이트": "gigabyte",
    "바이트": "byte", "비트": "bit", "와트": "watt", "킬로와트": "kilowatt",
    "칼로리": "calorie", "킬로칼로리": "kilocalorie", "줄": "joule", "뉴턴": "newton",
    "파스칼": "pascal", "기압": "atm", "시속": "kilometer/hour", "노트": "knot",
    "°c": "degC", "℃": "degC", "°f": "degF", "℉": "degF", "c": "degC", "f": "degF",
    "celsius": "degC", "fahrenheit": "degF", "kelvin": "kelvin", "k": "kelvin",
    "degrees celsius": "degC", "degrees fahrenheit": "degF", "lbs": "pound", "lb": "pound",
    "m²": "meter**2", "m2": "meter**2", "㎡": "meter**2", "km²": "kilometer**2",
    "km2": "kilometer**2", "cm²": "centimeter**2", "m³": "meter**3", "㎥": "meter**3",
    "cm³": "centimeter**3", "ft²": "foot**2", "sq ft": "foot**2", "sqft": "foot**2",
    "square meters": "meter**2", "square meter": "meter**2", "square metres": "meter**2",
    "square kilometers": "kilometer**2", "square miles": "mile**2", "square feet": "foot**2",
    "square foot": "foot**2", "cubic meters": "meter**3", "cubic metres": "meter**3",
    "cubic centimeters": "centimeter**3", "kph": "kilometer/hour", "km/h": "kilometer/hour",
    "mph": "mile/hour", "miles per hour": "mile/hour", "m/s": "meter/second",
    "kilometers per hour": "kilometer/hour", "kilometres per hour": "kilometer/hour",
    "meters per second": "meter/second", "metres per second": "meter/second",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "t": "metric_ton", "tonne": "metric_ton",
    "tonnes": "metric_ton", "l": "liter", "ml": "milliliter", "kwh": "kilowatt_hour",
    "gb": "gigabyte", "mb": "megabyte", "kb": "kilobyte", "tb": "terabyte", "ha": "hectare",
    "hours": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second",
    "days": "day", "weeks": "week", "years": "year", "dozen": "12", "dozens": "12",
}  # fmt: skip
_NUMBER = r"[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_UNIT = r"(?:°[CFcf]|[A-Za-zµ㎡㎥℃℉가-힣²³]+)(?:(?:/| per )[A-Za-z²³]+)?[²³2-3]?"
_CLAIM = re.compile(
    rf"(?P<first>{_NUMBER}|\b(?:an?|one)(?=\s)|\b한(?=\s))\s*(?P<unit>{_UNIT}(?:\s(?!is\b|are\b|equals\b)[A-Za-z]+){{0,2}}?)\s*"
    r"(?:=|≈|≃|~|\bis\b|\bare\b|\bequals?\b|\bmakes?\b|\bin\b|은|는|이|가|면)\s*"
    r"(?:(?:equal to|the same as|about|approximately|roughly|around|exactly|약|대략|거의|정확히)"
    r"\s*)?"
    rf"(?P<second>{_NUMBER})\s*(?P<other>{_UNIT}(?:\s[A-Za-z]+){{0,2}})",
    re.IGNORECASE,
)
_QUANTITY = re.compile(rf"\s*(?P<number>{_NUMBER})?\s*(?P<unit>.+?)\s*")
_KOREAN_BEHIND = re.compile(
    r"(?:이다|입니다|이에요|예요|다|이고|이며|정도|쯤|짜리|은|는|이|가|을|를|로|으로|와|과|의|에)+$"
)
_LONGEST = 2_000
COARSEST = Decimal("0.02")  # a number may be rounded by so much of it: 26 days are not 4 weeks
_lock = threading.Lock()  # pint's parser keeps a cache that is not made for threads


class UnitsSource:
    """Settles claims that state one quantity twice; knows nothing of others."""

    name = "units"

    async def check(self, claim: Claim, background: Background) -> CheckedClaim | None:
        """Convert what the claim states; None if it compares no two quantities of a kind."""
        text = claim["text"]
        if len(text) > _LONGEST:
            return None
        found = [
            judged
            for match in _CLAIM.finditer(text)
            if (judged := _judged(claim, match)) is not None
        ]
        return (
            next((one for one in found if one["verdict"] == "REFUTED"), found[0]) if found else None
        )


def convert(quantity: str, to: str) -> str:
    """Convert a quantity.

    Args:
        quantity: a number with a unit, such as `5 miles`, `30평`, `100 km/h`, `-40 °F`.
        to: a unit of the same kind.

    Returns:
        The quantity in that unit, to six significant digits.

    Raises:
        FactError: a unit is not known, the number is missing, or the kinds differ.
    """
    match = _QUANTITY.fullmatch(quantity[:200])
    if match is None or match["number"] is None:
        raise FactError(
            f"{quantity[:60]!r} is no quantity.", hint="Write a number and a unit: 5 miles."
        )
    value = converted(_plain(match["number"]), match["unit"], to)
    if value is None:
        kinds = [name for name in (match["unit"], to) if _unit(name) is None]
        reason = (
            f"{' and '.join(kinds)} are not known units"
            if len(kinds) > 1
            else f"{kinds[0]} is no known unit"
            if kinds
            else f"{match['unit']} and {to} are units of different kinds"
        )
        raise FactError(
            f"{quantity.strip()[:60]} cannot be converted to {to[:40]}: {reason}.",
            hint="Currencies are not converted: their rates change.",
        )
    return f"{_shown(value)} {to.strip()}"


def converted(number: Decimal, unit: str, to: str) -> Decimal | None:
    """Return a number of units in another unit; None if that has no meaning."""
    source, target = _unit(unit), _unit(to)
    if source is None or target is None:
        return None
    try:
        with _lock:
            quantity = _registry().Quantity(float(number), source).to(target)
            return Decimal(repr(float(quantity.magnitude)))
    except Exception:  # pint has no common class for what it cannot convert
        return None


def _judged(claim: Claim, match: re.Match[str]) -> CheckedClaim | None:
    text = claim["text"]
    unit = next((name for name in _readings(match["unit"]) if _unit(name) is not None), None)
    other = next((name for name in _readings(match["other"]) if _unit(name) is not None), None)
    if unit is None or other is None or _unit(unit) == _unit(other):
        return None
    value = converted(_plain(match["first"]), unit, other)
    if value is None:
        return None
    stated = _plain(match["second"])
    places = len(match["second"].partition(".")[2])
    tolerance = min(Decimal(1).scaleb(-places) / 2, abs(value) * COARSEST)
    if ABOUT.search(match.group()) or ABOUT.search(text[match.end() : match.end() + 6]):
        tolerance = max(2 * tolerance, abs(value) / 100)
    holds = abs(value - stated) <= tolerance
    right = like(match["second"], value)
    return settled(
        claim,
        "SUPPORTED" if holds else "REFUTED",
        UnitsSource.name,
        query=f"{match['first']} {unit} in {other}",
        evidence=f"{match['first']} {unit} = {_shown(value)} {other}",
        tolerance=f"{_shown(tolerance)} {other}",
        correction=None
        if holds
        else text[: match.start("second")] + right + text[match.end("second") :],
    )


def _readings(unit: str) -> list[str]:
    """Return what a unit may be with fewer of the words behind it, longest first."""
    words = unit.split()
    readings = [" ".join(words[:count]) for count in range(len(words), 0, -1)]
    bare = [_KOREAN_BEHIND.sub("", one) for one in readings]
    return list(
        dict.fromkeys(one for pair in zip(readings, bare, strict=True) for one in pair if one)
    )


@cache
def _unit(name: str) -> Any:
    """Return pint's unit of a name; None if there is none."""
    plain = " ".join(name.strip().split())
    if not plain or len(plain) > 40 or not re.fullmatch(r"[\w°µ㎡㎥℃℉²³/*· ]+", plain):
        return None
    known = NAMES.get(plain) or NAMES.get(plain.lower())
    if known is None and not re.match(r"[A-Za-zµ°]", plain):
        return None
    written = known or plain.replace("²", "**2").replace("³", "**3")
    try:
        with _lock:
            return _registry().Unit(written)
    except Exception:  # pint has no common class for what it does not know
        return None


@cache
def _registry() -> Any:
    from pint import UnitRegistry

    registry: Any = UnitRegistry(autoconvert_offset_to_baseunit=True)
    registry.load_definitions(DEFINITIONS.strip().splitlines())
    return registry


def _plain(number: str) -> Decimal:
    if number.lower() in ("a", "an", "one", "한"):
        return Decimal(1)
    return Decimal(number.replace(",", "").replace("−", "-"))


def _shown(value: Decimal) -> str:
    return f"{float(value):,.6g}" if abs(value) < 10**15 else f"{float(value):.6g}"
