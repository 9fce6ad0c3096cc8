"""What a server that was killed has left is taken up by the next one."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from groundling.graphs import registry
from groundling.server.person import Person
from groundling.server.problems import Problem
from groundling.server.runs import recovery, run_rows
from groundling.server.services import Services
from tests.scripted import ScriptedChat
from tests.server.runs import slow
from tests.server.runs.conftest import ANN, counting, opened, told, until, uuid
from tests.server.runs.test_withholding import asked, policy

ROOT = Path(__file__).parents[3]


def killed() -> dict[str, UUID]:
    """Have a process begin runs, and kill it in the middle of them; return their ids."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.runs.left_behind"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
    return {name: UUID(id) for name, id in json.loads(said).items()}


def go(*names: str) -> None:
    """Let runs of the slow graph go on."""
    for name in names:
        slow.gates[name] = asyncio.Event()
        slow.gates[name].set()


async def test_what_a_killed_server_left_goes_on_or_is_marked(scripted: ScriptedChat):
    ids = killed()
    go("background", "exit", "stateless", "streamed")
    async with opened(scripted, guard={"enabled": False}) as services:
        runs = services.runs

        async def trail(name: str) -> list[str]:
            values = await runs.wait(ids[name], ANN)
            assert (await runs.get(ids[name], ANN)).status == "success"
            return list(values["trail"])

        assert await trail("background") == ["background 1", "background 2"]
        assert await trail("exit") == ["exit 1", "exit 2"]
        assert await trail("stateless") == ["stateless 1", "stateless 2"]
        # In line behind another of its thread when the server was killed.
        assert (await trail("second"))[2:] == ["second 1", "second 2"]
        # One went on after its first step; those that had written nothing began again.
        assert sorted(slow.began) == ["exit", "second", "stateless"]
        assert (await runs.threads.get("background", ANN))["status"] == "idle"

        run = await runs.get(ids["streamed"], ANN)
        assert run.status == "error"
        said = await runs.wait(ids["streamed"], ANN)
        assert said["__error__"]["message"] == "The server ended during this run."
        thread = await runs.threads.get("streamed", ANN)
        assert (thread["status"], thread["error"]["error"]) == ("error", "ServerEnding")
        events = await told(services, run, ANN)
        assert [event.event for event in events] == ["metadata", "values", "values"]
        # What it had done is there, and can be gone on from.
        assert (await runs.threads.state("streamed", ANN))["next"] == ["second"]
        again = await runs.start(counting(ANN, thread="streamed", input=None))
        values = await runs.wait(uuid(again), ANN)
        assert values["trail"] == ["streamed 1", "streamed 2"]


@pytest.mark.parametrize("attempts", [2, 3])
async def test_after_three_attempts_it_is_given_up(scripted: ScriptedChat, attempts: int):
    request = counting(ANN, wait=True, background=True)
    async with opened(scripted, guard={"enabled": False}) as services:
        await services.runs.start(request)
        await until(lambda: "a" in slow.gates)
    with sqlite3.connect(services.settings.server_path) as db:
        db.execute("UPDATE runs SET status = 'running', attempts = 1 + ?", (attempts,))
    db.close()
    go("a")
    async with opened(scripted, guard={"enabled": False}) as services:
        said = await services.runs.wait(request.run_id, ANN)
        if attempts < recovery.ATTEMPTS:
            assert said["trail"] == ["a 1", "a 2"]
        else:
            assert "3 times" in said["__error__"]["message"]
            assert (await services.runs.threads.get("t", ANN))["status"] == "error"


async def test_ends_in_order_are_no_attempts(scripted: ScriptedChat):
    request = counting(ANN, wait=True, background=True)
    for n in range(5):
        async with opened(scripted, guard={"enabled": False}) as services:
            if n == 0:
                await services.runs.start(request)
            await until(lambda: "a" in slow.gates)
        slow.gates.clear()
    go("a")
    async with opened(scripted, guard={"enabled": False}) as services:
        assert (await services.runs.wait(request.run_id, ANN))["trail"] == ["a 1", "a 2"]


async def test_a_server_that_ends_in_order_leaves_background_runs_to_the_next(
    scripted: ScriptedChat,
):
    request = counting(ANN, wait=True, background=True, resumable=True)
    async with opened(scripted, guard={"enabled": False}) as services:
        run = await services.runs.start(request)
        await until(lambda: "a" in slow.gates)
        listening = asyncio.ensure_future(told(services, run, ANN))
        await asyncio.sleep(0.01)
    assert (await listening)[-1].data["error"] == "ServerEnding"
    go("a")
    async with opened(scripted, guard={"enabled": False}) as services:
        assert (await services.runs.wait(request.run_id, ANN))["trail"] == ["a 1", "a 2"]
        events = await told(services, run, ANN)
        attempts = [event.data["attempt"] for event in events if event.event == "metadata"]
        assert attempts == [1, 2]
        places = [int(event.id) for event in events]
        assert places == list(range(1, len(events) + 1))


async def test_one_whose_graph_is_gone_is_marked(
    scripted: ScriptedChat, monkeypatch: pytest.MonkeyPatch
):
    request = counting(ANN, wait=True, background=True)
    async with opened(scripted, guard={"enabled": False}) as services:
        await services.runs.start(request)
        await until(lambda: "a" in slow.gates)
    monkeypatch.delitem(registry.GRAPHS, "slow")
    async with opened(scripted, guard={"enabled": False}) as services:
        said = await services.runs.wait(request.run_id, ANN)
        assert said["__error__"]["error"] == "UnknownGraph"


async def test_what_is_old_is_forgotten(services: Services):
    request = counting(ANN, resumable=True)
    await services.runs.wait(uuid(await services.runs.start(request)), ANN)
    services.runs._recent.clear()
    gone = await services.runs._book.do(
        lambda db: run_rows.delete_before(db, "9999-01-01T00:00:00")
    )
    assert gone == 1
    with pytest.raises(Problem):
        await services.runs.get(request.run_id, ANN)
    left = await services.runs._book.do(
        lambda db: db.execute("SELECT count(*) FROM events").fetchone()[0]
    )
    assert left == 0


def test_a_request_is_read_as_it_was_written():
    request = counting(
        ANN, interrupt_before=("first",), interrupt_after="*", background=True,
        command=None, metadata={"m": [1, "é"]}, after_seconds=1.5,
    )  # fmt: skip
    again = recovery.read(recovery.saved(request))
    assert vars(again) | {"person": None} == vars(request) | {"person": None}
    assert (again.person.id, again.person.role) == ("ann", ANN.role)


async def test_a_damaged_thread_keeps_no_server_from_starting(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person
):
    allowing = {"guard": {"policy": policy(tmp_path, "allow")}}
    async with opened(scripted, **allowing) as services:
        scripted.enqueue("A harmless answer.")
        run = await services.runs.start(asked(local))
        await services.runs.wait(uuid(run), local)
    with sqlite3.connect(services.settings.state_path) as db:
        db.execute("UPDATE checkpoints SET checkpoint = x'c1c1'")
    db.close()
    with sqlite3.connect(services.settings.server_path) as db:
        db.execute("UPDATE threads SET status = 'busy'")  # as a server that was killed leaves it
    db.close()
    async with opened(scripted, **allowing) as services:
        assert (await services.runs.threads.get("t1", local))["status"] == "error"
