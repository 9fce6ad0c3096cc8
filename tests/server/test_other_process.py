"""A LangGraph program in another process appears whole, with two variables and no change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status, StoredRun
from tests.server.conftest import Running, running

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run the program against a server."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY") and not name.startswith(("LANGSMITH", "LANGCHAIN"))
    }
    with running(tmp_path_factory.mktemp("seen")) as server:
        done = subprocess.run(
            [sys.executable, str(PROGRAM)],
            env=inherited | {"LANGSMITH_TRACING": "true", "LANGSMITH_ENDPOINT": server.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "the shelf is empty" in done.stdout
        assert "LangSmith" not in done.stderr, done.stderr
        yield server


def trace(server: Running, name: str, status: Status | None = None) -> list[StoredRun]:
    wanted = RunFilter(name=f"assistant {name}", status=[status] if status else [])
    (root,) = server.traces.find(wanted)
    return server.traces.trace(root.trace)


def outline(runs: list[StoredRun]) -> list[tuple[str, str, str]]:
    return [(run.name, run.run_type, str(run.status)) for run in runs]


def test_all_traces_are_there(seen: Running) -> None:
    roots = seen.traces.find(RunFilter(), limit=100)
    assert sorted(run.name for run in roots) == [
        "assistant async 0",
        "assistant async 1",
        "assistant async 2",
        "assistant broken",
        "assistant interrupted",
        "assistant interrupted",
        "assistant plain",
        "assistant streamed",
    ]
    assert {run.project for run in roots} == {"default"}
    assert seen.traces.count(RunFilter(roots=None, status=[Status.RUNNING])) == 0
    assert seen.traces.drops() == {}


def test_a_trace_has_every_node_with_its_tokens_tags_and_metadata(seen: Running) -> None:
    runs = trace(seen, "plain")
    assert outline(runs) == [
        ("assistant plain", "chain", "success"),
        ("look_up", "chain", "success"),
        ("count_days", "tool", "success"),
        ("ask_person", "chain", "success"),
        ("answer", "chain", "success"),
        ("Parrot", "llm", "success"),
    ]
    root, _, tool, _, node, model = runs
    assert [run.node for run in runs] == [
        None,
        "look_up",
        "look_up",
        "ask_person",
        "answer",
        "answer",
    ]
    assert {run.graph for run in runs} == {"assistant plain"}
    assert root.tags == ["tag plain"]
    assert root.thread == "plain"
    payloads = seen.traces.payloads(runs)
    assert all(payloads[run.seq].metadata["customer"] == "plain" for run in runs)
    assert (model.input_tokens, model.output_tokens) == (20, 4)
    assert (root.input_tokens, root.output_tokens) == (20, 4)
    assert (root.preview, root.answer) == ("hello", "You said: 366 days")
    assert payloads[tool.seq].outputs is not None
    assert "366" in str(payloads[tool.seq].outputs)
    assert node.parent == root.id
    assert model.parent == node.id
    assert all(run.duration is not None and run.duration >= 0 for run in runs)


def test_an_interrupt_is_shown_as_one_and_the_resumed_trace_succeeds(seen: Running) -> None:
    stopped = trace(seen, "interrupted", Status.INTERRUPTED)
    assert [(run.name, run.status) for run in stopped] == [
        ("assistant interrupted", Status.INTERRUPTED),
        ("look_up", Status.SUCCESS),
        ("count_days", Status.SUCCESS),
        ("ask_person", Status.INTERRUPTED),
    ]
    resumed = trace(seen, "interrupted", Status.SUCCESS)
    assert [run.name for run in resumed] == [
        "assistant interrupted",
        "ask_person",
        "answer",
        "Parrot",
    ]
    assert {run.status for run in resumed} == {Status.SUCCESS}


def test_an_error_is_shown_where_it_happened(seen: Running) -> None:
    runs = trace(seen, "broken")
    assert [(run.name, run.status) for run in runs] == [
        ("assistant broken", Status.ERROR),
        ("look_up", Status.ERROR),
    ]
    assert all((run.error or "").startswith("RuntimeError('the shelf is empty')") for run in runs)


def test_a_stream_has_its_first_token(seen: Running) -> None:
    runs = trace(seen, "streamed")
    model = runs[-1]
    assert model.name == "Parrot"
    assert model.first_token is not None
    assert model.duration is not None
    assert 0 <= model.first_token <= model.duration
    assert (model.input_tokens, model.output_tokens) == (20, 4)
    assert model.answer == "You said: 366 days"


@pytest.mark.parametrize("n", range(3))
def test_traces_that_run_at_once_are_kept_apart(seen: Running, n: int) -> None:
    runs = trace(seen, f"async {n}")
    assert len(runs) == 6
    assert {run.status for run in runs} == {Status.SUCCESS}
    assert runs[0].preview == f"async {n}"
    assert all(seen.traces.payload(run).metadata["customer"] == f"async {n}" for run in runs)
