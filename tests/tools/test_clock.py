from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import ToolException

from groundling.tools.clock import clock, shown, working_days
from groundling.tools.risk import risk_of

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))


def ask(**arguments):
    return clock(lambda: NOW).invoke(arguments)


def test_now():
    assert ask() == "Now: 2026-11-26 (Thursday, 목요일), 15:30 UTC"


def test_a_time_zone_can_be_another_day():
    assert ask(zone="Asia/Seoul") == "Now: 2026-11-27 (Friday, 금요일), 00:30 KST"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"day": "2024-02-29"}, "2024-02-29 (Thursday, 목요일)"),
        ({"day": "2024. 2. 29"}, "is no date"),
        ({"day": "2024-02-28", "add_days": 2}, "+2 days = 2024-03-01 (Friday, 금요일)"),
        ({"day": "2024-03-01", "add_days": -1}, "-1 days = 2024-02-29"),
        ({"until": "2026-12-25"}, "29 days, of which 21 are Monday to Friday"),
        ({"day": "2026-02-30"}, "is no date"),
        ({"add_days": 10**9}, "too many"),
        ({"day": "0001-01-02", "add_days": -9}, "outside the calendar"),
        ({"zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"zone": "../etc/passwd"}, "no time zone"),
    ],
)
def test_reckoning_with_dates(arguments, said):
    try:
        answer = ask(**arguments)
    except ToolException as error:
        answer = str(error)
    assert said in answer


@given(DAYS, st.integers(0, 800))
def test_working_days_are_counted_as_by_hand(begin, length):
    end = begin + timedelta(days=length)
    by_hand = sum((begin + timedelta(days=n)).weekday() < 5 for n in range(length))
    assert working_days(begin, end) == by_hand
    assert working_days(end, begin) == -by_hand


@given(DAYS)
def test_a_shown_date_reads_back(day):
    assert ask(day=day.isoformat()) == shown(day)


def test_it_only_computes():
    assert risk_of(clock()) == "compute"
