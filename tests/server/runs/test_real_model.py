"""A client that goes away stops the real engine within one token."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from groundling.models import engines
from groundling.server.person import Person
from groundling.server.runs.request import RunRequest
from tests.server.runs.conftest import opened, until

pytestmark = pytest.mark.model


@pytest.mark.parametrize("thread", [None, "t"])
async def test_generation_stops_within_one_token(
    home_with_models: Path, local: Person, thread: str | None
):
    engines.close_engines()  # of tests before: the one that is counted is then the only one
    model = {"name": "smollm2-135m", "isolated": False, "max_tokens": 600, "temperature": 0.0}
    async with opened(None, model=model, guard={"enabled": False}) as services:
        request = RunRequest(
            local, "chat", {"question": "Count from one to a thousand, in words."},
            thread_id=thread, if_not_exists="create", stream_mode=("messages-tuple",),
        )  # fmt: skip
        await services.runs.start(request)
        events = cast("Any", services.runs.events(request.run_id, local))
        heard = 0
        async with aclosing(events):
            async for event in events:
                heard += event.event == "messages"
                if heard == 12:
                    break
        [engine] = engines.shared()
        at = engine.totals.passes
        await until(lambda: not services.runs._active)
        await asyncio.sleep(0.3)
        # The token that was being computed, and one more that its stream had begun.
        assert engine.totals.passes - at <= 2
        run = await services.runs.get(request.run_id, local)
        assert run.status == "interrupted"
        # The engine is free for the next one.
        again = RunRequest(local, "chat", {"question": "Say hi."}, wishes=request.wishes)
        await services.runs.start(again)
        assert "answer" in await services.runs.wait(again.run_id, local)
