"""Which runs become examples: a small language over what is known of runs.

    feedback<0
    graph=rag and verdict=refused
    status=error and since=2026-11-01
    feedback.correctness>=0.5 and seconds>10

Conditions are joined by `and`; text with blanks or quotes stands in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from groundling.errors import EvaluationError
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status

_CONDITION = re.compile(
    r"""\s*(?P<key>[A-Za-z_]+)(?:\.(?P<of>[\w:-]+))?
        (?:\s*(?P<operator><=|>=|!=|==|=|<|>)\s*
        (?P<value>"[^"]*"|'[^']*'|[^\s"']+))?\s*""",
    re.VERBOSE,
)
_AND = re.compile(r"and\b", re.IGNORECASE)
_EQUAL = ("graph", "node", "name", "verdict", "model", "thread", "tag", "project", "text")
_KNOWN = ("feedback", "status", "seconds", "since", "until", *_EQUAL)


def parse_filter(expression: str) -> RunFilter:
    """Read an expression.

    Raises:
        EvaluationError: it cannot be understood; the message says from where on.
    """
    fields: dict[str, Any] = {}
    place = 0
    while True:
        match = _CONDITION.match(expression, place)
        if match is None:
            raise _unclear(expression, place, "a condition is missing")
        key, of = match["key"], match["of"]
        if key not in _KNOWN or (of is not None and key != "feedback"):
            raise _unclear(expression, match.start("key"), f"there is no {key}")
        name, value = _condition(key, of, match, expression)
        if name in fields:
            raise _unclear(expression, match.start("key"), f"{key} stands twice")
        fields[name] = value
        place = match.end()
        if place == len(expression):
            return RunFilter(**fields)
        joined = _AND.match(expression, place)
        if joined is None:
            raise _unclear(expression, place, "conditions are joined by and")
        place = joined.end()


def _condition(key: str, of: str | None, match: re.Match[str], expression: str) -> tuple[str, Any]:
    """Return the field of `RunFilter` that a condition sets."""
    operator, value = match["operator"], match["value"]
    start = match.start("key")
    if key == "feedback":
        if operator is None:
            if of is None:
                raise _unclear(expression, start, "feedback wants a comparison, as in feedback<0")
            return "feedback", of
        _read(float, value, expression, start, "a number")
        return "feedback", f"{of or ''}{operator}{value}"
    if operator is None:
        raise _unclear(expression, start, f"{key} wants a value, as in {key}=…")
    value = value.strip("\"'") if value[0] in "\"'" else value
    if key == "seconds":
        if operator not in (">", ">="):
            raise _unclear(expression, start, "seconds is compared by >")
        return "slower", _read(float, value, expression, start, "a number")
    if operator not in ("=", "=="):
        raise _unclear(expression, start, f"{key} is compared by =")
    if key == "status":
        known = ", ".join(Status)
        return "status", [_read(Status, value, expression, start, f"one of {known}")]
    if key in ("since", "until"):
        return key, _read(_microseconds, value, expression, start, "a time, as 2026-11-01")
    return key, value


def _read(
    reader: Callable[[str], Any], value: str, expression: str, place: int, wanted: str
) -> Any:
    try:
        return reader(value)
    except ValueError:
        raise _unclear(expression, place, f"{value} is not {wanted}") from None


def _microseconds(text: str) -> int:
    time = datetime.fromisoformat(text)
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1e6)


def _unclear(expression: str, place: int, why: str) -> EvaluationError:
    return EvaluationError(
        f"{expression!r} cannot be understood at character {place + 1}: {why}.",
        hint='For example: "feedback<0", "graph=rag and verdict=refused". '
        f"There are: {', '.join(_KNOWN)}.",
    )
