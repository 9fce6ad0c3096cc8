"""Several answers as one stream, and how it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from groundling.server.openai.streams import together


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_is_not_lost_with_a_piece_that_comes_at_once(turns: int):
    more: asyncio.Queue[str] = asyncio.Queue()
    left = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        try:
            while True:
                yield await more.get()
        finally:
            left.set()

    async def read() -> None:
        async for _ in together([source()]):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    more.put_nowait("word")
    for _ in range(turns):  # of the event loop, on the word's way
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading}, timeout=2)
    assert reading.cancelled()
    assert left.is_set()
