"""Runs are stored as patches come: late, doubled, in the wrong order, from processes that die."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import TraceError
from groundling.settings import TracingSettings
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.query import RunFilter
from groundling.tracing.retention import prune, remove, size
from groundling.tracing.run import Patch, Status
from groundling.tracing.store import TraceStore

NOW = 1_790_000_000_000_000


def trace_of(question: str, answer: str, *, graph: str = "rag", started: int = NOW) -> list[Patch]:
    """Return the patches of a graph with one node and one model call."""
    root, node, model = uuid4(), uuid4(), uuid4()
    usage = {
        "input_tokens": 40,
        "output_tokens": 8,
        "input_token_details": {"cache_read": 30},
    }
    message = {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", "AIMessage"],
        "kwargs": {
            "content": answer,
            "type": "ai",
            "usage_metadata": usage,
            "response_metadata": {"tokens_per_second": 12.5, "prefill_seconds": 0.5},
        },
    }
    metadata = {"langgraph_node": "answer", "ls_model_name": "tiny", "prompt": "answer.en"}
    return [
        Patch(id=root, name=graph, started=started, inputs=encode({"question": question})),
        Patch(
            id=node, trace=root, parent=root, name="answer", started=started + 10,
            inputs=encode({"question": question}), extra=encode({"metadata": metadata}),
        ),
        Patch(
            id=model, trace=root, parent=node, name="ChatLlama", run_type="llm",
            started=started + 20, extra=encode({"metadata": metadata}),
            inputs=encode({"messages": [[{"kwargs": {"content": question}}]]}),
        ),
        Patch(
            id=model, duration=900, first_token=100,
            outputs=encode({"generations": [[{"message": message}]]}),
        ),
        Patch(id=node, duration=950, outputs=encode({"answer": answer})),
        Patch(id=root, duration=1000, outputs=encode({"answer": answer, "verdict": "answered"})),
    ]  # fmt: skip


def test_a_trace_is_summed_up_at_its_root(store):
    store.write(trace_of("How many days?", "Seventeen days."))
    root, node, model = store.trace(store.find()[0].id)
    assert (root.name, node.name, model.name) == ("rag", "answer", "ChatLlama")
    assert {root.status, node.status, model.status} == {Status.SUCCESS}
    assert {run.graph for run in (root, node, model)} == {"rag"}
    assert (root.input_tokens, root.output_tokens, root.cached_tokens) == (40, 8, 30)
    assert root.model == "tiny"
    assert root.first_token == 120
    assert root.verdict == "answered"
    assert (model.prompt, model.node, model.speed) == ("answer.en", "answer", 12.5)
    assert (root.preview, root.answer) == ("How many days?", "Seventeen days.")


@given(st.permutations(range(6)), st.lists(st.integers(1, 5), max_size=4))
def test_the_order_in_which_patches_come_changes_nothing(tmp_path_factory, order, cuts):
    patches = trace_of("연차는 며칠인가요?", "17일입니다.")
    with TraceStore(tmp_path_factory.mktemp("any") / "t.sqlite") as store:
        places = sorted({0, *cuts, 6})
        for begin, end in itertools.pairwise(places):
            store.write([patches[place] for place in order[begin:end]])
        store.write(patches[:2])  # and some come twice
        [root] = store.find(RunFilter(text="연차"))
        runs = store.trace(root.id)
        assert [run.name for run in runs] == ["rag", "answer", "ChatLlama"]
        assert {run.status for run in runs} == {Status.SUCCESS}
        assert {run.graph for run in runs} == {"rag"}
        assert (root.input_tokens, root.cached_tokens, root.duration) == (40, 30, 1000)
        assert root.verdict == "answered"
        payload = store.payload(root)
        assert payload.inputs == {"question": "연차는 며칠인가요?"}
        assert payload.outputs == {"answer": "17일입니다.", "verdict": "answered"}


def test_a_run_is_seen_while_it_lasts(store):
    store.write(trace_of("How many days?", "17")[:1])
    [root] = store.find(RunFilter(status=[Status.RUNNING]))
    assert root.duration is None
    assert root.preview == "How many days?"


@pytest.mark.parametrize(
    ("error", "status", "kept"),
    [
        ("ValueError('no')\n\nTraceback …", Status.ERROR, True),
        ("GraphInterrupt((Interrupt(value=1),))", Status.INTERRUPTED, False),
        ("CancelledError()", Status.CANCELLED, False),
    ],
)
def test_how_a_run_ended_is_told_apart(store, error, status, kept):
    store.write([Patch(id=uuid4(), name="rag", started=NOW, ended=NOW + 5, error=error)])
    [run] = store.find()
    assert run.status == status
    assert bool(run.error) == kept


def test_a_graph_that_waits_for_a_person_is_interrupted(store):
    outputs = encode({"__interrupt__": [{"value": "may I?", "id": "1"}]})
    store.write([Patch(id=uuid4(), name="agent", started=NOW, duration=5, outputs=outputs)])
    assert store.find()[0].status == Status.INTERRUPTED


def test_a_clock_that_goes_back_gives_no_negative_duration(store):
    store.write([Patch(id=uuid4(), name="rag", started=NOW, ended=NOW - 3_600_000_000)])
    assert store.find()[0].duration == 0


def test_filters_narrow_each_other(store):
    for number in range(20):
        graph = "rag" if number % 2 else "ask"
        patches = trace_of(f"question {number}", "안녕하세요", graph=graph, started=NOW + number)
        store.write(patches)
    assert [run.preview for run in store.find(limit=2)] == ["question 19", "question 18"]
    assert store.count(RunFilter(graph="rag")) == 10
    assert store.count(RunFilter(roots=None, graph="rag", run_types=["llm"])) == 10
    assert [run.preview for run in store.find(RunFilter(text="question 7"))] == ["question 7"]
    assert store.count(RunFilter(text="안녕", graph="ask", since=NOW + 10)) == 5
    assert store.count(RunFilter(text="없는 말이다")) == 0
    assert store.count(RunFilter(text="?!")) == 0
    assert store.count(RunFilter(slower=1.0)) == 0
    assert store.count(RunFilter(node="answer", roots=False)) == 40


def test_feedback_filters_traces(store):
    book = FeedbackBook(store)
    good, bad, third = (trace_of(f"q{n}", "a", started=NOW + n) for n in range(3))
    store.write([*good, *bad, *third])
    book.add(Feedback("thumbs", good[0].id, score=1), Feedback("thumbs", bad[0].id, score=-1))
    book.add(Feedback("judge", bad[2].id, score=0.25, correction={"answer": "b"}, comment="아니요"))
    assert [run.id for run in store.find(RunFilter(feedback="<0"))] == [bad[0].id]
    assert [run.id for run in store.find(RunFilter(feedback="thumbs>=1"))] == [good[0].id]
    assert [run.id for run in store.find(RunFilter(feedback="judge"))] == [bad[0].id]
    with pytest.raises(TraceError, match="cannot be understood"):
        store.find(RunFilter(feedback="score; DROP TABLE runs"))
    [judged] = book.find(keys=["judge"])
    assert (judged.correction, judged.comment) == ({"answer": "b"}, "아니요")
    assert judged.trace == bad[0].id
    book.remove(judged.id)
    with pytest.raises(TraceError, match="no feedback"):
        book.get(judged.id)


def test_runs_are_named_by_parts_of_their_ids(store):
    store.write(trace_of("q", "a"))
    [root] = store.find()
    for name in (str(root.id), root.id.hex, root.id.hex[:8], root.id.hex[-8:], "last"):
        assert store.resolve(name).id == root.id
    for name, said in (("zzzz", "no run's id"), ("0000000000000001", "no run")):
        with pytest.raises(TraceError, match=said):
            store.resolve(name)


def test_what_is_private_is_blacked_out_everywhere(tmp_path):
    def redact(value):
        text = json.dumps(value, ensure_ascii=False)
        return json.loads(text.replace("hunter2", "[PASSWORD]")), text.count("hunter2")

    with TraceStore(tmp_path / "t.sqlite", redact) as store:
        patches = trace_of("my password is hunter2", "hunter2 it is")
        patches[-1].error = "ValueError('hunter2')"
        store.write(patches)
        root = store.find()[0]
        assert root.redacted > 0
        assert store.find(RunFilter(text="hunter2")) == []
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"hunter2" not in data
    assert b"[PASSWORD]" in data


def test_old_runs_go_and_what_is_needed_stays(store):
    day = 86_400_000_000
    now = time.time_ns() // 1000
    old, judged, new = (
        trace_of(name, "x" * 5000, started=now - age * day)
        for name, age in (("old", 40), ("judged", 40), ("new", 1))
    )
    store.write([*old, *judged, *new])
    FeedbackBook(store).add(Feedback("thumbs", judged[0].id, score=1))
    done = prune(store, TracingSettings(keep_days=30))
    assert (done.traces, done.runs) == (1, 3)
    assert {run.preview for run in store.find()} == {"judged", "new"}
    assert store.find(RunFilter(text="old")) == []
    assert store.read("SELECT count(*) FROM payloads")[0][0] == 6


def test_traces_are_removed_with_what_was_said_of_them(store):
    now = time.time_ns() // 1000
    gone, stays = (trace_of(name, "x", started=now) for name in ("gone", "stays"))
    store.write([*gone, *stays])
    book = FeedbackBook(store)
    for trace in (gone, stays):
        book.add(Feedback("thumbs", trace[0].id, score=1))
    assert remove(store, [gone[0].id, uuid4()]) == 3
    assert {run.preview for run in store.find()} == {"stays"}
    assert store.find(RunFilter(text="gone")) == []
    assert store.read("SELECT count(*) FROM payloads")[0][0] == 3
    assert store.read("SELECT count(*) FROM feedback")[0][0] == 1
    assert remove(store, []) == 0


def test_the_file_keeps_to_its_size(store):
    noise = [os.urandom(20_000).hex() for _ in range(100)]
    for number, text in enumerate(noise):
        store.write(trace_of(f"question {number}", text, started=time.time_ns() // 1000))
    before = size(store)
    done = prune(store, TracingSettings(keep_bytes=before // 2))
    assert done.size <= before // 2
    assert 0 < store.count() < 100
    assert store.find()[0].preview == "question 99"


def test_a_newer_layout_is_refused_and_damage_is_named(tmp_path):
    file = tmp_path / "t.sqlite"
    with TraceStore(file) as store, store.maintaining() as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(TraceError, match="newer version"):
        TraceStore(file)
    file.write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(TraceError, match="cannot be opened"):
        TraceStore(file)


_WRITER = """
import sys, time
from pathlib import Path
from uuid import uuid4
from groundling.tracing.run import Patch
from groundling.tracing.store import TraceStore
store = TraceStore(Path(sys.argv[1]))
number = store.writers.number
for n in range(10**6):
    store.write([Patch(id=uuid4(), name=f"run {n}", started=n + 1, writer=number)])
    print(n, flush=True)
"""


def test_a_process_that_is_killed_leaves_its_runs_lost_and_nothing_broken(tmp_path):
    file = tmp_path / "t.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITER, file], stdout=subprocess.PIPE, text=True
    )
    for _ in range(20):
        line = child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait()
    child.stdout.close()
    written = int(rest[-1] if rest else line) + 1
    with TraceStore(file) as store:
        assert store.count() >= written
        assert store.read("PRAGMA integrity_check")[0][0] == "ok"
        assert store.mark_lost() == store.count()
        assert {run.status for run in store.find(limit=100)} == {Status.LOST}
        # What comes late all the same counts for more.
        store.write([Patch(id=store.find()[0].id, duration=5, outputs=encode({"answer": "x"}))])
        assert store.find()[0].status == Status.SUCCESS


def test_a_living_process_keeps_its_runs(tmp_path):
    file = tmp_path / "t.sqlite"
    with TraceStore(file) as mine, TraceStore(file) as other:
        mine.write([Patch(id=uuid4(), name="rag", started=NOW, writer=mine.writers.number)])
        assert other.mark_lost() == 0
        mine.writers.release()
        assert other.mark_lost() == 1


def test_a_client_that_says_nothing_more_is_lost(store):
    store.write([Patch(id=uuid4(), name="theirs", started=NOW)])
    assert store.mark_lost() == 0
    assert store.mark_lost(silent_for=60) == 1


def test_runs_that_are_each_others_parents_are_still_shown(store):
    one, two = uuid4(), uuid4()
    store.write(
        [
            Patch(id=one, trace=one, parent=two, name="one", started=NOW),
            Patch(id=two, trace=one, parent=one, name="two", started=NOW),
        ]
    )
    assert {run.name for run in store.trace(UUID(bytes=one.bytes))} == {"one", "two"}


def test_migrations_are_shared_by_two_processes(tmp_path: Path):
    file = tmp_path / "t.sqlite"
    code = "import sys; from pathlib import Path; from groundling.tracing.store import TraceStore; "
    code += "TraceStore(Path(sys.argv[1])).close()"
    children = [subprocess.Popen([sys.executable, "-c", code, file]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
def test_only_the_owner_may_read_what_was_asked(tmp_path: Path):
    with TraceStore(tmp_path / "t.sqlite") as store:
        store.write(trace_of("q", "a"))
        for part in tmp_path.glob("t.sqlite*"):
            assert part.stat().st_mode & 0o077 == 0
