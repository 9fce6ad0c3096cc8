"""The server as a process: how it starts, how it ends, and what is there after a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status
from groundling.tracing.store import TraceStore

PROGRAM = [sys.executable, "-c", "from groundling.cli import main; main()"]
QUESTION = {"question": "Tell a long story about a lighthouse."}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")


class Server:
    """A server in a process of its own.

    Args:
        process: of it.
        said: the lines that came on stdout so far.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.log = log
        self.said: list[dict[str, Any]] = []
        self.address = self.next()["address"]
        self.client = httpx.Client(base_url=self.address, trust_env=False, timeout=60)

    def next(self) -> dict[str, Any]:
        """Wait for the next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        self.said.append(json.loads(line))
        return self.said[-1]

    def until(self, state: str) -> None:
        """Wait until it says that it is so far."""
        while self.next().get("state") != state:
            assert self.said[-1].get("state") not in ("failed", "no model"), self.said

    def end(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(60)


@contextmanager
def running(home: Path, *options: str, **settings: Any) -> Iterator[Server]:
    """Run `groundling serve` with settings of the section `server`."""
    given = {f"GROUNDLING_SERVER__{name.upper()}": str(value) for name, value in settings.items()}
    log = home.with_name("server.log")
    command = [*PROGRAM, "--home", str(home), "--model", "smollm2-135m"]
    command += ["serve", "--port", "0", "--json", "--log", "json", *options]
    with (
        log.open("a") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **given},
        ) as process,
    ):
        try:
            server = Server(process, log)
            with server.client:
                yield server
        finally:
            process.kill()


class Reader(threading.Thread):
    """Reads the events of a run in a thread.

    Args:
        server: that is asked.
        tokens: the longest answer.
    """

    def __init__(self, server: Server, tokens: int, thread: str | None = None) -> None:
        super().__init__()
        self.events: list[tuple[str, Any]] = []
        self.begun = threading.Event()
        self._server = server
        self._path = f"/threads/{thread}/runs/stream" if thread else "/runs/stream"
        self._body = {
            "assistant_id": "ask",
            "input": QUESTION,
            "stream_mode": ["messages-tuple", "values"],
            "config": {"configurable": {"max_tokens": tokens, "temperature": 0}},
        }

    def run(self) -> None:
        """Read to the end; a connection that breaks is an end, too."""
        name = ""
        try:
            with (
                httpx.Client(base_url=self._server.address, trust_env=False, timeout=60) as client,
                client.stream("POST", self._path, json=self._body) as response,
            ):
                for line in response.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        self.events.append((name, json.loads(line[6:])))
                        if name == "messages":
                            self.begun.set()
        except httpx.TransportError as error:
            self.events.append(("broken", repr(error)))
        finally:
            self.begun.set()


@pytest.fixture
def folder(home_with_models: Path) -> Path:
    return home_with_models


def test_it_says_where_it_is_how_far_it_is_and_ends_with_0(folder: Path) -> None:
    with running(folder) as server:
        assert server.client.get("/health").status_code == 200
        assert server.client.get("/").status_code == 200
        server.until("ready")
        assert server.client.get("/ready").status_code == 200
        assert [said.get("state") for said in server.said] == [None, "loading", "ready"]
        assert server.end() == 0
        assert server.next()["state"] == "ending"
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {"time", "level", "event"} <= lines[0].keys()
    requests = [line for line in lines if line["logger"] == "groundling.server.access"]
    assert any((line["event"], line["status"]) == ("GET /", 200) for line in requests)


def test_ctrl_c_ends_it_while_it_still_opens(folder: Path) -> None:
    with running(folder) as server:
        assert server.end(signal.SIGINT) == 0


def test_what_is_wrong_is_told_before_it_listens(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, told in (
            (["--port", port], "something else listens there"),
            (["--host", "0.0.0.0", "--port", "0"], "groundling user add NAME --role admin"),
        ):
            command = [*PROGRAM, "--home", str(folder), "serve", *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 3, done.stderr
            assert told in done.stderr
            assert "Traceback" not in done.stderr
            assert not done.stdout


def test_a_running_answer_is_finished_and_no_new_one_begun(folder: Path) -> None:
    with running(folder, grace=60) as server:
        server.until("ready")
        reader = Reader(server, tokens=160)
        reader.start()
        reader.begun.wait(60)
        server.process.send_signal(signal.SIGTERM)
        server.until("ending")
        body = {"assistant_id": "ask", "input": QUESTION}
        refused = server.client.post("/runs/wait", json=body)
        asked = {"model": "ask", "messages": [{"role": "user", "content": "Hello"}]}
        refused_too = server.client.post("/v1/chat/completions", json=asked)
        ready = server.client.get("/ready")
        reader.join()
        assert server.process.wait(60) == 0
    assert (refused.status_code, refused_too.status_code) == (503, 503)
    assert refused.headers["retry-after"]
    assert (ready.status_code, ready.json()["status"]) == (503, "ending")
    assert {name for name, _ in reader.events} <= {"metadata", "messages", "values"}
    assert reader.events[-1][1]["answer"]
    with TraceStore(folder / "traces.sqlite") as traces:
        (run,) = traces.find(RunFilter())
        assert (run.name, run.status) == ("ask", Status.SUCCESS)


@pytest.mark.parametrize("hurry", [False, True])
def test_what_takes_longer_is_stopped_and_its_reader_told(folder: Path, hurry: bool) -> None:
    with running(folder, grace=60 if hurry else 0.3) as server:
        server.until("ready")
        reader = Reader(server, tokens=4000)
        reader.start()
        reader.begun.wait(60)
        server.process.send_signal(signal.SIGTERM)
        if hurry:
            server.until("ending")
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(40) == 0
        reader.join()
    name, told = reader.events[-1]
    assert (name, told["error"]) == ("error", "ServerEnding"), reader.events[-1]


def test_a_third_signal_does_not_wait_for_anything(folder: Path) -> None:
    with running(folder, grace=60) as server:
        server.until("ready")
        reader = Reader(server, tokens=4000)
        reader.start()
        reader.begun.wait(60)
        for _ in range(4):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert server.process.wait(40) in (0, 128 + signal.SIGINT)
        reader.join()


def test_after_a_kill_a_background_run_goes_on_and_a_stream_is_marked(folder: Path) -> None:
    with running(folder) as server:
        server.until("ready")
        kept, streamed = (
            server.client.post("/threads", json={}).json()["thread_id"] for _ in range(2)
        )
        body = {"assistant_id": "ask", "input": QUESTION}
        body |= {"config": {"configurable": {"max_tokens": 400, "temperature": 0}}}
        run = server.client.post(f"/threads/{kept}/runs", json=body).json()["run_id"]
        reader = Reader(server, tokens=400, thread=streamed)
        reader.start()
        reader.begun.wait(60)
        server.process.kill()
        server.process.wait()
        reader.join()
        assert reader.events[-1][0] == "broken"
    with running(folder) as server:
        server.until("ready")
        values = server.client.get(f"/threads/{kept}/runs/{run}/join", timeout=120).json()
        assert values["answer"]
        assert server.client.get(f"/threads/{kept}/runs/{run}").json()["status"] == "success"
        (broken,) = server.client.get(f"/threads/{streamed}/runs").json()
        assert broken["status"] == "error"
        assert server.client.get(f"/threads/{streamed}").json()["status"] != "busy"
        short = {"assistant_id": "ask", "input": {"question": "Hello?"}}
        short |= {"config": {"configurable": {"max_tokens": 4}}}
        again = server.client.post(f"/threads/{streamed}/runs/wait", json=short)
        assert again.json()["answer"]
        assert server.end() == 0
