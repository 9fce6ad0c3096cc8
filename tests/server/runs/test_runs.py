"""Runs begin, follow one another, are listened to, stopped and undone."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast
from uuid import uuid4

import pytest

from groundling.errors import KnowledgeError
from groundling.server.problems import Problem
from groundling.server.runs.request import RunRequest
from groundling.server.services import Services
from tests.scripted import ScriptedChat
from tests.server.runs import slow
from tests.server.runs.conftest import ANN, BOB, counting, opened, told, until, uuid


async def ended(services: Services, request: RunRequest) -> Any:
    run = await services.runs.start(request)
    return await services.runs.wait(uuid(run), request.person)


async def waiting(services: Services, name: str = "a", **more: Any) -> RunRequest:
    """Begin a run that waits in its second step."""
    request = counting(ANN, name, wait=True, **more)
    await services.runs.start(request)
    await until(lambda: name in slow.gates)
    return request


async def test_a_run_tells_and_gives_its_values(services: Services):
    request = counting(ANN)
    run = await services.runs.start(request)
    assert (run.status, run.owner, run.thread_id) == ("pending", "ann", "t")
    events = await told(services, run, ANN)
    assert [event.event for event in events] == ["metadata"] + ["values"] * 3
    assert events[0].data == {"run_id": run.run_id, "attempt": 1}
    assert events[-1].data["trail"] == ["a 1", "a 2"]
    assert await services.runs.wait(request.run_id, ANN) == events[-1].data
    assert (await services.runs.get(request.run_id, ANN)).status == "success"
    [listed] = await services.runs.list("t", ANN)
    assert (listed.run_id, listed.status) == (run.run_id, "success")


async def test_a_run_can_be_asked_for_after_it_has_left_memory(services: Services):
    request = counting(ANN)
    values = await ended(services, request)
    services.runs._recent.clear()
    assert await services.runs.wait(request.run_id, ANN) == values
    run = await services.runs.get(request.run_id, ANN)
    assert run.status == "success"
    assert [event.event for event in await told(services, run, ANN)] == ["metadata"]


async def test_a_failure_is_told_and_kept(services: Services):
    request = counting(ANN, fail="/home/ann/secret.txt cannot be read")
    run = await services.runs.start(request)
    last = (await told(services, run, ANN))[-1]
    assert last.event == "error"
    assert last.data == {"error": "ValueError", "message": "(a file) cannot be read"}
    services.runs._recent.clear()
    assert await services.runs.wait(request.run_id, ANN) == {"__error__": last.data}
    thread = await services.runs.threads.get("t", ANN)
    assert (thread["status"], thread["error"]) == ("error", last.data)
    assert (await ended(services, counting(ANN, "b", fail="")))["trail"][-1] == "b 2"
    assert (await services.runs.threads.get("t", ANN))["error"] is None


async def test_a_failure_does_not_tell_where_the_home_folder_lies(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    home = services.settings.home

    async def damaged(_: slow.State) -> slow.State:
        raise KnowledgeError(f"{home}/knowledge/x is damaged.", hint=f"Look into {home}.")

    monkeypatch.setattr(slow, "second", damaged)
    request = counting(ANN)
    run = await services.runs.start(request)
    failure = {
        "error": "KnowledgeError",
        "message": "knowledge/x is damaged.",
        "hint": "Look into the home folder.",
    }
    assert (await told(services, run, ANN))[-1].data == failure
    assert await services.runs.wait(request.run_id, ANN) == {"__error__": failure}
    assert (await services.runs.threads.get("t", ANN))["error"] == failure


async def test_runs_of_a_thread_follow_one_another(services: Services):
    first = await waiting(services)
    later = counting(ANN, "b")
    await services.runs.start(later)
    other = counting(ANN, "c", thread="another")
    assert (await ended(services, other))["trail"] == ["c 1", "c 2"]
    assert slow.began == ["a", "c"]
    assert (await services.runs.get(later.run_id, ANN)).status == "pending"
    assert (await services.runs.threads.get("t", ANN))["status"] == "busy"
    slow.gates["a"].set()
    values = await services.runs.wait(later.run_id, ANN)
    assert values["trail"] == ["a 1", "a 2", "b 1", "b 2"]
    assert (await services.runs.get(first.run_id, ANN)).status == "success"


async def test_a_second_run_may_be_refused(services: Services):
    first = await waiting(services)
    with pytest.raises(Problem) as told_:
        await services.runs.start(counting(ANN, "b", multitask="reject"))
    assert told_.value.status == 409
    slow.gates["a"].set()
    await services.runs.wait(first.run_id, ANN)


async def test_a_second_run_may_stop_the_first_and_keep_what_it_did(services: Services):
    first = await waiting(services)
    values = await ended(services, counting(ANN, "b", multitask="interrupt", wait=False))
    assert values["trail"] == ["a 1", "b 1", "b 2"]
    assert (await services.runs.get(first.run_id, ANN)).status == "interrupted"


async def test_a_second_run_may_undo_the_first(services: Services):
    await ended(services, counting(ANN, "z"))
    first = await waiting(services)
    values = await ended(services, counting(ANN, "b", multitask="rollback", wait=False))
    assert values["trail"] == ["z 1", "z 2", "b 1", "b 2"]
    with pytest.raises(Problem) as told_:
        await services.runs.get(first.run_id, ANN)
    assert told_.value.status == 404


@pytest.mark.parametrize("durability", ["async", "exit", "sync"])
async def test_cancelling_keeps_or_undoes(services: Services, durability: str):
    kept = await waiting(services, durability=durability)
    await services.runs.cancel(kept.run_id, ANN)
    assert (await services.runs.get(kept.run_id, ANN)).status == "interrupted"
    state = await services.runs.threads.state("t", ANN)
    assert (state["values"]["trail"], state["next"]) == (["a 1"], ["second"])
    assert (await services.runs.threads.get("t", ANN))["status"] == "interrupted"
    assert (await services.runs.wait(kept.run_id, ANN))["trail"] == ["a 1"]
    slow.gates.clear()
    undone = await waiting(services, "b", durability=durability)
    await services.runs.cancel(undone.run_id, ANN, "rollback")
    state = await services.runs.threads.state("t", ANN)
    assert state["values"]["trail"] == ["a 1"]
    with pytest.raises(Problem) as told_:
        await services.runs.cancel(kept.run_id, ANN)
    assert told_.value.status == 409


async def test_a_run_in_line_can_be_cancelled(services: Services):
    first = await waiting(services)
    second, third = counting(ANN, "b"), counting(ANN, "c")
    await services.runs.start(second)
    await services.runs.start(third)
    await services.runs.cancel(second.run_id, ANN)
    slow.gates["a"].set()
    assert (await services.runs.wait(third.run_id, ANN))["trail"] == [
        "a 1", "a 2", "c 1", "c 2",
    ]  # fmt: skip
    assert (await services.runs.get(first.run_id, ANN)).status == "success"


async def test_who_goes_away_ends_the_run(services: Services):
    request = await waiting(services)
    events = cast("Any", services.runs.events(request.run_id, ANN))
    async with aclosing(events):
        await anext(events)
    await until(lambda: not services.runs._active)
    assert (await services.runs.get(request.run_id, ANN)).status == "interrupted"
    assert services.runs.admission.running == 0


async def test_who_goes_away_ends_no_run_that_goes_on_without_them(services: Services):
    request = await waiting(services, on_disconnect="continue")
    events = cast("Any", services.runs.events(request.run_id, ANN))
    async with aclosing(events):
        await anext(events)
    slow.gates["a"].set()
    assert (await services.runs.wait(request.run_id, ANN))["trail"] == ["a 1", "a 2"]


async def test_a_listener_who_joins_and_leaves_ends_nothing(services: Services):
    request = await waiting(services)
    own = asyncio.ensure_future(told(services, await services.runs.get(request.run_id, ANN), ANN))
    await asyncio.sleep(0.01)
    joined = cast("Any", services.runs.events(request.run_id, ANN))
    async with aclosing(joined):
        assert (await anext(joined)).event == "metadata"
    slow.gates["a"].set()
    assert (await own)[-1].data["trail"] == ["a 1", "a 2"]


async def test_an_interrupt_waits_and_is_resumed(services: Services):
    values = await ended(services, counting(ANN, ask=True))
    [asked] = values["__interrupt__"]
    assert asked["value"] == "may I?"
    thread = await services.runs.threads.get("t", ANN)
    assert thread["status"] == "interrupted"
    [[told_]] = thread["interrupts"].values()
    assert told_ == {"id": asked["id"], "value": "may I?"}
    values = await ended(services, counting(ANN, input=None, command={"resume": "yes"}))
    assert values["trail"] == ["a 1", "yes"]
    thread = await services.runs.threads.get("t", ANN)
    assert (thread["status"], thread["interrupts"]) == ("idle", {})


async def test_nothing_is_kept_of_a_run_without_a_thread(services: Services):
    request = counting(ANN, thread=None)
    values = await ended(services, request)
    assert values["trail"] == ["a 1", "a 2"]
    run = await services.runs.get(request.run_id, ANN)
    assert run.temporary
    with pytest.raises(Problem):
        await services.runs.threads.get(run.thread_id, ANN)
    assert await services.runs.threads.search(ANN) == []
    assert await services.threads.list() == []


async def test_events_of_a_resumable_run_are_replayed(services: Services):
    request = counting(ANN, resumable=True)
    run = await services.runs.start(request)
    events = await told(services, run, ANN)
    assert await told(services, run, ANN) == events
    assert await told(services, run, ANN, after=events[1].id) == events[2:]
    services.runs._recent.clear()
    assert await told(services, run, ANN) == events
    assert await told(services, run, ANN, after=events[1].id) == events[2:]
    for after in ("99", "x"):
        with pytest.raises(Problem) as told_:
            await told(services, run, ANN, after=after)
        assert told_.value.status == 422


async def test_as_many_run_as_may_and_the_rest_is_told_so(scripted: ScriptedChat):
    async with opened(
        scripted, guard={"enabled": False}, server={"runs": 1, "queue": 2, "per_person": 2}
    ) as services:
        await waiting(services, thread="1")
        await services.runs.start(counting(ANN, "b", thread="2"))
        with pytest.raises(Problem) as told_:
            await services.runs.start(counting(ANN, "c", thread="3"))
        assert told_.value.status == 429
        assert "Retry-After" in told_.value.headers
        await services.runs.start(counting(BOB, "d", thread="4"))
        assert (services.runs.admission.running, services.runs.admission.waiting) == (1, 2)
        slow.gates["a"].set()
        await until(lambda: not services.runs._active)
        assert slow.began == ["a", "b", "d"]


async def test_a_later_run_begins_later(services: Services):
    request = counting(ANN, after_seconds=0.2)
    run = await services.runs.start(request)
    await asyncio.sleep(0.05)
    assert run.status == "pending"
    assert slow.began == []
    assert (await services.runs.wait(request.run_id, ANN))["trail"] == ["a 1", "a 2"]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"stream_mode": ("telepathy",)}, 422),
        ({"input": "text"}, 422),
        ({"input": None}, 422),
        ({"input": None, "command": {"resume": 1}}, 422),
        ({"input": None, "command": {"goto": "nowhere"}}, 422),
        ({"input": None, "command": {"goto": 3}}, 422),
        ({"input": None, "command": {"update": "x"}}, 422),
        ({"input": None, "command": {"update": {"no such channel": 1}}}, 422),
        ({"input": None, "command": {"update": {"branch:to:second": 1}}}, 422),
        ({"input": None, "command": {"graph": "__parent__"}}, 422),
        ({"interrupt_before": ("nowhere",)}, 422),
        ({"checkpoint": {"checkpoint_id": str(uuid4())}}, 404),
        ({"checkpoint": {"checkpoint_id": "' OR 1=1"}}, 404),
        ({"if_not_exists": "reject"}, 404),
        ({"after_seconds": -1}, 422),
        ({"after_seconds": float("nan")}, 422),
        ({"thread": None, "checkpoint": {"checkpoint_id": "x"}}, 422),
        ({"thread": None, "input": None}, 422),
    ],
)
async def test_what_cannot_be_done_is_refused_before_it_begins(
    services: Services, wrong: dict[str, Any], status: int
):
    with pytest.raises(Problem) as told_:
        await services.runs.start(counting(ANN, **wrong))
    assert told_.value.status == status
    assert slow.began == []
    assert (services.runs.admission.running, services.runs.admission.waiting) == (0, 0)


async def test_a_thread_that_waits_for_nothing_cannot_be_resumed(services: Services):
    await ended(services, counting(ANN))
    with pytest.raises(Problem) as told_:
        await services.runs.start(counting(ANN, input=None, command={"resume": "yes"}))
    assert told_.value.status == 422


async def test_a_run_id_is_used_once(services: Services):
    request = await waiting(services)
    with pytest.raises(Problem) as told_:
        await services.runs.start(counting(ANN, "b", run_id=request.run_id))
    assert told_.value.status == 409
    slow.gates["a"].set()
    await services.runs.wait(request.run_id, ANN)


async def test_a_client_cannot_name_another_thread_in_its_configuration(services: Services):
    await ended(services, counting(BOB, "secret", thread="bobs"))
    stolen = {"configurable": {"thread_id": "bobs", "checkpoint_ns": "x", "__pregel_x": 1}}
    values = await ended(services, counting(ANN, config=stolen))
    assert values["trail"] == ["a 1", "a 2"]
    state = await services.runs.threads.state("bobs", BOB)
    assert state["values"]["trail"] == ["secret 1", "secret 2"]


async def test_another_persons_runs_are_not_there(services: Services):
    request = counting(ANN)
    await ended(services, request)
    runs = services.runs
    for _ in range(2):  # in memory, and then from the file
        for attempt in (
            lambda: runs.get(request.run_id, BOB),
            lambda: runs.wait(request.run_id, BOB),
            lambda: runs.cancel(request.run_id, BOB),
            lambda: runs.delete(request.run_id, BOB),
            lambda: runs.list("t", BOB),
            lambda: anext(cast("Any", runs.events(request.run_id, BOB))),
            lambda: runs.start(counting(BOB)),
            lambda: runs.start(counting(BOB, if_not_exists="create", multitask="rollback")),
        ):
            with pytest.raises(Problem) as told_:
                await attempt()
            assert told_.value.status == 404
        runs._recent.clear()
    assert (await runs.threads.state("t", ANN))["values"]["trail"] == ["a 1", "a 2"]


async def test_a_trace_is_its_persons(services: Services):
    request = counting(ANN)
    await ended(services, request)
    owner = await services.work(services.people.owners.owner, "trace", str(request.run_id))
    assert owner == "ann"


async def test_a_deleted_run_is_gone_and_its_work_stays(services: Services):
    request = counting(ANN, resumable=True)
    await ended(services, request)
    await services.runs.delete(request.run_id, ANN)
    with pytest.raises(Problem):
        await services.runs.get(request.run_id, ANN)
    assert await services.runs.list("t", ANN) == []
    assert (await services.runs.threads.state("t", ANN))["values"]["trail"] == ["a 1", "a 2"]


async def test_at_the_end_listeners_are_told_and_nothing_new_begins(services: Services):
    request = await waiting(services)
    listening = asyncio.ensure_future(
        told(services, await services.runs.get(request.run_id, ANN), ANN)
    )
    await asyncio.sleep(0.01)
    await services.runs.drain(0.05)
    assert (await listening)[-1].data["error"] == "ServerEnding"
    assert (await services.runs.get(request.run_id, ANN)).status == "error"
    with pytest.raises(Problem) as told_:
        await services.runs.start(counting(ANN, "b"))
    assert told_.value.status == 503


async def test_at_the_end_runs_have_time_to_finish(services: Services):
    request = await waiting(services)
    ending = asyncio.ensure_future(services.runs.drain(10))
    await asyncio.sleep(0.01)
    slow.gates["a"].set()
    await ending
    assert (await services.runs.get(request.run_id, ANN)).status == "success"


async def test_the_states_inside_of_earlier_runs_are_thinned_out(services: Services):
    for name in "abc":
        await ended(services, counting(ANN, name))
    await until(lambda: not services.runs._finisher._tidying)
    history = await services.runs.threads.history("t", ANN, limit=100)
    trails = [state["values"].get("trail") for state in history]
    assert trails[0] == ["a 1", "a 2", "b 1", "b 2", "c 1", "c 2"]
    assert ["a 1"] not in trails  # of an earlier run only the last state
    assert ["a 1", "a 2"] in trails
    assert ["a 1", "a 2", "b 1", "b 2", "c 1"] in trails  # of the latest all
    ids = {state["checkpoint"]["checkpoint_id"] for state in history}
    parents = [state["parent_checkpoint"] for state in history]
    assert all(parent["checkpoint_id"] in ids for parent in parents if parent)


async def test_a_run_that_is_cancelled_before_it_begins_gives_up_its_claim(services: Services):
    request = counting(ANN)
    await services.runs.start(request)
    await services.runs.cancel(request.run_id, ANN)  # its task has not had a turn
    assert slow.began == []
    assert (services.runs.admission.running, services.runs.admission.waiting) == (0, 0)
    assert (await ended(services, counting(ANN, "b")))["trail"] == ["b 1", "b 2"]


async def test_a_run_whose_end_fails_says_so(services: Services, monkeypatch: pytest.MonkeyPatch):
    request = await waiting(services, on_disconnect="continue")
    listening = asyncio.ensure_future(
        told(services, await services.runs.get(request.run_id, ANN), ANN)
    )
    await asyncio.sleep(0.01)

    async def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(services.runs._finisher, "_snapshot", full)
    slow.gates["a"].set()
    failure = {"error": "OSError", "message": "No space left on device"}
    assert (await listening)[-1].data == failure
    assert await services.runs.wait(request.run_id, ANN) == {"__error__": failure}
    assert (await services.runs.get(request.run_id, ANN)).status == "error"
