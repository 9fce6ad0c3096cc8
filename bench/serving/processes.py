"""The servers that are measured, each in a process of its own, in a home folder of its own.

python -m bench.serving.processes HOME MODEL HOLD SETTINGS     the child; prints its address
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

ECHO = "echo"
_PATIENCE_SECONDS = 180
_ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """A server that runs.

    Args:
        address: such as http://127.0.0.1:40123.
        pid: of the process that answers.
        home: its home folder; None where it has none.
    """

    address: str
    pid: int
    home: Path | None = None

    @property
    def memory(self) -> float:
        """Megabytes that the process and its children have for themselves."""
        everyone = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        return sum(one.memory_full_info().uss for one in everyone) / 1e6

    @property
    def files(self) -> int:
        """Open files and connections."""
        return psutil.Process(self.pid).num_fds()


@contextmanager
def groundling(
    model: str = ECHO,
    *,
    models: Path | None = None,
    hold: float = 0.0,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Process]:
    """Run `groundling serve` in a fresh home folder, until the block ends.

    Args:
        model: `echo`, or the id of a model.
        models: the folder that has it.
        hold: seconds that `echo` waits before each answer.
        settings: of the configuration file, by section.
    """
    with tempfile.TemporaryDirectory(prefix="groundling-bench-") as folder:
        home = Path(folder)
        if models is not None:
            (home / "models").symlink_to(models)
        wanted = {"server": {"requests_per_minute": 0, "grace": 2.0}, **(settings or {})}
        command = [
            sys.executable, "-m", "bench.serving.processes",
            folder, model, str(hold), json.dumps(wanted),
        ]  # fmt: skip
        log = home / "server.log"
        with log.open("wb") as errors, _child(command, errors) as child:
            assert child.stdout is not None
            address = child.stdout.readline().decode().strip()
            _wait(f"{address}/ready", child, log)
            yield Process(address, child.pid, home)


@contextmanager
def langgraph_dev() -> Iterator[Process | None]:
    """Run LangGraph's own development server with the same graph and model; None without it."""
    program = Path(sys.executable).with_name("langgraph")
    if not program.exists():
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="groundling-bench-") as folder:
        command = [
            str(program), "dev", "--config", "langgraph.json",
            "--host", "127.0.0.1", "--port", str(port),
            "--no-browser", "--no-reload", "--n-jobs-per-worker", "64",
        ]  # fmt: skip
        # It finds the graph from where it runs, and leaves its own files there.
        shutil.copytree(_ROOT / "bench/serving/dev", folder, dirs_exist_ok=True)
        log = Path(folder) / "server.log"
        more = {
            "GROUNDLING_HOME": folder,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path[1:]]),
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "LANGSMITH_TRACING": "false",
        }
        with log.open("wb") as errors, _child(command, errors, folder, more) as child:
            address = f"http://127.0.0.1:{port}"
            _wait(f"{address}/ok", child, log)
            yield Process(address, child.pid)


@contextmanager
def _child(
    command: list[str],
    stderr: IO[bytes],
    folder: str | Path = _ROOT,
    more: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **(more or {})}
    # Nobody reads on what a server prints after its address; LangGraph's prints its log there.
    stdout = subprocess.PIPE if more is None else stderr
    child = subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout, stderr=stderr)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _wait(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer:\n{log.read_text(errors='replace')[-3000:]}")


def main() -> None:
    """Serve until a signal comes."""
    from bench.serving.echo import Echo
    from groundling.home import Home
    from groundling.server.application import Application
    from groundling.server.logs import logging_to
    from groundling.server.run import serve

    folder, name, hold, settings = sys.argv[1:]
    flags: dict[str, Any] = json.loads(settings)
    if name != ECHO:
        flags["model"] = {"name": name, **flags.get("model", {})}
    with logging_to(form="json"), Home(folder, **flags) as home:
        model = Echo(hold=float(hold)) if name == ECHO else None
        app = Application(home, model)
        serve(app, port=0, ready=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main()
