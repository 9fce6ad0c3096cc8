"""`trace replay` and `trace export --otlp`, as a person calls them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from groundling import Home
from groundling.cli import main
from groundling.tracing import attach
from tests.scripted import ScriptedChat
from tests.tracing.collector import Collector

COMMAND = (sys.executable, "-c", "from groundling.cli import main; main()")


@pytest.fixture
def recorded(home):
    """Return the home folder with two traces in it."""
    with Home() as opened:
        graph = opened.graph("ask", model=ScriptedChat(["17 days", "18 days"]))
        for question in ("How much leave?", "And next year?"):
            graph.invoke({"question": question})
    attach.detach()
    return home


@pytest.fixture
def collector():
    found = Collector()
    yield found
    found.close()


def invoke(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_whole_traces_are_sent_to_a_collector(recorded, collector, capsys):
    code, out, _ = invoke(capsys, "trace", "export", "--otlp", collector.address)
    assert (code, out) == (0, f"Sent to {collector.address}: traces 2, runs 10.\n")
    assert len(collector.spans) == 10


def test_the_filters_choose_and_headers_go_along(recorded, collector, capsys):
    code, out, _ = invoke(
        capsys, "trace", "export", "--otlp", collector.address, "--json", "-n", "1", "--node",
        "answer", "--header", "x-key=a=b",
    )  # fmt: skip
    assert code == 0
    report = json.loads(out)
    assert (report["traces"], report["spans"], report["complete"]) == (1, 5, True)
    assert collector.requests[0][1]["x-key"] == "a=b"


def test_another_machine_is_refused_with_the_way_to_allow_it(recorded, capsys):
    code, out, err = invoke(capsys, "trace", "export", "--otlp", "https://collector.example")
    assert (code, out) == (8, "")
    assert "groundling config set tracing.upload true" in err


def test_what_was_not_taken_fails_the_command(recorded, capsys):
    collector = Collector((400, b"no"))
    try:
        code, _, err = invoke(capsys, "trace", "export", "--otlp", collector.address)
    finally:
        collector.close()
    assert code == 8
    assert "10 runs were not taken" in err
    assert "HTTP 400: no" in err


@pytest.mark.parametrize(
    "options",
    [
        ["--header", "x=1"],
        ["--otlp", "http://127.0.0.1:1", "-o", "x"],
        ["--otlp", "http://127.0.0.1:1", "--header", "x"],
    ],
)
def test_options_that_do_not_go_together_are_refused(recorded, capsys, options):
    assert invoke(capsys, "trace", "export", *options)[0] == 2


def test_what_cannot_be_replayed_is_said_with_the_next_step(recorded, capsys):
    code, out, err = invoke(capsys, "trace", "replay", "last")
    assert (code, out) == (9, "")
    assert "ScriptedChat" in err
    assert "--model ID" in err
    code, _, err = invoke(capsys, "trace", "replay", "last", "--model", "smollm2-135m")
    assert code == 4
    assert "groundling model pull smollm2-135m" in err


@pytest.mark.model
def test_a_question_is_replayed_in_another_process(home_with_models):
    (home_with_models / "config.toml").write_text(
        '[model]\nname = "smollm2-135m"\ncontext = 1024\nmax_tokens = 24\nmeasure = false\n'
        "temperature = 0.8\nseed = 5\n[download]\noffline = true\n",
        encoding="utf-8",
    )

    def run(*arguments):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    answer = run("ask", "Why is the sky blue?").strip()
    found = json.loads(run("trace", "replay", "last", "--json"))
    assert found["same"], found["differences"]
    assert found["fork"] is None
    assert found["replayed"]["answer"].split() == answer.split()
    assert found["replayed"]["id"] != found["original"]["id"]
