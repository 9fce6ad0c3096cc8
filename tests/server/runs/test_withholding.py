"""Nobody reads an answer that the guard does not let through, whatever they ask to be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from groundling.server.person import Person
from groundling.server.runs.request import MODES, RunRequest
from groundling.server.services import Services
from tests.scripted import ScriptedChat
from tests.server.runs.conftest import opened, told

KEY = "AKIA" + "ABCD2345" * 2
ANSWER = f"It is well known. The key is {KEY} and it opens the door of the house."
Action = Literal["block", "redact", "ask", "allow"]


def policy(folder: Path, action: Action) -> Path:
    """Write a policy that needs no model, with one rule for keys in answers."""
    file = folder / f"{action}.toml"
    file.write_text(
        '[input]\nharm = { action = "off" }\nsecrets = { action = "allow" }\n'
        f'[output]\nharm = {{ action = "off" }}\nsecrets = {{ action = "{action}" }}\n'
    )
    return file


def asked(person: Person, **options: Any) -> RunRequest:
    given: dict[str, Any] = {"thread_id": "t1", "if_not_exists": "create", "durability": "async"}
    return RunRequest(person, "chat", {"question": "What is the key?"}, **{**given, **options})


async def everything(services: Services, person: Person) -> str:
    """Return all that can be read of the thread, as text."""
    threads = services.runs.threads
    return json.dumps(
        [
            await threads.get("t1", person),
            await threads.search(person),
            await threads.state("t1", person),
            await threads.history("t1", person, limit=100),
        ]
    )


@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_a_blocked_answer_leaves_in_no_mode(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person, mode: str, durability: str
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "block")}) as services:
        scripted.enqueue(ANSWER)
        request = asked(local, stream_mode=(mode,), durability=durability)
        run = await services.runs.start(request)
        events = await told(services, run, local)
        assert events[0].event == "metadata"
        assert not [event for event in events if event.event == "error"]
        assert KEY not in json.dumps([event.data for event in events])
        values = await services.runs.wait(request.run_id, local)
        assert values["verdict"] == "blocked"
        assert KEY not in json.dumps(values)
        assert KEY not in await everything(services, local)


@pytest.mark.parametrize("mode", ["values", "updates", "messages", "messages-tuple"])
async def test_what_passes_is_told_whole(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person, mode: str
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "allow")}) as services:
        scripted.enqueue(ANSWER)
        request = asked(local, stream_mode=(mode,))
        events = await told(services, await services.runs.start(request), local)
        text = json.dumps([event.data for event in events])
        if mode == "messages-tuple":
            text = "".join(
                event.data[0]["content"]
                for event in events
                if event.event == "messages" and event.data[0]["type"] == "AIMessageChunk"
            )
            assert text == ANSWER
        assert ANSWER in text
        assert (await services.runs.threads.state("t1", local))["values"]["answer"] == ANSWER


@pytest.mark.parametrize("mode", sorted(MODES - {"events"}))
async def test_what_is_blacked_out_is_blacked_out_in_every_mode(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person, mode: str
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "redact")}) as services:
        scripted.enqueue(ANSWER)
        request = asked(local, stream_mode=(mode,))
        events = await told(services, await services.runs.start(request), local)
        assert KEY not in json.dumps([event.data for event in events])
        values = await services.runs.wait(request.run_id, local)
        assert values["answer"].startswith("It is well known.")
        assert KEY not in await everything(services, local)


async def test_steps_are_told_while_the_answer_is_held(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "block")}) as services:
        scripted.enqueue(ANSWER)
        request = asked(local, stream_mode=("tasks", "updates"))
        events = await told(services, await services.runs.start(request), local)
        begun = [e.data["name"] for e in events if e.event == "tasks" and "input" in e.data]
        assert begun[-3:] == ["answer", "guard_output", "remember"]
        updates = [name for e in events if e.event == "updates" for name in e.data]
        assert updates[-3:] == ["answer", "guard_output", "remember"]


@pytest.mark.parametrize("answer", ["yes", "no"])
async def test_a_person_who_is_asked_reads_it_only_after_agreeing(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person, answer: str
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "ask")}) as services:
        scripted.enqueue(ANSWER)
        first = asked(local, stream_mode=("values", "updates"))
        events = await told(services, await services.runs.start(first), local)
        assert "__interrupt__" in events[-1].data
        assert KEY not in json.dumps([event.data for event in events])
        assert KEY not in json.dumps(await services.runs.wait(first.run_id, local))
        assert KEY not in await everything(services, local)
        assert (await services.runs.threads.get("t1", local))["status"] == "interrupted"
        go_on = asked(local, command={"resume": answer}, stream_mode=("values", "updates"))
        go_on = RunRequest(**{**vars(go_on), "input": None})
        events = await told(services, await services.runs.start(go_on), local)
        text = json.dumps([event.data for event in events]) + await everything(services, local)
        assert (KEY in text) == (answer == "yes")


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_stopping_before_the_guard_does_not_show_the_answer(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person, durability: str
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "block")}) as services:
        scripted.enqueue(ANSWER)
        request = asked(
            local, interrupt_before=("guard_output",), durability=durability,
            stream_mode=("values", "updates", "tasks", "checkpoints"),
        )  # fmt: skip
        events = await told(services, await services.runs.start(request), local)
        assert KEY not in json.dumps([event.data for event in events])
        assert KEY not in json.dumps(await services.runs.wait(request.run_id, local))
        assert KEY not in await everything(services, local)


async def test_without_a_thread_it_is_the_same(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "block")}) as services:
        for stop in ((), ("guard_output",)):
            scripted.enqueue(ANSWER)
            request = asked(
                local, thread_id=None, interrupt_before=stop, stream_mode=("values", "updates")
            )
            events = await told(services, await services.runs.start(request), local)
            assert KEY not in json.dumps([event.data for event in events])
            values = await services.runs.wait(request.run_id, local)
            assert KEY not in json.dumps(values)
            assert stop or values["verdict"] == "blocked"


async def test_earlier_answers_stay_to_be_read(
    home: Path, tmp_path: Path, scripted: ScriptedChat, local: Person
):
    async with opened(scripted, guard={"policy": policy(tmp_path, "block")}) as services:
        scripted.enqueue("A harmless answer.", ANSWER)
        await services.runs.wait((await _start(services, local)), local)
        request = asked(local, stream_mode=("values",))
        events = await told(services, await services.runs.start(request), local)
        for event in events[1:]:
            assert "A harmless answer." in json.dumps(event.data)
        states = await services.runs.threads.history("t1", local, limit=100)
        assert all("A harmless answer." in json.dumps(state["values"]) for state in states[:3])


async def test_where_the_guard_is_off_nothing_is_held(
    services: Services, scripted: ScriptedChat, local: Person
):
    scripted.enqueue(ANSWER)
    request = asked(local, stream_mode=("updates",))
    events = await told(services, await services.runs.start(request), local)
    answer = next(e.data["answer"] for e in events if e.event == "updates" and "answer" in e.data)
    assert answer["answer"] == ANSWER


async def _start(services: Services, person: Person) -> Any:
    request = asked(person)
    await services.runs.start(request)
    return request.run_id
