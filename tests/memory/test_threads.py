import asyncio
import multiprocessing
import os
import signal
import sqlite3
import stat
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

from groundling.errors import MemoriesError, UnknownThread
from groundling.graphs import ask
from groundling.graphs.resources import Resources
from groundling.memory.thread import as_json, at_least, short, time_of
from groundling.memory.threads import DURABILITY, Threads, thread_config
from groundling.sections import ConversationSettings
from groundling.settings import Settings
from tests.scripted import ScriptedChat


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "state.sqlite"


def run(path, work, **limits):
    """Open the threads and do something with them."""

    async def opened():
        async with Threads.open(path, ConversationSettings(**limits)) as threads:
            return await work(threads)

    return asyncio.run(opened())


async def say(threads, thread, *questions, at=None, model=None):
    model = model or ScriptedChat([f"answer to {question}" for question in questions])
    graph = ask.build(Resources(Settings(), model=model), threads.saver)
    graph = graph.with_config(metadata={"graph": "ask"})
    for question in questions:
        config = thread_config(thread, at)
        await graph.ainvoke({"question": question}, config, durability=DURABILITY)
        at = None


def texts(messages):
    return [message.text for message in messages]


def test_threads_are_listed_with_the_last_used_first(path):
    async def work(threads):
        await say(threads, "one", "What is  tea?", "And coffee?")
        await say(threads, "둘", "차가 무엇입니까?")
        return await threads.list(), await threads.list(1), await threads.last()

    listed, first, last = run(path, work)
    assert [(each.id, each.title, each.turns, each.states) for each in listed] == [
        ("둘", "차가 무엇입니까?", 1, 1),
        ("one", "What is tea?", 2, 2),
    ]
    assert listed[0].graph == "ask"
    assert listed[0].bytes > 0
    assert abs(datetime.now(UTC) - listed[0].used) < timedelta(minutes=1)
    assert first == listed[:1]
    assert last == "둘"
    assert as_json(listed[0])["id"] == "둘"


def test_an_empty_file_has_no_threads(path):
    async def work(threads):
        assert await threads.list() == []
        assert await threads.last() is None
        assert await threads.prune(now=datetime.now(UTC)) == 0
        for call in (threads.get, threads.history, threads.delete, threads.fork):
            with pytest.raises(UnknownThread, match="no conversation x") as raised:
                await call("x")
            assert raised.value.hint == "groundling threads list"

    run(path, work)


def test_the_file_belongs_to_its_owner_alone(path):
    run(path, lambda threads: say(threads, "1", "Hi"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)  # as an older version made it

    async def look(_):
        return [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]

    assert set(run(path, look)) == {0o600}


def test_one_state_for_each_turn_and_any_can_be_gone_back_to(path):
    async def work(threads):
        await say(threads, "1", "a", "b", "c")
        newest, middle, _ = await threads.history("1")
        assert [newest.turns, middle.turns] == [3, 2]
        assert newest.parent == middle.id
        assert (middle.question, middle.answer) == ("b", "answer to b")
        assert not newest.waiting
        for name in (middle.id, middle.id[-8:], middle.id[-8:].upper()):
            assert (await threads.resolve("1", name)).id == middle.id
        await say(threads, "1", "d", at=middle.id)
        await say(threads, "1", "e")
        assert texts(await threads.messages("1"))[::2] == ["a", "b", "d", "e"]
        assert len(await threads.history("1")) == 5  # the other branch is still there

    run(path, work)


@pytest.mark.parametrize("name", ["", "1", "zzzz", "' OR 1=1 --", "x" * 100_000, "\u202e\x00"])
def test_a_state_that_is_not_there(path, name):
    async def work(threads):
        await say(threads, "1", "a")
        with pytest.raises(MemoriesError, match="not one of") as raised:
            await threads.resolve("1", name)
        assert raised.value.hint == "groundling threads history 1"

    run(path, work)


def test_a_fork_goes_its_own_way(path):
    async def work(threads):
        await say(threads, "1", "a", "b", "c")
        middle = (await threads.history("1"))[1]
        new = await threads.fork("1", middle.id[-6:])
        whole = await threads.fork("1")
        await say(threads, new, "other")
        assert texts(await threads.messages(new))[::2] == ["a", "b", "other"]
        assert texts(await threads.messages(whole)) == texts(await threads.messages("1"))
        assert len(await threads.history(whole)) == 3
        await threads.delete("1")
        assert {each.id for each in await threads.list()} == {new, whole}

    run(path, work)


def test_what_is_deleted_is_gone_from_the_file(path):
    async def work(threads):
        await say(threads, "1", "the secret word is xylophone")
        await say(threads, "2", "hello")
        await threads.delete("1")
        await threads.vacuum()

    run(path, work)
    assert b"xylophone" not in b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"hello" in path.read_bytes()


def test_only_the_latest_states_are_kept(path):
    async def work(threads):
        for n in range(7):
            await say(threads, "1", f"{n} " + "x" * 10_000)
            await say(threads, "2", str(n))
            await threads.prune("1")
        assert len(await threads.history("1")) == 3
        assert len(await threads.history("2")) == 7
        assert texts(await threads.messages("1"))[0].startswith("0 ")
        assert await threads.prune() == 4
        db = threads.saver.conn
        [[free]] = await (await db.execute("PRAGMA freelist_count")).fetchall()
        assert free == 0

    run(path, work, checkpoints=3)


def test_threads_that_were_not_used_for_long_are_deleted(path):
    async def work(threads):
        await say(threads, "1", "a")
        now = datetime.now(UTC)
        assert await threads.prune(now=now + timedelta(days=29)) == 0
        assert await threads.prune(now=now + timedelta(days=31)) == 1
        assert await threads.list() == []

    run(path, work, keep_days=30)


def test_threads_are_kept_for_ever_where_the_settings_say_so(path):
    async def work(threads):
        await say(threads, "1", "a")
        await threads.prune(now=datetime.now(UTC) + timedelta(days=20_000))
        assert len(await threads.list()) == 1

    run(path, work, keep_days=0)


def test_an_interrupt_waits_in_the_file_and_is_copied_by_a_fork(path):
    def ask_person(state):
        return {"messages": [("ai", interrupt("Sure?"))]}

    def graph(saver):
        wired = StateGraph(MessagesState).add_node(ask_person)
        wired.add_edge(START, "ask_person").add_edge("ask_person", END)
        return wired.compile(checkpointer=saver)

    async def begin(threads):
        await graph(threads.saver).ainvoke(
            {"messages": [HumanMessage("Delete it.")]}, thread_config("1"), durability=DURABILITY
        )
        state = await threads.get("1")
        assert state.waiting
        assert state.answer is None
        await threads.prune()
        return await threads.fork("1")

    fork = run(path, begin)

    async def later(threads):
        for thread in ("1", fork):
            state = await graph(threads.saver).aget_state(thread_config(thread))
            assert [each.value for each in state.interrupts] == ["Sure?"]

    run(path, later)


def test_a_damaged_state_is_named_with_the_way_back(path):
    async def work(threads):
        await say(threads, "1", "a", "b")
        await say(threads, "2", "c")

    run(path, work)
    db = sqlite3.connect(path)
    db.execute(
        "UPDATE checkpoints SET checkpoint = x'c1ff00' WHERE checkpoint_id = "
        "(SELECT MAX(checkpoint_id) FROM checkpoints WHERE thread_id = '1')"
    )
    db.execute("UPDATE checkpoints SET metadata = x'ff' WHERE thread_id = '2'")
    db.commit()
    db.close()

    async def look(threads):
        with pytest.raises(MemoriesError, match="damaged") as raised:
            await threads.get("1")
        _, whole = await threads.history("1")
        assert f"threads fork 1 --at {whole.id}" in raised.value.hint
        new = await threads.fork("1", whole.id)
        await say(threads, new, "on we go")
        assert texts(await threads.messages(new))[::2] == ["a", "on we go"]
        with pytest.raises(MemoriesError, match="damaged") as raised:
            await threads.get("2")
        assert raised.value.hint == "groundling threads delete 2"
        damaged = {each.id for each in await threads.list() if each.damaged}
        assert damaged == {"1", "2"}

    run(path, look)


@pytest.mark.parametrize(
    "content", [b"not a database" * 1000, b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_a_damaged_file_is_a_clear_error_and_left_alone(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(MemoriesError, match=r"state\.sqlite cannot be read") as raised:
        run(path, lambda threads: threads.list())
    assert "mv " in raised.value.hint
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MemoriesError, match="cannot be read or written"):
        run(tmp_path / "file" / "state.sqlite", lambda threads: threads.list())


def test_other_errors_inside_pass_as_they_are(path):
    async def work(_):
        raise FileNotFoundError(2, "No such file", "other.txt")

    with pytest.raises(FileNotFoundError):
        run(path, work)


def test_a_thread_goes_on_in_a_graph_that_has_changed(path):
    """A node was removed and a key renamed while the thread stood at that very node."""

    class Old(MessagesState):
        mood: str

    def broken(state):
        raise ValueError("half way")

    def reply(state):
        return {"messages": [("ai", f"{len(state['messages'])} so far")]}

    async def work(threads):
        old = StateGraph(Old).add_node(broken)
        old.add_edge(START, "broken").add_edge("broken", END)
        first = old.compile(checkpointer=threads.saver)
        with pytest.raises(ValueError, match="half way"):
            await first.ainvoke(
                {"messages": [("human", "a")], "mood": "sour"},
                thread_config("1"),
                durability=DURABILITY,
            )
        assert (await threads.get("1")).waiting
        new = StateGraph(MessagesState).add_node(reply)
        new.add_edge(START, "reply").add_edge("reply", END)
        second = new.compile(checkpointer=threads.saver)
        await second.ainvoke(
            {"messages": [("human", "b")]}, thread_config("1"), durability=DURABILITY
        )
        assert texts(await threads.messages("1")) == ["a", "b", "2 so far"]

    run(path, work)


def test_types_that_a_file_names_are_not_imported(path):
    """A checkpoint that would run code when it is read does not."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(path.parent / "made"),)

    async def work(threads):
        import pickle

        await say(threads, "1", "a")
        await threads.saver.conn.execute(
            "UPDATE checkpoints SET type = 'pickle', checkpoint = ?", [pickle.dumps(Evil())]
        )
        assert (await threads.history("1"))[0].damaged

    run(path, work)
    assert not (path.parent / "made").exists()


def _say_much(path, thread, turns):
    async def work(threads):
        for n in range(turns):
            await say(threads, thread, f"{n} {'x' * 1000}")
            await threads.prune(thread)

    run(path, work, checkpoints=5)


def test_two_processes_at_once_of_which_one_is_killed(path):
    other = multiprocessing.get_context("spawn").Process(
        target=_say_much, args=(path, "2", 100_000)
    )
    other.start()
    try:
        while not path.exists() or not run(path, lambda threads: threads.list()):
            assert other.is_alive()
        for thread in ("1", "2"):
            _say_much(path, thread, 20)
        assert other.is_alive()
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join(30)

    async def look(threads):
        assert texts(await threads.messages("1"))[-1].startswith("answer to 19")
        for thread in ("1", "2"):
            state = await threads.get(thread)
            assert state.turns * 2 == len(state.messages)
            await say(threads, thread, "on we go")
            await threads.prune(thread)
            assert len(await threads.history(thread)) == 5

    run(path, look, checkpoints=5)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2500, 1, 1)), st.integers(0, 2**62 - 1))
def test_ids_tell_their_time(moment, tail):
    moment = moment.replace(tzinfo=UTC)
    begin = at_least(moment)
    id = str(uuid.UUID(begin + "-8" + f"{tail:016x}"[-15:-12] + f"-{tail & (2**48 - 1):012x}"))
    assert time_of(id) == moment
    assert id >= begin
    assert id < at_least(moment + timedelta(microseconds=1))


def test_the_time_of_langgraphs_own_ids():
    assert abs(time_of(str(uuid6())) - datetime.now(UTC)) < timedelta(seconds=5)
    assert time_of("x").year == time_of(str(uuid.uuid4())).year == 1970


@given(st.text(), st.integers(1, 20))
def test_a_title_is_one_short_printable_line(text, most):
    line = short(text, most)
    assert len(line) <= most
    assert line.isprintable()
