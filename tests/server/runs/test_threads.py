"""Threads are found, looked into, changed and copied by whoever owns them, and by nobody else."""

from __future__ import annotations

import json
import sqlite3
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.memory.threads import thread_config
from groundling.server.person import Person
from groundling.server.problems import Problem
from groundling.server.runs import checkpoints
from groundling.server.runs.checkpoints import Step
from groundling.server.runs.thread_rows import has
from groundling.server.services import Services
from tests.server.runs import slow
from tests.server.runs.conftest import ANN, BOB, counting, until, uuid


async def ran(services: Services, person: Person, name: str = "a", **more: Any) -> Any:
    run = await services.runs.start(counting(person, name, **more))
    return await services.runs.wait(uuid(run), person)


async def test_a_thread_is_made_found_changed_and_deleted(services: Services):
    threads = services.runs.threads
    made = await threads.create(ANN, metadata={"color": "red", "tags": ["x", "y"]})
    id = made["thread_id"]
    assert (made["status"], made["values"], made["interrupts"]) == ("idle", None, {})
    with pytest.raises(Problem) as told:
        await threads.create(ANN, id)
    assert told.value.status == 409
    assert (await threads.create(ANN, id, exist_ok=True))["thread_id"] == id
    changed = await threads.update(id, ANN, {"n": 1})
    assert changed["metadata"] == {"color": "red", "tags": ["x", "y"], "n": 1}
    assert changed["updated_at"] > made["updated_at"]
    for metadata, number in (
        ({"color": "red"}, 1), ({"tags": ["y"]}, 1), ({"color": "blue"}, 0), ({"n": "1"}, 0),
    ):  # fmt: skip
        assert await threads.count(ANN, metadata=metadata) == number
        assert len(await threads.search(ANN, metadata=metadata)) == number
    await threads.delete(id, ANN)
    with pytest.raises(Problem) as told:
        await threads.get(id, ANN)
    assert told.value.status == 404


async def test_lists_are_in_order_and_in_parts(services: Services):
    threads = services.runs.threads
    ids = [(await threads.create(ANN))["thread_id"] for _ in range(5)]
    await threads.update(ids[0], ANN, {})
    found = [one["thread_id"] for one in await threads.search(ANN)]
    assert found == [ids[0], *ids[:0:-1]]
    part = await threads.search(ANN, limit=2, offset=1, sort_by="created_at", sort_order="asc")
    assert [one["thread_id"] for one in part] == ids[1:3]
    assert {one["thread_id"] for one in await threads.search(ANN, ids=ids[:2])} == set(ids[:2])


async def test_threads_of_the_command_line_are_the_local_users(services: Services, local: Person):
    graph = slow.build(None, services.threads.saver)
    await graph.ainvoke({"name": "cli"}, thread_config("12345678"))
    threads = services.runs.threads
    [found] = await threads.search(local)
    assert (found["thread_id"], found["values"]["trail"]) == ("12345678", ["cli 1", "cli 2"])
    assert await threads.search(ANN) == []
    for attempt in (
        lambda: threads.get("12345678", ANN),
        lambda: threads.create(ANN, "12345678"),
        lambda: services.runs.start(counting(ANN, thread="12345678")),
    ):
        with pytest.raises(Problem) as told:
            await attempt()
        assert told.value.status == 404
    await ran(services, local, "b", thread="12345678")
    state = await threads.state("12345678", local)
    assert state["values"]["trail"] == ["cli 1", "cli 2", "b 1", "b 2"]
    assert (await threads.get("12345678", local))["metadata"]["graph_id"] == "slow"


async def test_one_that_is_used_again_by_the_command_line_comes_first(
    services: Services, local: Person
):
    await ran(services, local, "a", thread="old")
    await ran(services, local, "b", thread="new")
    graph = slow.build(None, services.threads.saver)
    await graph.ainvoke({"name": "cli"}, thread_config("old"))
    found = await services.runs.threads.search(local)
    assert [one["thread_id"] for one in found] == ["old", "new"]


async def test_another_persons_thread_is_not_there(services: Services):
    await ran(services, ANN)
    threads = services.runs.threads
    checkpoint = (await threads.state("t", ANN))["checkpoint"]
    for attempt in (
        lambda: threads.get("t", BOB),
        lambda: threads.create(BOB, "t"),
        lambda: threads.create(BOB, "t", exist_ok=True),
        lambda: threads.update("t", BOB, {"x": 1}),
        lambda: threads.delete("t", BOB),
        lambda: threads.copy("t", BOB),
        lambda: threads.state("t", BOB),
        lambda: threads.state("t", BOB, checkpoint=checkpoint),
        lambda: threads.history("t", BOB),
        lambda: threads.update_state("t", BOB, {"name": "x"}),
    ):
        with pytest.raises(Problem) as told:
            await attempt()
        assert told.value.status == 404
        assert told.value.message == "There is no thread t."
    assert await threads.search(BOB) == []
    assert await threads.search(BOB, ids=["t"]) == []
    assert await threads.count(BOB) == 0
    assert (await threads.get("t", ANN))["metadata"].get("x") is None


async def test_another_threads_checkpoint_is_not_there(services: Services):
    await ran(services, ANN)
    await ran(services, BOB, thread="u")
    other = (await services.runs.threads.state("u", BOB))["checkpoint"]
    with pytest.raises(Problem) as told:
        await services.runs.threads.state("t", ANN, checkpoint=other)
    assert told.value.status == 404


async def test_the_state_has_langgraphs_form(services: Services):
    await ran(services, ANN, ask=True)
    state = await services.runs.threads.state("t", ANN)
    [task] = state["tasks"]
    assert (task["name"], task["error"], task["state"]) == ("second", None, None)
    assert task["interrupts"] == state["interrupts"]
    assert state["next"] == ["second"]
    assert state["metadata"]["run_id"]
    assert set(state["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    history = await services.runs.threads.history("t", ANN)
    assert [one["next"] for one in history] == [["second"], ["first"], ["__start__"]]
    assert history[0]["checkpoint"] == state["checkpoint"]
    before = await services.runs.threads.history("t", ANN, before=state["checkpoint"], limit=1)
    assert before == history[1:2]
    found = await services.runs.threads.history("t", ANN, metadata={"source": "input"})
    assert [one["next"] for one in found] == [["__start__"]]


async def test_a_thread_without_a_state(services: Services):
    threads = services.runs.threads
    id = (await threads.create(ANN))["thread_id"]
    state = await threads.state(id, ANN)
    assert (state["values"], state["next"], state["checkpoint"]) == ({}, [], None)
    assert await threads.history(id, ANN) == []
    with pytest.raises(Problem) as told:
        await threads.update_state(id, ANN, {"name": "x"})
    assert told.value.status == 400
    with pytest.raises(Problem) as told:
        await threads.state(id, ANN, checkpoint={"checkpoint_id": str(uuid4())})
    assert told.value.status == 404


async def test_a_state_is_written_as_a_node_would(services: Services):
    await ran(services, ANN)
    threads = services.runs.threads
    written = await threads.update_state("t", ANN, {"trail": ["by hand"]}, as_node="first")
    state = await threads.state("t", ANN)
    assert state["checkpoint"] == written["checkpoint"]
    assert (state["values"]["trail"][-1], state["next"]) == ("by hand", ["second"])
    assert (await threads.get("t", ANN))["status"] == "interrupted"
    values = await ran(services, ANN, input=None)
    assert values["trail"][-2:] == ["by hand", "a 2"]
    for wrong in (
        {"values": {}, "as_node": "nowhere"},
        {"values": {"no such": 1}},
        {"values": [1, 2]},
    ):
        with pytest.raises(Problem) as told:
            await threads.update_state("t", ANN, wrong.pop("values"), **wrong)
        assert told.value.status == 400


async def test_a_run_branches_from_an_earlier_state(services: Services):
    await ran(services, ANN)
    history = await services.runs.threads.history("t", ANN)
    early = next(state["checkpoint"] for state in history if state["next"] == ["second"])
    values = await ran(services, ANN, input=None, checkpoint=early)
    assert values["trail"] == ["a 1", "a 2"]


async def test_a_copy_is_a_thread_of_its_own(services: Services):
    await ran(services, ANN, ask=True)
    threads = services.runs.threads
    copied = (await threads.copy("t", ANN))["thread_id"]
    assert (await threads.get(copied, ANN))["status"] == "interrupted"
    values = await ran(services, ANN, thread=copied, input=None, command={"resume": "yes"})
    assert values["trail"] == ["a 1", "yes"]
    assert (await threads.state("t", ANN))["next"] == ["second"]
    assert len(await threads.history(copied, ANN, limit=50)) > 1


async def test_a_thread_with_a_run_cannot_be_deleted_written_or_copied(services: Services):
    request = counting(ANN, wait=True)
    await services.runs.start(request)
    await until(lambda: "a" in slow.gates)
    threads = services.runs.threads
    for attempt in (
        lambda: threads.delete("t", ANN),
        lambda: threads.update_state("t", ANN, {"name": "x"}),
        lambda: threads.copy("t", ANN),
    ):
        with pytest.raises(Problem) as told:
            await attempt()
        assert told.value.status == 409
    assert await threads.count(ANN) == 1
    await services.runs.cancel(request.run_id, ANN)
    await threads.delete("t", ANN)
    assert await services.threads.list() == []
    with pytest.raises(Problem):
        await services.runs.get(uuid4(), ANN)


async def test_threads_are_found_by_their_values_and_status(services: Services):
    await ran(services, ANN, "a", thread="1")
    await ran(services, ANN, "b", thread="2", ask=True)
    threads = services.runs.threads
    [found] = await threads.search(ANN, values={"name": "b"})
    assert found["thread_id"] == "2"
    [found] = await threads.search(ANN, status="interrupted")
    assert found["thread_id"] == "2"
    assert await threads.count(ANN, values={"name": "b"}, status="idle") == 0


async def test_a_damaged_state_breaks_no_list(services: Services):
    await ran(services, ANN, "a", thread="1")
    await ran(services, ANN, "b", thread="2")
    with sqlite3.connect(services.settings.state_path) as db:
        db.execute("UPDATE checkpoints SET checkpoint = x'c1c1' WHERE thread_id = '1'")
    db.close()
    threads = services.runs.threads
    found = {one["thread_id"]: one["values"] for one in await threads.search(ANN)}
    assert found["1"] is None
    assert found["2"]["name"] == "b"
    with pytest.raises(Problem) as told:
        await threads.state("1", ANN)
    assert told.value.status == 422
    assert "damaged" in told.value.message
    await threads.delete("1", ANN)


async def test_a_thread_whose_graph_is_gone_can_still_be_read(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    from groundling.graphs import registry

    await ran(services, ANN)
    monkeypatch.delitem(registry.GRAPHS, "slow")
    services.graphs.forget()
    state = await services.runs.threads.state("t", ANN)
    assert state["values"]["trail"] == ["a 1", "a 2"]
    [only] = await services.runs.threads.history("t", ANN)
    assert only["values"] == state["values"]


Json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=8,
)


@given(Json)
def test_everything_contains_itself(value: Any):
    assert has(value, json.loads(json.dumps(value)))


@given(st.dictionaries(st.text("ab", max_size=2), Json), st.text("ab", max_size=2), Json)
def test_what_has_more_contains_what_has_less(value: dict[str, Any], key: str, inner: Any):
    assert has({**value, key: inner}, {key: inner})
    if key in value and value[key] != inner and not isinstance(inner, (dict, list)):
        assert not has(value, {key: inner})


Tree = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([None, "r1", "r2", "r3"])), max_size=20
)


@given(Tree, st.sampled_from(["r1", "r2", "r3"]))
def test_thinned_out_threads_keep_the_last_state_of_each_run(
    tree: list[tuple[int, str | None]], present: str
):
    found = [
        Step(f"{n:03}", f"{parent % n:03}" if n else None, run)
        for n, (parent, run) in enumerate(tree)
    ]
    doomed = checkpoints.inner(found, present)
    left = [step for step in found if step.id not in doomed]
    assert {step.run for step in left} == {step.run for step in found}
    assert all(step in left for step in found if step.run in (None, present))
    for run in {"r1", "r2", "r3"} - {present}:
        assert sum(step.run == run for step in left) <= 1
    parents = {step.id: step.parent for step in left} | {
        id: parent for parent, id in checkpoints.relinked(found, doomed)
    }
    above = {step.id: step.parent for step in found}
    for step in left:
        parent = parents[step.id]
        assert parent is None or parent not in doomed
        up = above[step.id]  # the nearest ancestor that is left
        while up in doomed:
            up = above[up]
        assert parent == up
