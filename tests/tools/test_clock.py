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
        ({"day": "2024. 2. 29."}, "2024-02-29 (Thursday, 목요일)"),
        ({"day": "2024년 2월 29일"}, "2024-02-29 (Thursday, 목요일)"),
        ({"day": "2024/2/9"}, "2024-02-09 (Friday, 금요일)"),
        ({"day": "2024-02-29T10:00:00"}, "2024-02-29 (Thursday, 목요일)"),
        ({"day": "tomorrow"}, "2026-11-27 (Friday, 금요일)"),
        ({"day": "어제"}, "2026-11-25 (Wednesday, 수요일)"),
        ({"day": "2024-13-01"}, "is no date"),
        ({"day": "x" * 100_000}, "is no date"),
        ({"day": "2024-02-28\u202e"}, "is no date"),
        ({"add_working_days": 2}, "+2 working days = 2026-11-30 (Monday, 월요일)"),
        ({"day": "2026-11-28", "add_working_days": 1}, "= 2026-11-30 (Monday"),
        ({"day": "2026-11-29", "add_working_days": -1}, "= 2026-11-27 (Friday"),
        ({"day": "2026-11-27", "add_working_days": -10}, "= 2026-11-13 (Friday"),
        ({"add_working_days": 10**9}, "too many"),
        ({"add_days": -(10**4000)}, "too many"),
        ({"zone": "seoul"}, "00:30 KST"),
        ({"zone": "New York"}, "10:30 EST"),
        ({"zone": "Asia"}, "no time zone"),
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


@given(DAYS, st.integers(-400, 400).filter(bool))
def test_working_days_that_are_added_are_counted_back(begin, number):
    said = ask(day=begin.isoformat(), add_working_days=number)
    end = date.fromisoformat(said.partition(" = ")[2][:10])
    assert end.weekday() < 5
    step = 1 if number > 0 else -1
    days = (begin + timedelta(days=step * n) for n in range(1, abs((end - begin).days) + 1))
    assert sum(day.weekday() < 5 for day in days) == abs(number)


@given(DAYS)
def test_a_shown_date_reads_back(day):
    assert ask(day=day.isoformat()) == shown(day)


def test_it_only_computes():
    assert risk_of(clock()) == "compute"
