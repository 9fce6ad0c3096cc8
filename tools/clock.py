"""`clock`: what day and time it is, and reckoning with dates; models have no clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
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
        until: Annotated[str, Field(description="count the days to this date, YYYY-MM-DD")] = "",
        zone: Annotated[str, Field(description="time zone, such as Asia/Seoul")] = "",
    ) -> str:
        """Tell the date, weekday and time now, add days to a date, or count days between dates."""
        time = _in_zone(present(), zone.strip())
        begin = _date(day) if day.strip() else time.date()
        lines = [] if day.strip() else [f"Now: {shown(begin)}, {time:%H:%M} {time.tzname()}"]
        if day.strip() and not until.strip() and not add_days:
            lines.append(shown(begin))
        if add_days:
            lines.append(f"{begin} {add_days:+d} days = {shown(_shift(begin, add_days))}")
        if until.strip():
            end = _date(until)
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
        raise ToolException(f"{days} days are too many to add.")
    try:
        return day + timedelta(days=days)
    except OverflowError as error:
        raise ToolException(f"{day} {days:+d} days is outside the calendar.") from error


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip().replace("/", "-").replace(".", "-").rstrip("-"))
    except ValueError as error:
        raise ToolException(f"{text!r} is no date; write it as YYYY-MM-DD.") from error


def _in_zone(time: datetime, zone: str) -> datetime:
    if not zone:
        return time
    if zone not in available_timezones():
        raise ToolException(f"There is no time zone {zone!r}; write it like Asia/Seoul.")
    return time.astimezone(ZoneInfo(zone))
