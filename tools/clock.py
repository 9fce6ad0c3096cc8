"""`clock`: what day and time it is, and reckoning with dates; models have no clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from langchain_core.tools import StructuredTool, ToolException, tool
from pydantic import Field

from groundling.tools.risk import with_risk

WEEKDAYS = (
    ("Monday", "월요일"), ("Tuesday", "화요일"), ("Wednesday", "수요일"), ("Thursday", "목요일"),
    ("Friday", "금요일"), ("Saturday", "토요일"), ("Sunday", "일요일"),
)  # fmt: skip
_FURTHEST = 400_000  # days that may be added: about a thousand years
_SATURDAY = 5
_HOLIDAYS = "(holidays not taken into account)"
_WRITTEN = re.compile(
    r"(\d{4})(?:-|/|\.|년)\s?(\d{1,2})(?:-|/|\.|월)\s?(\d{1,2})(?:\.|일)?(?:[T ]\d{2}:\d{2}.*)?"
)
_NAMED = {
    "now": 0, "today": 0, "tomorrow": 1, "yesterday": -1,
    "지금": 0, "오늘": 0, "내일": 1, "모레": 2, "어제": -1, "그제": -2,
}  # fmt: skip


def now() -> datetime:
    """Return the present time in the machine's zone."""
    return datetime.now(UTC).astimezone()


def clock(present: Callable[[], datetime] = now) -> StructuredTool:
    """Make the tool.

    Args:
        present: returns the time now, with its zone; a test gives a fixed one.
    """

    @tool("clock")
    def look(
        day: Annotated[str, Field(description="a date as YYYY-MM-DD; empty: today")] = "",
        add_days: Annotated[int, Field(description="days to add to it, or to go back")] = 0,
        add_working_days: Annotated[
            int, Field(description="days from Monday to Friday to add, or to go back")
        ] = 0,
        until: Annotated[str, Field(description="count the days to this date, YYYY-MM-DD")] = "",
        zone: Annotated[str, Field(description="time zone, such as Asia/Seoul")] = "",
    ) -> str:
        """Tell the date, weekday and time now, add days to a date, or count days between dates."""
        time = _in_zone(present(), zone.strip())
        today = time.date()
        begin = _date(day, today)
        lines = [] if day.strip() else [f"Now: {shown(begin)}, {time:%H:%M} {time.tzname()}"]
        if day.strip() and not (until.strip() or add_days or add_working_days):
            lines.append(shown(begin))
        if add_days:
            lines.append(f"{begin} {add_days:+d} days = {shown(_shift(begin, add_days))}")
        if add_working_days:
            end = _shift_working(begin, add_working_days)
            lines.append(f"{begin} {add_working_days:+d} working days = {shown(end)} {_HOLIDAYS}")
        if until.strip():
            end = _date(until, today)
            lines.append(
                f"From {shown(begin)} to {shown(end)}: {(end - begin).days} days, of which "
                f"{working_days(begin, end)} are Monday to Friday (the last day not counted)"
            )
        return "\n".join(lines)

    assert isinstance(look, StructuredTool)
    return with_risk(look, "compute")


def shown(day: date) -> str:
    """Write a date with its weekday in both languages."""
    english, korean = WEEKDAYS[day.weekday()]
    return f"{day.isoformat()} ({english}, {korean})"


def working_days(begin: date, end: date) -> int:
    """Count the days from Monday to Friday in `begin <= day < end`; backwards, below zero."""
    if end < begin:
        return -working_days(end, begin)
    weeks, rest = divmod((end - begin).days, 7)
    first = begin.weekday()
    return weeks * 5 + sum((first + step) % 7 < _SATURDAY for step in range(rest))


def _shift(day: date, days: int) -> date:
    if abs(days) > _FURTHEST:
        raise ToolException(f"More than {_FURTHEST:,} days are too many to add.")
    try:
        return day + timedelta(days=days)
    except OverflowError as error:
        raise ToolException(f"{day} {days:+d} days is outside the calendar.") from error


def _shift_working(day: date, days: int) -> date:
    # Whole weeks first; from a Saturday or Sunday the count begins on the Friday or Monday.
    step = 1 if days > 0 else -1
    while day.weekday() >= _SATURDAY:
        day = _shift(day, -step)
    weeks, rest = divmod(abs(days), _SATURDAY)
    day = _shift(day, step * weeks * 7)
    while rest:
        day = _shift(day, step)
        rest -= day.weekday() < _SATURDAY
    return day


def _date(text: str, today: date) -> date:
    text = text.strip()
    if not text:
        return today
    if text.casefold() in _NAMED:
        return _shift(today, _NAMED[text.casefold()])
    found = _WRITTEN.fullmatch(text)
    try:
        if found is None:
            raise ValueError("unknown form")
        year, month, day = (int(part) for part in found.groups())
        return date(year, month, day)
    except ValueError as error:
        raise ToolException(f"{text[:40]!r} is no date; write it as YYYY-MM-DD.") from error


def _in_zone(time: datetime, zone: str) -> datetime:
    if not zone:
        return time
    found = _zones().get(zone.casefold().replace(" ", "_"))
    if found is None:
        raise ToolException(f"There is no time zone {zone[:40]!r}; write it like Asia/Seoul.")
    return time.astimezone(ZoneInfo(found))


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    """Return the time zones by name and, where no other is called so, by city."""
    names = available_timezones()
    cities = Counter(name.rpartition("/")[2].casefold() for name in names)
    found = {name.rpartition("/")[2].casefold(): name for name in sorted(names)}
    unique = {city: name for city, name in found.items() if cities[city] == 1}
    return unique | {name.casefold(): name for name in names}
