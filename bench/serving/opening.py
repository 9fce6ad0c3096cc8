"""From starting the program to its first answers, each time a new process and home folder."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.engines.figures import Table, percentile

_PATIENCE_SECONDS = 120
PATHS = ("/health", "/", "/ok", "/ready")


def measure(model: str, models: Path, rounds: int, tell: Callable[[str], None]) -> list[Table]:
    """Start `groundling serve` so often, and ask for each path until it answers with 200."""
    times: dict[str, list[float]] = {path: [] for path in PATHS}
    slowest: list[float] = []
    ends: list[float] = []
    for n in range(rounds):
        tell(f"start: {n + 1} of {rounds}")
        took, late, end = _once(model, models)
        for path, seconds in took.items():
            times[path].append(seconds)
        slowest.append(late)
        ends.append(end)
    table = Table(
        f"Seconds from the start of `groundling --model {model} serve` to the first 200",
        ["", "p50", "most"],
    )
    for path in PATHS:
        table.add(path, percentile(times[path], 0.5), max(times[path]))
    table.add("longest /health while the rest opens", percentile(slowest, 0.5), max(slowest))
    table.add("SIGTERM to the end, nothing running", percentile(ends, 0.5), max(ends))
    table.notes.append(f"{rounds} starts. /ok is the first of LangGraph's routes; /ready: a model.")
    return [table]


def _once(model: str, models: Path) -> tuple[dict[str, float], float, float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="groundling-bench-") as folder:
        (Path(folder) / "models").symlink_to(models)
        program = str(Path(sys.executable).with_name("groundling"))
        command = [program, "--home", folder, "--model", model, "serve", "--port", str(port)]
        began = time.perf_counter()
        child = subprocess.Popen(
            command,
            env={**os.environ, "GROUNDLING_SERVER__REQUESTS_PER_MINUTE": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            took = {path: _until(port, path, began) for path in ("/health", "/")}
            late = 0.0
            while "/ready" not in took and time.perf_counter() - began < _PATIENCE_SECONDS:
                asked = time.perf_counter()
                _get(port, "/health")
                late = max(late, time.perf_counter() - asked)
                if _get(port, "/ready") == 200:
                    took["/ready"] = time.perf_counter() - began
                time.sleep(0.01)
            took["/ok"] = _until(port, "/ok", began)
            ended = time.perf_counter()
            child.send_signal(signal.SIGTERM)
            code = child.wait(_PATIENCE_SECONDS)
            if code != 0:
                raise RuntimeError(f"It ended with exit code {code}.")
            return took, late, time.perf_counter() - ended
        finally:
            child.kill()
            child.wait()


def _until(port: int, path: str, began: float) -> float:
    while time.perf_counter() - began < _PATIENCE_SECONDS:
        if _get(port, path) == 200:
            return time.perf_counter() - began
        time.sleep(0.005)
    raise RuntimeError(f"{path} did not answer within {_PATIENCE_SECONDS} seconds.")


def _get(port: int, path: str) -> int:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()
    return 0
