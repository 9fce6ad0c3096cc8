"""What a run tells reaches each listener once, in order; what nobody keeps stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.server.problems import Problem
from groundling.server.runs import log as log_module
from groundling.server.runs.book import Book
from groundling.server.runs.log import MOST, Log, place_of
from groundling.server.runs.request import Event


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book.open(tmp_path / "server.sqlite")
    yield book
    book.close()


async def heard(log: Log, after: int | None = None) -> list[Event]:
    return [event async for event in log.follow(after)]


async def test_who_comes_first_hears_all():
    log = Log(uuid4(), None)
    log.add("metadata", {})
    log.add("values", {"n": 1})
    listening = asyncio.ensure_future(heard(log))
    await asyncio.sleep(0)
    log.add("values", {"n": 2})
    log.end()
    assert [(e.id, e.event) for e in await listening] == [
        ("1", "metadata"), ("2", "values"), ("3", "values"),
    ]  # fmt: skip


async def test_who_comes_late_hears_metadata_and_what_comes():
    log = Log(uuid4(), None)
    first = asyncio.ensure_future(heard(log))
    for n in range(3):
        log.add("values" if n else "metadata", n)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    log.add("values", 3)  # what the first has heard is gone
    late = asyncio.ensure_future(heard(log))
    await asyncio.sleep(0)
    log.add("values", 4)
    log.end()
    assert [event.data for event in await first] == [0, 1, 2, 3, 4]
    assert [event.data for event in await late] == [0, 4]


async def test_a_slow_listener_is_waited_for_and_then_left_behind(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(log_module, "PATIENCE", 0.05)
    log = Log(uuid4(), None)
    slow = log.follow(None)
    log.add("metadata", {})
    assert (await anext(slow)).event == "metadata"
    for n in range(3 * MOST):
        log.add("values", n)
        await log.room()
        assert len(log._events) <= MOST
    log.end()
    heard = [event async for event in slow]
    assert heard[-1].event == "error"
    assert heard[-1].data["error"] == "TooSlow"
    assert len(heard) < 3 * MOST


async def test_a_run_that_nobody_listens_to_stays_small():
    log = Log(uuid4(), None)
    log.awaited = False
    for n in range(3 * MOST):
        log.add("values", n)
        await log.room()
    assert len(log._events) <= MOST


async def test_a_resumable_run_waits_for_nobody(book: Book):
    log = Log(uuid4(), book)
    slow = log.follow(None)
    log.add("metadata", 0)
    await anext(slow)
    for n in range(1, 4 * MOST):
        log.add("values", n)
        await log.room()
        assert len(log._events) <= MOST
    log.end()
    assert [event.data async for event in slow] == list(range(1, 4 * MOST))
    assert [event.data for event in await heard(log, 2 * MOST)] == list(range(2 * MOST, 4 * MOST))


@given(
    bursts=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    joins=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2400)), max_size=4),
)
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_whoever_joins_whenever_misses_nothing_and_hears_nothing_twice(
    book: Book, bursts: list[int], joins: list[tuple[int, int]]
):
    async def play() -> None:
        log = Log(uuid4(), book)
        listening: list[tuple[int, asyncio.Task[list[Event]]]] = []
        told = 0
        for n, burst in enumerate(bursts):
            for when, after in joins:
                if when == n:
                    after = min(after, told)
                    listening.append((after, asyncio.ensure_future(heard(log, after))))
            for _ in range(burst):
                told += 1
                log.add("values", told)
                if told % 7 == 0:
                    await log.room()
                    await asyncio.sleep(0)
        log.end()
        for after, task in listening:
            assert [event.data for event in await task] == list(range(after + 1, told + 1))
        again = Log(log_run(log), book, told + 1)  # as after a new start
        again.ended = True
        assert [event.data for event in await heard(again, 0)] == list(range(1, told + 1))

    asyncio.run(play())


def log_run(log: Log):
    from uuid import UUID

    return UUID(log._run_id)


@pytest.mark.parametrize("after", ["", "x", "-1", "1.5", "٣", "9" * 40, "1 OR 1=1"])
def test_an_id_that_no_event_has_is_refused(after: str):
    with pytest.raises(Problem) as told:
        place_of(after)
    assert told.value.status == 422


def test_none_is_from_the_beginning():
    assert place_of(None) is None
    assert place_of("17") == 17


async def test_data_is_made_where_it_is_read_and_once():
    log, made = Log(uuid4(), None), []
    for n in range(3):
        log.add("values", lambda n=n: made.append(n) or {"n": n})
    assert made == []
    log.end()
    assert [event.data for event in await heard(log, 1)] == [{"n": 1}, {"n": 2}]
    assert [event.data for event in await heard(log)] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert made == [1, 2, 0]
