"""The benchmark of the server: its client reads right, and its parts run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.serving import overhead, soak, throughput
from bench.serving.client import Reader, Stream, connected, post
from bench.serving.processes import Process, groundling

FRAMES = (
    b'event: metadata\ndata: {"run_id":1}\n\n'
    b": heartbeat\n\n"
    b"event: values\r\ndata: {}\r\nid: 3\r\n\r\n"
    b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(FRAMES)), max_size=20))
def test_events_are_read_however_they_are_cut(cuts: list[int]) -> None:
    answer = Stream(started=0.0)
    reader = Reader(answer)
    places = [0, *sorted(cuts), len(FRAMES)]
    for n, (start, end) in enumerate(pairwise(places)):
        reader.feed(FRAMES[start:end], float(n))
    assert [(name, data) for name, data, _ in answer.events] == [
        ("metadata", b'{"run_id":1}'),
        ("values", b"{}"),
        ("", b"[DONE]"),
    ]
    times = [when for _, _, when in answer.events]
    assert times == sorted(times)
    assert answer.first("values") == times[1]
    assert answer.wall == times[2]


def test_an_event_that_never_came_is_told() -> None:
    with pytest.raises(RuntimeError, match="No event"):
        Stream(started=0.0, events=[("error", b"{}", 1.0)]).first("values")


def test_overhead_is_measured_beside_the_graph_in_process() -> None:
    (table,) = overhead.measure(2)
    assert [row[0] for row in table.rows] == [
        "the graph in process",
        "over HTTP, stateless",
        "over HTTP, on a thread",
    ]
    figures = [cell for row in table.rows for cell in row[1:]]
    assert all(isinstance(cell, float) and math.isfinite(cell) for cell in figures)
    assert table.rows[0][-1] == 0.0


def test_without_langgraph_dev_its_ratio_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def missing() -> Iterator[None]:
        yield None

    monkeypatch.setattr(throughput, "langgraph_dev", missing)
    (table,) = throughput.measure(0.5, 1, lambda _: None)
    assert {row[0] for row in table.rows} == {"groundling serve"}
    assert all(row[3] is None and row[2] for row in table.rows)
    assert "uv sync --locked --group reference" in table.notes[0]


def test_a_lost_answer_is_found() -> None:
    with groundling() as server:
        thread = asyncio.run(_talk(server))
        book = soak.Book(answers={thread: ["word0 "]})
        assert asyncio.run(soak._missing(server, book)) == [thread]
        said = asyncio.run(_answer(server, thread))
        book = soak.Book(answers={thread: [said]})
        assert asyncio.run(soak._missing(server, book)) == []


async def _talk(server: Process) -> str:
    async with connected(server.address) as session:
        thread = (await post(session, "/threads", {}))["thread_id"]
        body = {"assistant_id": "chat", "input": {"question": "Hello?"}}
        await post(session, f"/threads/{thread}/runs/wait", body)
        return str(thread)


async def _answer(server: Process, thread: str) -> str:
    async with (
        connected(server.address) as session,
        session.get(f"/threads/{thread}/state") as response,
    ):
        return str((await response.json())["values"]["answer"])
