"""llama.cpp's C++ server in a child process: from the `xllamacpp` wheel, or a binary.

    python -m bench.engines.server FILE SLOTS CONTEXT THREADS    the child; prints its port

The wheel is a portable build (AVX2). A `llama-server` that was compiled for this machine
from the sources that llama-cpp-python brings tells the server apart from its build.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.engines.contenders import Server
from groundling.models.cpu import default_threads

_PATIENCE_SECONDS = 180


def start(path: Path, slots: int, context: int, binary: Path | None = None) -> Server:
    """Start a server and wait until it answers.

    Args:
        path: of the model.
        slots: chats at once.
        context: tokens of each slot.
        binary: a `llama-server`; default: the one in `xllamacpp`.
    """
    threads = str(default_threads())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if binary is None:
        name = "C++ server (portable)"
        command = [
            sys.executable, "-m", "bench.engines.server",
            str(path), str(slots), str(context), threads, str(port),
        ]  # fmt: skip
    else:
        name = "C++ server (native)"
        command = [
            str(binary), "-m", str(path), "--host", "127.0.0.1", "--port", str(port),
            "-np", str(slots), "-c", str(slots * context), "-t", threads, "-tb", threads,
            "--no-webui",
        ]  # fmt: skip
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, env=environment
    )

    def end() -> None:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()

    try:
        _wait(child, port)
    except BaseException:
        end()
        raise
    return Server(name, port, end)


def _wait(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"The C++ server ended at its start (exit code {child.returncode}).")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    raise RuntimeError(f"The C++ server did not answer within {_PATIENCE_SECONDS} seconds.")


def main() -> None:
    """Serve until standard input is closed."""
    path, slots, context, threads, port = sys.argv[1:]
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_parallel = int(slots)
    params.n_ctx = int(slots) * int(context)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    server = xllamacpp.Server(params)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
