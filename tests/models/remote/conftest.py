"""llama.cpp's own server with SmolLM2, and a server that answers whatever a test wants."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).with_name("llama_server.py")
Reply = Callable[["Handler"], None]


@contextmanager
def serving(model: Path, *key: str) -> Iterator[str]:
    """Run llama.cpp's server in a child process; give its OpenAI-compatible address."""
    process = subprocess.Popen(
        [sys.executable, SERVER, model, *key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"OMP_WAIT_POLICY": "passive"},
    )
    with process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), "the server did not start"
            yield f"{address}/v1"
        finally:
            process.kill()


@pytest.fixture(scope="session")
def llama_server(smollm2: Path) -> Iterator[str]:
    """Return the address of llama.cpp's server, which runs SmolLM2 for all tests."""
    with serving(smollm2) as address:
        yield address


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says, and keeps what was asked."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def send(self, body: bytes | dict[str, Any], status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if isinstance(body, dict):
            self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.path, dict(self.headers), body))
        reply = self.server.replies.get(self.path)
        if reply is None:
            self.send(b"no such path", 404)
        else:
            reply(self)


class ScriptedServer(ThreadingHTTPServer):
    """A server on a free port whose answers a test puts in."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, Reply] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def on(self, path: str, body: bytes | dict[str, Any], status: int = 200, **h: str) -> None:
        """Answer a path."""
        self.replies[path] = lambda handler: handler.send(body, status, **h)

    def models(self, *names: str, **fields: Any) -> None:
        """Answer which models there are."""
        self.on("/v1/models", {"data": [{"id": name, **fields} for name in names]})

    @property
    def last(self) -> dict[str, Any]:
        """The last request's body."""
        return self.asked[-1][2]


@pytest.fixture
def scripted_server() -> Iterator[ScriptedServer]:
    """Serve what the test says; one model, `small`, of no special kind of server."""
    with ScriptedServer() as server:
        server.models("small")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
