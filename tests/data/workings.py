"""What the tests of the questions reckon with: numbers in words, workings, dates in words."""

from __future__ import annotations

import ast
import calendar
import operator
import re
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction

WORDS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "third": 3,
    "four": 4,
    "five": 5,
    "fifths": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fourteen": 14,
    "eighteenth": 18,
    "twenty-five": 25,
    "twenty-six": 26,
    "thirty": 30,
    "forty-five": 45,
    "fifty": 50,
    "seventy-five": 75,
}
KOREAN = {
    "한": 1,
    "두": 2,
    "세": 3,
    "석": 3,
    "네": 4,
    "넉": 4,
    "다섯": 5,
    "열": 10,
    "서른두": 32,
    "서른다섯": 35,
}
COUNTED = re.compile(rf"(?<![가-힣])({'|'.join(KOREAN)})\s?(?:번|달|시간|회|차례|주|돈)")
SHARES = {"절반": 2, "왕복": 2}
SCALES = {"thousand": 1_000, "million": 1_000_000}

OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
DATED = re.compile(
    r"(\d{4}-\d\d-\d\d) (?:([+-]) (\d+) (working days|days|months|years)|to (monday))"
)


def numbers(text: str) -> set[Fraction]:
    """Read the numbers of a text: 66,000; 6만6천; 2.4 million; seventy-five; 넉 달; 07:50."""
    text = text.casefold()
    found = {Fraction(KOREAN[word]) for word in COUNTED.findall(text)}
    found |= {Fraction(number) for word, number in SHARES.items() if word in text}
    text = re.sub(r"[a-z]+(?:-[a-z]+)?", lambda w: str(WORDS.get(w[0], w[0])), text)
    text = re.sub(r"(?<=\d),(?=\d)|(?<=\d):00", "", text)
    for number, scale in re.findall(r"(\d+(?:\.\d+)?) (thousand|million)", text):
        found.add(Fraction(number) * SCALES[scale])
    myriads = re.compile(r"(\d+)\s*만\s*(?:(\d+)천)?\s*(\d+)?")
    for tens, thousands, rest in myriads.findall(text):
        found.add(Fraction(int(tens) * 10_000 + int(thousands or 0) * 1_000 + int(rest or 0)))
    text = re.sub(r"\d+(?:\.\d+)? (?:thousand|million)", "", myriads.sub("", text))
    return found | {Fraction(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


def figures(text: str) -> set[Fraction]:
    """Read the numbers of a source; an hour after noon counts in both ways of saying it."""
    late = {Fraction(int(hour) - 12) for hour in re.findall(r"(?<!\d)(1[3-9]|2[0-3]):\d\d", text)}
    after = {Fraction(int(hour) + 12) for hour in re.findall(r"오후 (\d+)시", text)}
    return numbers(text) | late | after


def amounts(text: str) -> set[Fraction]:
    """Read the numbers of an answer; hours and minutes together count as minutes."""
    pairs = re.findall(r"(\d+)\s*(?:h|시간)\D*?(\d+)\s*(?:m|분)", text)
    return numbers(text) | {Fraction(int(hours) * 60 + int(rest)) for hours, rest in pairs}


def says(text: str, result: Fraction | date) -> bool:
    """Tell whether a string names a result; a rounded number may be off in its last place."""
    if isinstance(result, date):
        return text in spellings(result)
    places = max((len(n) for n in re.findall(r"\d\.(\d+)", text)), default=0)
    return any(abs(number - result) < Fraction(1, 10**places) for number in amounts(text))


def work(working: str) -> Fraction | date:
    """Do a working of `questions.toml`.

    Raises:
        ValueError: it is neither arithmetic nor a date with what is counted from it.
    """
    if not (match := DATED.fullmatch(working)):
        return _reckon(ast.parse(working, mode="eval").body, working)
    day = date.fromisoformat(match[1])
    if match[5]:
        return day + timedelta(days=7 - day.weekday())
    count = int(match[3]) * (-1 if match[2] == "-" else 1)
    if match[4] == "days":
        return day + timedelta(days=count)
    if match[4] == "working days":
        return _working_days(day, count)
    return _months(day, count * (12 if match[4] == "years" else 1))


def _reckon(node: ast.expr, working: str) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_reckon(node.left, working), _reckon(node.right, working))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(ast.unparse(node))
    raise ValueError(f"{working!r} is neither arithmetic nor a date with a count.")


def _working_days(day: date, count: int) -> date:
    step = 1 if count > 0 else -1
    while count:
        day += timedelta(days=step)
        if day.weekday() < 5:
            count -= step
    return day


def _months(day: date, count: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    last = calendar.monthrange(years, month + 1)[1]
    return date(years, month + 1, min(day.day, last))


def spellings(day: date) -> set[str]:
    """Return the ways to write a date, or its month and year, in both languages."""
    name, number = calendar.month_name[day.month], day.day
    short = calendar.month_abbr[day.month]
    ending = "th" if 4 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    days = [str(number), f"{number}{ending}"]
    written = {f"{d} {month}" for d in days for month in (name, short, f"of {name}")}
    written |= {f"{month} {d}" for d in days for month in (name, short)}
    return written | {
        f"{day.month}월 {number}일",
        f"{day.month}/{number}",
        f"{day.year}년 {day.month}월",
        f"{day.year}. {day.month}. {number}",
        f"{name} {day.year}",
        *(day.strftime(form) for form in ("%Y-%m-%d", "%Y-%m", "%Y.%m.%d", "%Y.%m")),
    }
