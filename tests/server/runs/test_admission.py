"""Places are bounded, taken in turn, and never lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.server.problems import Problem
from groundling.server.runs.admission import Admission, Ticket


async def taken(ticket: Ticket) -> asyncio.Task[None]:
    task = asyncio.ensure_future(ticket.take())
    await asyncio.sleep(0)
    return task


async def test_a_place_is_had_at_once_where_one_is_free():
    admission = Admission(2, 0, 2)
    async with admission.place("ann"), admission.place("bob"):
        assert (admission.running, admission.waiting) == (2, 0)
        with pytest.raises(Problem) as told:
            admission.ticket("ann")
        assert told.value.status == 429
        assert int(told.value.headers["Retry-After"]) >= 1
    assert (admission.running, admission.waiting) == (0, 0)


async def test_people_take_turns():
    admission = Admission(1, 100, 100)
    order: list[str] = []

    async def run(person: str, ticket: Ticket) -> None:
        await ticket.take()
        order.append(person)
        await asyncio.sleep(0)
        ticket.release()

    runs = [(person, admission.ticket(person)) for person in ["ann"] * 5 + ["bob"] * 2]
    await asyncio.gather(*(run(person, ticket) for person, ticket in runs))
    assert order == ["ann", "ann", "bob", "ann", "bob", "ann", "ann"]


async def test_who_has_many_places_comes_after_those_who_have_few():
    admission = Admission(4, 100, 2)
    held = [admission.ticket("ann") for _ in range(8)]
    tasks = [await taken(ticket) for ticket in held]
    assert admission.running == 4  # nobody else wanted one
    one = await taken(admission.ticket("bob"))
    held[0].release()
    await asyncio.sleep(0)
    assert one.done()
    for ticket in held:
        ticket.release()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_person_cannot_take_the_whole_queue():
    admission = Admission(1, 10, 3)
    for _ in range(1 + 5):  # a place, and half of the queue
        await taken(admission.ticket("ann"))
    with pytest.raises(Problem):
        admission.ticket("ann")
    waiting = [await taken(admission.ticket(name)) for name in ("bob", "eve", "kim", "lee", "joe")]
    assert len(waiting) == 5
    with pytest.raises(Problem):
        admission.ticket("zoe")


async def test_what_was_promised_is_let_in_though_the_queue_is_full():
    admission = Admission(1, 0, 1)
    await taken(admission.ticket("ann"))
    ticket = admission.ticket("ann", always=True)
    assert admission.waiting == 1
    ticket.release()
    assert admission.waiting == 0


async def test_a_server_that_ends_lets_nobody_in():
    admission = Admission(1, 1, 1)
    admission.close()
    with pytest.raises(Problem) as told:
        admission.ticket("ann")
    assert told.value.status == 503


async def test_a_place_that_is_granted_and_cancelled_at_once_is_given_back():
    admission = Admission(1, 10, 10)
    first, second, third = (admission.ticket("ann") for _ in range(3))
    await first.take()
    waits = await taken(second)
    waits.cancel()
    first.release()  # grants the place to the second, which is being cancelled
    with pytest.raises(asyncio.CancelledError):
        await waits
    await third.take()
    third.release()
    assert (admission.running, admission.waiting) == (0, 0)


Steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "take", "release", "cancel", "rest"]),
        st.sampled_from("abcd"),
        st.integers(0, 30),
    ),
    max_size=60,
)


@given(
    steps=Steps,
    runs=st.integers(1, 4),
    queue=st.integers(0, 8),
    per_person=st.integers(1, 4),
)
def test_bounds_hold_and_no_place_is_lost(
    steps: list[tuple[str, str, int]], runs: int, queue: int, per_person: int
):
    async def play() -> None:
        admission = Admission(runs, queue, per_person)
        tickets: list[Ticket] = []
        tasks: dict[int, asyncio.Task[None]] = {}
        for step, person, number in steps:
            if step == "ask":
                before = admission.running + admission.waiting
                with suppress(Problem):
                    tickets.append(admission.ticket(person))
                refused = admission.running + admission.waiting == before
                assert not refused or before >= runs
            elif step == "rest":
                await asyncio.sleep(0)
            elif tickets:
                n = number % len(tickets)
                if step == "take" and n not in tasks and not tickets[n].released:
                    tasks[n] = asyncio.ensure_future(tickets[n].take())
                elif step == "cancel" and n in tasks:
                    tasks[n].cancel()
                elif step == "release":
                    tickets[n].release()
            assert 0 <= admission.running <= runs
            assert 0 <= admission.waiting <= queue + runs
            queued = Counter(
                one.person for one in tickets
                if one.granted is not None and not one.granted.done() and not one.released
            )  # fmt: skip
            assert admission.running == runs or not queued  # no place is idle
        for ticket in tickets:
            ticket.release()
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert (admission.running, admission.waiting) == (0, 0)
        async with admission.place("z"):
            assert admission.running == 1

    asyncio.run(play())


@given(
    people=st.lists(st.sampled_from("abcde"), min_size=1, max_size=40),
    runs=st.integers(1, 5),
)
def test_nobody_waits_longer_than_a_round(people: list[str], runs: int):
    """Between two places of one person, everyone who waits all the while has had one."""

    async def play() -> list[str]:
        admission = Admission(runs, 1000, 1000)
        order: list[str] = []

        async def run(person: str, ticket: Ticket) -> None:
            await ticket.take()
            order.append(person)
            await asyncio.sleep(0)
            ticket.release()

        tickets = [(person, admission.ticket(person)) for person in people]
        await asyncio.gather(*(run(*each) for each in tickets))
        return order

    order = asyncio.run(play())
    assert Counter(order) == Counter(people)
    queued = order[runs:]  # the first had their places before the others had asked
    for n, person in enumerate(queued):
        if person not in queued[n + 1 :]:
            continue
        again = queued.index(person, n + 1)
        assert set(queued[again + 1 :]) - {person} <= set(queued[n + 1 : again])
