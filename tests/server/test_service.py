"""What the routes share: room for bodies, times and ids as clients write them."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from groundling.server.langsmith.errors import BadPart
from groundling.server.langsmith.service import Room
from groundling.server.langsmith.wire import identity, moment, payload, read_json, shown
from groundling.tracing.payload import MAX_DEPTH


async def test_what_does_not_fit_waits_its_turn() -> None:
    room = Room(10)
    order: list[str] = []
    leave = {name: asyncio.Event() for name in "abcd"}

    async def stay(name: str, size: int) -> None:
        async with room.take(size, 10):
            order.append(name)
            await leave[name].wait()

    tasks = [
        asyncio.create_task(stay(name, size)) for name, size in zip("abc", (6, 6, 4), strict=True)
    ]
    await asyncio.sleep(0)
    assert order == ["a"]  # c would fit, but b came before it
    leave["a"].set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == ["a", "b", "c"]
    leave["b"].set()
    leave["c"].set()
    await asyncio.gather(*tasks)
    async with room.take(10**9, 0.1):  # more than there is counts as all of it
        pass


async def test_who_waits_too_long_is_asked_to_come_again() -> None:
    room = Room(10)
    async with room.take(10, 1):
        with pytest.raises(HTTPException) as refused:
            async with room.take(1, 0.01):
                pass
    assert refused.value.status_code == 503
    assert refused.value.headers == {"Retry-After": "1"}
    async with room.take(10, 0.1):
        pass


async def test_who_gives_up_leaves_nothing_taken() -> None:
    room = Room(10)

    async def stay() -> None:
        async with room.take(10, 10):
            await asyncio.sleep(10)

    for moment_of_cancelling in range(4):
        first = asyncio.create_task(stay())
        second = asyncio.create_task(stay())
        await asyncio.sleep(0)
        first.cancel()
        for _ in range(moment_of_cancelling):
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        async with room.take(10, 0.1):
            pass


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01.000001+00:00", 1_000_001),
        ("1970-01-01 02:00:01+02:00", 1_000_000),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1969-12-31T23:59:59Z", -1_000_000),
        ("19700101T000001.5Z", 1_500_000),
        (1_700_000_000, 1_700_000_000_000_000),
        (1_700_000_000.5, 1_700_000_000_500_000),
        (1_700_000_000_123, 1_700_000_000_123_000),
        (None, None),
        ("", None),
    ],
)
def test_times_are_read_as_clients_write_them(text: object, read: int | None) -> None:
    assert moment(text) == read


@pytest.mark.parametrize("text", ["noon", True, [], {}, "99999-01-01", 10**30, "2026-13-01"])
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(BadPart, match="no time"):
        moment(text)


@given(st.datetimes())
def test_times_are_written_as_they_are_read(time: object) -> None:
    read = moment(str(time))
    assert moment(shown(read)) == read


@given(st.text() | st.integers() | st.none())
def test_any_id_is_one_or_is_refused(text: object) -> None:
    try:
        found = identity(text)
    except BadPart:
        return
    assert str(found).replace("-", "") in str(text).lower().replace("-", "")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_json_is_stored_as_it_was_sent(value: object) -> None:
    sent = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert read_json(sent) == value
    assert json.loads(payload(sent)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_are_refused(data: bytes) -> None:
    try:
        stored = payload(data)
    except BadPart:
        return
    json.loads(stored)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH + 1, 300, 1000, 100_000])
def test_deep_json_becomes_flat_enough_or_is_refused(depth: int) -> None:
    sent = b'{"a":' * depth + b"1" + b"}" * depth
    try:
        stored = payload(sent)
    except BadPart:
        assert depth > 900
        return
    assert stored.count(b"{") <= MAX_DEPTH + 1
    assert (stored == sent) is (depth < MAX_DEPTH)
