"""`groundling trace`: lists, trees, pages, files, and what is said when there is nothing."""

from __future__ import annotations

import io
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click
import pytest
from rich.cells import cell_len
from rich.console import Console

from groundling.cli import main
from groundling.cli.run_tables import harmless, lines, run_table, statistics_table
from groundling.cli.run_tail import Watch
from groundling.cli.run_tree import head, tree
from groundling.cli.when import when
from groundling.settings import load
from groundling.tracing import waterfall
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Patch, Status
from groundling.tracing.statistics import statistics
from groundling.tracing.store import TraceStore
from tests.processes import interruptible
from tests.tracing.traces import SECOND, Trace, message, rag

DAY = 86_400 * SECOND
KOREAN = "출장 중 호텔비는 하루에 얼마까지 쓸 수 있나요?"


def invoke(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["trace", *arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def found(capsys, *arguments):
    code, out, _ = invoke(capsys, "list", "--json", *arguments)
    assert code == 0
    return json.loads(out)


def read(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def store(home):
    with TraceStore(load().traces_path) as opened:
        yield opened


@pytest.fixture
def traces(store):
    """Four traces, the oldest first: answered, in Korean and refused, an error, an agent's."""
    now = time.time_ns() // 1000
    answered = rag(now - 3 * DAY, thread="t-1", tags=["beta"])
    store.write(
        answered.end(
            2.5, outputs={"answer": "You have 17 days. [1]", "verdict": "answered"},
            cpu=5 * SECOND, memory=2 * 10**9,
        )
    )  # fmt: skip
    refused = rag(now - DAY // 2, question=KOREAN, answer="서울은 하루 15만 원입니다.")
    said = {"answer": "이 문서들에는 없는 내용입니다.", "verdict": "refused"}
    store.write(refused.end(1.0, outputs=said))
    failed = Trace("rag", now - 3600 * SECOND, question="Who signs?", project="trial")
    reason = "KnowledgeError('Nothing is there.')\n\nTraceback …"
    failed.node("retrieve", lasts=0.1, error=reason)
    store.write(failed.end(0.2, error=reason))
    agent = Trace("agent", now - 60 * SECOND, question="What are 3 EUR in KRW?")
    calling = agent.node("tools", lasts=0.4)
    egress = {"host": "rates.example", "purpose": "rates", "sent": "currencies"}
    agent.run(
        "convert", parent=calling, run_type="tool", node="tools", lasts=0.3, egress=1,
        inputs={"amount": 3, "to": "KRW"}, outputs={"output": message("ai", "4,926 KRW")},
        events=encode([{"name": "egress", "kwargs": egress}]),
    )  # fmt: skip
    store.write(agent.end(0.5, error="GraphInterrupt(())"))
    with store.writing() as db:
        db.execute("UPDATE runs SET redacted = 2 WHERE id = ?", (agent.id.bytes,))
    FeedbackBook(store).add(
        Feedback("thumbs", answered.id, score=-1.0, comment="18, since July", correction="18 days"),
        Feedback("correctness", refused.id, score=0.5),
    )
    return {"answered": answered, "refused": refused, "failed": failed, "agent": agent}


class TestList:
    def test_the_newest_comes_first_with_everything_that_is_known(self, capsys, traces):
        listed = found(capsys)
        assert [run["graph"] for run in listed] == ["agent", "rag", "rag", "rag"]
        oldest = listed[-1]
        assert oldest["id"] == str(traces["answered"].id)
        assert (oldest["status"], oldest["verdict"], oldest["duration"]) == (
            "success", "answered", 2.5,
        )  # fmt: skip
        assert (oldest["input_tokens"], oldest["cached_tokens"]) == (100, 50)
        [said] = oldest["feedback"]
        assert (said["key"], said["score"], said["correction"]) == ("thumbs", -1.0, "18 days")

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            (["--graph", "agent"], ["agent"]),
            (["--status", "error"], ["failed"]),
            (["--status", "error", "--status", "interrupted"], ["agent", "failed"]),
            (["--verdict", "refused"], ["refused"]),
            (["--feedback", "<0"], ["answered"]),
            (["--feedback", "correctness>=0.5"], ["refused"]),
            (["--slow", "2"], ["answered"]),
            (["--text", "호텔비"], ["refused"]),
            (["--text", "sign"], ["failed"]),
            (["--since", "2h"], ["agent", "failed"]),
            (["--until", "2d"], ["answered"]),
            (["--thread", "t-1"], ["answered"]),
            (["--tag", "beta"], ["answered"]),
            (["--model", "tiny"], ["refused", "answered"]),
            (["--project", "trial"], ["failed"]),
            (["-n", "1"], ["agent"]),
            (["--graph", "rag", "--since", "1d", "--verdict", "answered"], []),
        ],
        ids=" ".join,
    )
    def test_filters_narrow_it(self, capsys, traces, options, names):
        assert [run["id"] for run in found(capsys, *options)] == [
            str(traces[name].id) for name in names
        ]

    def test_a_node_is_listed_once_for_each_time_it_ran(self, capsys, traces):
        runs = found(capsys, "--node", "retrieve")
        assert [run["name"] for run in runs] == ["retrieve"] * 3
        assert len({run["trace"] for run in runs}) == 3

    def test_all_lists_what_is_inside_the_traces(self, capsys, traces, store):
        assert len(found(capsys, "--all", "-n", "100")) == store.count(RunFilter(roots=None))

    def test_columns_stand_below_each_other_in_korean_too(self, capsys, traces):
        code, out, _ = invoke(capsys, "list")
        assert code == 0
        top, *rows = out.splitlines()
        assert len(rows) == 4
        starts = [
            cell_len(row[: row.index(asked)])
            for row, asked in zip(
                rows, ["What are", "Who signs", KOREAN[:4], "How many"], strict=True
            )
        ]
        assert set(starts) == {cell_len(top[: top.index("asked")])}

    def test_it_says_when_nothing_is_like_that(self, capsys, traces):
        code, out, _ = invoke(capsys, "list", "--graph", "nope")
        assert (code, out) == (0, "No run is like that.\n")

    def test_a_condition_that_cannot_be_understood_is_an_error(self, capsys, traces):
        code, _, err = invoke(capsys, "list", "--feedback", "<<x")
        assert code == 8
        assert "cannot be understood" in err

    def test_runs_of_a_program_that_was_killed_are_lost(self, capsys, store):
        program = """
import os, sys, uuid
from pathlib import Path
from groundling.tracing.run import Patch
from groundling.tracing.store import TraceStore
store = TraceStore(Path(sys.argv[1]))
store.write([Patch(id=uuid.uuid4(), name="rag", writer=store.writers.number)])
os.kill(os.getpid(), 9)
"""
        subprocess.run([sys.executable, "-c", program, store.file], check=False)
        assert [run["status"] for run in found(capsys)] == ["lost"]


@pytest.mark.parametrize(
    ("command", "nothing"),
    [
        (["list"], []),
        (["stats"], {"graphs": [], "dropped": {}}),
        (["prune"], {"traces": 0, "runs": 0}),
    ],
    ids=str,
)
def test_before_the_first_run_there_is_a_next_step(capsys, home, command, nothing):
    code, out, err = invoke(capsys, *command)
    assert (code, out) == (0, "")
    assert "There are no runs yet." in err
    assert "groundling ask" in err
    code, out, _ = invoke(capsys, *command, "--json")
    assert (code, json.loads(out)) == (0, nothing)
    assert not load().traces_path.exists()


@pytest.mark.parametrize("command", [["show", "last"], ["export"]], ids=str)
def test_what_needs_a_run_says_that_there_is_none(capsys, home, command):
    code, out, err = invoke(capsys, *command)
    assert (code, out) == (8, "")
    assert "There are no runs yet." in err


class TestShow:
    def test_the_tree_says_what_ran_inside_what_and_what_it_cost(self, capsys, traces):
        code, out, _ = invoke(capsys, "show", str(traces["answered"].id))
        assert code == 0
        for said in (
            "success  answered", "How many days of leave?", "You have 17 days. [1]",
            "2.50 s, first token after 410 ms, 100 in (50% cached), 9 out",
            "CPU 5.00 s, peak memory 2.00 GB, no calls to other machines",
            "thread t-1", "thumbs -1 “18, since July” should be: 18 days",
        ):  # fmt: skip
            assert said in out
        rows = [line.rstrip() for line in out.splitlines()[-6:]]
        assert [re.match(r"[│├└─ ]*\w+", row)[0] for row in rows] == [
            "rag", "├─ retrieve", "├─ judge", "│  └─ choose", "└─ answer", "   └─ ChatLlama",
        ]  # fmt: skip
        assert "passages 29, 31" in rows[1]
        assert rows[3].endswith("→ yes 0.90, no 0.10")
        assert "40 in (75% cached), 8 out, first 100 ms, 20.0/s  answer.en → You have" in rows[5]

    def test_tools_calls_to_other_machines_and_redaction_are_shown(self, capsys, traces):
        _, out, _ = invoke(capsys, "show", "last")
        assert "interrupted" in out
        assert '(amount=3, to="KRW")' in out
        assert "rates.example (rates, currencies) called" in out
        assert "1 call to other machines, 2 redacted" in out

    def test_an_error_is_shown_where_it_happened(self, capsys, traces):
        _, out, _ = invoke(capsys, "show", str(traces["failed"].id))
        [row] = [line for line in out.splitlines() if "└─ retrieve" in line]
        assert "error  KnowledgeError('Nothing is there.')" in row
        assert "Traceback" not in out

    @pytest.mark.parametrize(
        "cut", [lambda id: id[:18], lambda id: id[-8:], lambda id: id[-4:].upper()]
    )
    def test_a_run_is_named_by_the_first_or_last_digits(self, capsys, traces, cut):
        code, out, _ = invoke(capsys, "show", cut(str(traces["refused"].id)), "--json")
        assert (code, json.loads(out)["trace"]) == (0, str(traces["refused"].id))

    def test_a_run_inside_a_trace_is_marked_in_it(self, capsys, traces):
        inside = traces["answered"].patches[-1].id
        _, out, _ = invoke(capsys, "show", str(inside))
        assert "ChatLlama ◂" in out
        assert out.count("◂") == 1

    @pytest.mark.parametrize("name", ["zzzz", "12", "deadbeef"])
    def test_an_unknown_run_is_an_error_with_a_next_step(self, capsys, traces, name):
        code, out, err = invoke(capsys, "show", name)
        assert (code, out) == (8, "")
        assert "groundling trace list" in err

    def test_full_prints_all_of_inputs_and_outputs(self, capsys, store):
        trace = Trace(question="q")
        long = "".join(f"line {n} 한글\n" for n in range(300))
        trace.run("step", inputs={"text": long}, error="ValueError('x')\n\nTraceback …\n  line 7")
        store.write(trace.end())
        _, brief, _ = invoke(capsys, "show", "last")
        _, full, _ = invoke(capsys, "show", "last", "--full")
        assert "line 299" not in brief
        assert "  line 299 한글\n" in full
        assert "  line 7\n" in full

    def test_full_of_a_run_inside_prints_that_run_alone(self, capsys, traces):
        _, out, _ = invoke(capsys, "show", str(traces["answered"].patches[-1].id), "--full")
        assert out.count("━━") == 1
        assert "━━ ChatLlama" in out

    def test_json_is_the_view(self, capsys, traces, store):
        _, out, _ = invoke(capsys, "show", "last", "--json")
        assert json.loads(out) == waterfall.view(store, traces["agent"].id)

    def test_html_is_written_to_a_file(self, capsys, traces, tmp_path):
        file = tmp_path / "쪽.html"
        code, out, _ = invoke(capsys, "show", str(traces["refused"].id), "--html", str(file))
        assert (code, out) == (0, f"Written: {file}\n")
        assert KOREAN in file.read_text(encoding="utf-8")

    def test_a_page_that_cannot_be_written_is_an_error(self, capsys, traces, tmp_path):
        code, _, err = invoke(capsys, "show", "last", "--html", str(tmp_path / "no" / "page.html"))
        assert code == 8
        assert "cannot be written" in err

    def test_nothing_that_a_run_holds_steers_the_terminal(self, capsys, store):
        evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e뒤집힘\r\n"
        trace = Trace(evil, question=evil)
        trace.run(evil, inputs={"a": evil, evil: "x"}, outputs={"b": evil}, error=evil)
        store.write(trace.end(outputs={"answer": evil, "verdict": evil}))
        FeedbackBook(store).add(Feedback(evil, trace.id, comment=evil))
        for command in (["show", "last", "--full"], ["list"], ["stats"]):
            _, out, err = invoke(capsys, *command)
            assert "뒤집힘" in out
            assert not set(out + err) & set("\x1b\x07\x9b\u202e\r")

    @pytest.mark.parametrize("width", [60, 80, 100, 160])
    def test_nothing_is_wider_than_the_terminal(self, store, traces, width):
        runs = store.find(limit=10)
        said = FeedbackBook(store).of_traces([run.trace for run in runs])
        tables = [
            run_table(runs, said, width=width),
            statistics_table(statistics(store), width=width),
        ]
        for trace in traces.values():
            view = waterfall.view(store, trace.id)
            tables += [head(view), tree(view, width=width)]
        if width < 80:
            del tables[1]  # eleven figures take their room
        for table in tables:
            page = Console(width=width, file=io.StringIO(), soft_wrap=True)
            page.print(table)
            for line in page.file.getvalue().splitlines():
                assert cell_len(line.rstrip()) <= width


class TestStatistics:
    def test_it_counts_by_graph_and_node(self, capsys, traces, store):
        store.count_drop("the disk was full", 3)
        code, out, _ = invoke(capsys, "stats", "--json")
        assert code == 0
        told = json.loads(out)
        rows = {(row["graph"], row["node"]): row for row in told["graphs"]}
        assert rows["rag", None]["count"] == 3
        assert rows["rag", None]["error_share"] == pytest.approx(1 / 3)
        assert rows["rag", "answer"]["cached_share"] == 0.75
        assert rows["agent", None]["interrupted"] == 1
        assert told["dropped"] == {"the disk was full": 3}

    def test_what_was_dropped_is_said(self, capsys, traces, store):
        store.count_drop("the disk was full", 3)
        _, out, err = invoke(capsys, "stats")
        assert "33.3%" in out
        assert "1 interrupted" in out
        assert "3 runs or parts of them were not recorded: the disk was full." in err

    def test_a_window_is_kept_to(self, capsys, traces):
        _, out, _ = invoke(capsys, "stats", "--since", "2h", "--graph", "rag", "--json")
        assert [row["count"] for row in json.loads(out)["graphs"]] == [1, 1]


class TestTail:
    def test_runs_are_told_of_when_they_begin_and_end(self, store):
        watch = Watch(store, RunFilter())
        first, second = uuid4(), uuid4()
        store.write([Patch(id=first, name="rag"), Patch(id=second, name="ask")])
        assert [(run.id, run.status) for run in watch.changes()] == [
            (first, Status.RUNNING), (second, Status.RUNNING),
        ]  # fmt: skip
        assert list(watch.changes()) == []
        store.write([Patch(id=second, duration=5), Patch(id=uuid4(), name="x", duration=1)])
        assert sorted((run.name, run.status) for run in watch.changes()) == [
            ("ask", Status.SUCCESS), ("x", Status.SUCCESS),
        ]  # fmt: skip
        assert [run.id for run in watch.of(watch.running)] == [first]

    def test_what_is_known_only_at_the_end_is_asked_then(self, store):
        watch = Watch(store, RunFilter(status=[Status.ERROR]))
        good, bad = uuid4(), uuid4()
        store.write([Patch(id=good, name="a"), Patch(id=bad, name="b")])
        assert list(watch.changes()) == []
        store.write([Patch(id=good, duration=5), Patch(id=bad, duration=5, error="ValueError()")])
        assert [run.id for run in watch.changes()] == [bad]

    def test_runs_that_went_on_before_are_followed_to_their_end(self, store):
        run = uuid4()
        store.write([Patch(id=run, name="rag")])
        watch = Watch(store, RunFilter())
        store.write([Patch(id=run, duration=5)])
        assert [each.status for each in watch.changes()] == [Status.SUCCESS]

    def test_the_command_prints_lines_until_it_is_interrupted(self, store, traces):
        program = "from groundling.cli import main; main()"
        command = [sys.executable, "-c", program, "trace", "tail", "--json", "-n", "1"]
        with interruptible(command) as process:
            earlier = json.loads(process.stdout.readline())
            assert earlier["id"] == str(traces["agent"].id)
            run = uuid4()
            store.write([Patch(id=run, name="rag", writer=store.writers.number)])
            time.sleep(0.1)
            store.write([Patch(id=run, duration=SECOND, outputs=encode({"answer": "네"}))])
            last = json.loads(process.stdout.readline())
            while last["status"] == "running":
                last = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            assert process.returncode == 0
        assert (last["id"], last["status"], last["answer"]) == (str(run), "success", "네")
        assert "Traceback" not in err


class TestFiles:
    def test_what_is_exported_comes_back_the_same(
        self, capsys, traces, store, tmp_path, monkeypatch
    ):
        trace = Trace(started=traces["agent"].started + SECOND, example=uuid4())
        trace.run("step", attachments={"a.png": ("image/png", b"\x89PNG")}, speed=12.5)
        store.write(trace.end(status=Status.LOST))
        with store.writing() as db:
            db.execute("UPDATE projects SET dataset = ? WHERE name = 'trial'", (uuid4().bytes,))
        first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
        assert invoke(capsys, "export", "--output", str(first))[0] == 0
        monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "other"))
        code, out, _ = invoke(capsys, "import", str(first), "--json")
        assert code == 0
        assert json.loads(out) == {"runs": len(read(first)), "feedback": 2, "bad": []}
        assert invoke(capsys, "export", "--output", str(second))[0] == 0
        assert read(first) == read(second)
        # Read in once more, nothing is doubled.
        assert invoke(capsys, "import", str(first))[0] == 0
        assert invoke(capsys, "export", "--output", str(second))[0] == 0
        assert read(first) == read(second)

    def test_a_line_is_a_run_in_langsmiths_fields(self, capsys, traces):
        code, out, _ = invoke(capsys, "export", "--graph", "agent")
        assert code == 0
        root, *_, tool = [json.loads(line) for line in out.splitlines()]
        assert root["inputs"] == {"question": "What are 3 EUR in KRW?"}
        assert (tool["run_type"], tool["inputs"]) == ("tool", {"amount": 3, "to": "KRW"})
        assert tool["trace_id"] == root["id"]
        begun = datetime.fromisoformat(tool["start_time"])
        assert datetime.fromisoformat(tool["end_time"]) - begun == timedelta(seconds=0.3)

    def test_whole_traces_are_exported_for_a_run_inside_them(self, capsys, traces):
        _, out, _ = invoke(capsys, "export", "--node", "tools")
        assert {json.loads(line)["trace_id"] for line in out.splitlines()} == {
            str(traces["agent"].id)
        }
        _, out, _ = invoke(capsys, "export", "-n", "2")
        assert len({json.loads(line)["trace_id"] for line in out.splitlines()}) == 2

    def test_runs_as_langsmith_exports_them_can_be_read(self, capsys, store, tmp_path):
        run = {
            "id": str(uuid4()), "name": "theirs", "run_type": "chain", "session_name": "work",
            "start_time": "2026-11-01T10:00:00.250000", "end_time": "2026-11-01T10:00:02Z",
            "inputs": {"question": "q"}, "outputs": {"answer": "a"}, "status": "success",
        }  # fmt: skip
        file = tmp_path / "theirs.jsonl"
        file.write_text(json.dumps(run) + "\n")
        assert invoke(capsys, "import", str(file))[0] == 0
        [read_in] = store.find()
        assert (read_in.name, read_in.duration, read_in.project) == ("theirs", 1_750_000, "work")
        assert (read_in.preview, read_in.answer) == ("q", "a")

    def test_what_ran_when_it_was_exported_comes_in_as_lost(
        self, capsys, store, tmp_path, monkeypatch
    ):
        store.write([Patch(id=uuid4(), name="rag")])
        file = tmp_path / "runs.jsonl"
        invoke(capsys, "export", "-o", str(file))
        invoke(capsys, "import", str(file))
        assert [run.status for run in store.find()] == [Status.RUNNING]  # it is ours
        monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "other"))
        invoke(capsys, "import", str(file))
        assert [run["status"] for run in found(capsys)] == ["lost"]

    def test_lines_that_cannot_be_read_are_named_and_the_rest_kept(self, capsys, traces, tmp_path):
        good = str(uuid4())
        said = {"key": "thumbs", "run": good, "score": 1}
        lines = [
            "{nonsense", '["no run"]', json.dumps({"id": "x"}), "",
            json.dumps({"id": str(uuid4()), "groundling": {"cpu": 10**30}}),
            json.dumps({"id": str(uuid4()), "start_time": "yesterday"}),
            json.dumps({"id": good, "name": "good", "feedback": [said]}),
            json.dumps({"id": str(uuid4()), "feedback": [{"score": 1}]}),
            json.dumps({"id": str(uuid4()), "attachments": {"a": {"mime_type": "x", "data": "!"}}}),
        ]  # fmt: skip
        file = tmp_path / "runs.jsonl"
        file.write_text("\n".join(lines))
        code, out, err = invoke(capsys, "import", str(file))
        assert code == 8
        assert "1 runs and 1 pieces of feedback read." in out
        for number in (1, 2, 3, 5, 6, 8, 9):
            assert f"line {number} was left out" in err
        assert [run["name"] for run in found(capsys, "--feedback", "thumbs>0")] == ["good"]

    def test_a_file_that_cannot_be_finished_leaves_the_old_one(self, capsys, traces, tmp_path):
        folder = tmp_path / "no such folder"
        code, _, err = invoke(capsys, "export", "--output", str(folder / "x.jsonl"))
        assert code == 8
        assert "cannot be written" in err

    def test_prune_removes_what_is_older_than_the_settings_allow(
        self, capsys, traces, monkeypatch, store
    ):
        monkeypatch.setenv("GROUNDLING_TRACING__KEEP_DAYS", "0")
        code, out, _ = invoke(capsys, "prune", "--json")
        assert code == 0
        assert json.loads(out)["traces"] == 2
        left = {run.id for run in store.find()}
        assert left == {traces["answered"].id, traces["refused"].id}  # they have feedback


class TestRepair:
    def test_a_whole_file_stays(self, capsys, traces, store):
        code, out, _ = invoke(capsys, "repair")
        assert code == 0
        assert "is whole" in out
        assert store.file.exists()

    @pytest.mark.parametrize("how", ["header", "middle"])
    def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(self, capsys, traces, store, how):
        store.close()
        with store.file.open("r+b") as file:
            if how == "middle":
                file.seek(4096)
            file.write(b"\xa5" * 40_000)
        code, _, err = invoke(capsys, "list")
        assert code == 8
        assert "groundling trace repair" in err
        code, out, _ = invoke(capsys, "repair", "--json")
        assert code == 0
        told = json.loads(out)
        assert told["damage"]
        assert b"\xa5" * 100 in Path(told["moved"]).read_bytes()
        assert invoke(capsys, "list")[0] == 0

    def test_a_whole_file_is_moved_where_that_is_wanted(self, capsys, traces, store):
        store.close()
        _, out, _ = invoke(capsys, "repair", "--force", "--json")
        moved = sqlite3.connect(json.loads(out)["moved"])
        assert moved.execute("SELECT count(*) FROM runs").fetchone()[0] > 4
        moved.close()


def test_the_server_says_where_it_listens_and_ends_with_ctrl_c(home):
    program = "from groundling.cli import main; main()"
    command = [sys.executable, "-c", program, "trace", "serve", "--port", "0", "--json"]
    with interruptible(command) as process:
        address = json.loads(process.stdout.readline())["address"]
        with urllib.request.urlopen(f"{address}/info", timeout=30) as answer:
            assert "batch_ingest_config" in json.load(answer)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
    assert load().traces_path.exists()


def test_the_server_is_not_opened_to_others_without_a_key(capsys, home):
    code, _, err = invoke(capsys, "serve", "--host", "0.0.0.0", "--port", "0")
    assert code == 3
    assert "other machines" in err


def test_points_in_time_are_read():
    now = time.time_ns() // 1000
    assert now - when("90m") == pytest.approx(90 * 60 * SECOND, abs=SECOND)
    assert now - when("1.5h") == pytest.approx(90 * 60 * SECOND, abs=SECOND)
    assert now - when("7d") == pytest.approx(7 * DAY, abs=SECOND)
    local = datetime(2026, 11, 1, 14, 30).astimezone()
    assert when("2026-11-01T14:30") == int(local.timestamp()) * SECOND
    assert when("2026-11-01T14:30:00Z") == 1_793_543_400 * SECOND
    assert when("today") - when("yesterday") in (23 * 3600 * SECOND, DAY, 25 * 3600 * SECOND)
    assert when("9" * 400 + "d") < 0  # always
    assert when(5) == 5


@pytest.mark.parametrize("text", ["", "soon", "7", "h", "2026-13-01", "d7"])
def test_what_is_no_point_in_time_is_a_usage_error(text, capsys):
    with pytest.raises(click.BadParameter, match="is no time"):
        when(text)


def test_harmless_keeps_every_letter():
    assert harmless("가나 é 👍🏽 e\u0301 \u200d\n") == "가나 é 👍🏽 e\u0301 \u200d\n"
    assert harmless("a\tb\x1b[0m") == "a   b\ufffd[0m"


def test_plain_lines_are_as_long_as_they_need_to_be(store, traces):
    long = "가" * 190
    store.write(Trace(question=long).end())
    assert any(long in line for line in lines(run_table(store.find(), {}, width=None)))
