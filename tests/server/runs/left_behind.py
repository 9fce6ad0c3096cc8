"""A server's services in a process of its own, to be killed in the middle of runs.

    python -m tests.server.runs.left_behind

It prints the ids of its runs as JSON when each is in its second step, and waits to be killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from groundling.graphs import registry
from tests.scripted import ScriptedChat
from tests.server.runs import slow
from tests.server.runs.conftest import ANN, counting, opened, until

KINDS: dict[str, dict[str, Any]] = {
    "background": {"background": True},
    "exit": {"background": True, "durability": "exit"},
    "stateless": {"background": True, "thread": None},
    "streamed": {"resumable": True},
}


async def main() -> None:
    registry.GRAPHS["slow"] = "Counts."
    sys.modules["groundling.graphs.slow"] = slow
    async with opened(ScriptedChat(), guard={"enabled": False}) as services:
        ids = {}
        for name, kind in KINDS.items():
            request = counting(ANN, name, wait=True, **{"thread": name, **kind})
            ids[name] = (await services.runs.start(request)).run_id
        await until(lambda: len(slow.gates) == len(KINDS))
        second = counting(ANN, "second", thread="background", background=True)
        ids["second"] = (await services.runs.start(second)).run_id
        await asyncio.sleep(0.3)  # checkpoints and events are written beside
        print(json.dumps(ids), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
