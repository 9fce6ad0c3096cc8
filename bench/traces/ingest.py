"""Many clients that write at once: is everything there afterwards, and how fast did it come?

The server is a process of its own. Each client sends batches of runs as LangSmith's client
does (`POST /runs/multipart`, the begin and the end of each run as parts), one after the other,
and all clients at the same time.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.engines.figures import Table, percentile
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status
from groundling.tracing.store import TraceStore

BATCH = 10
_BOUNDARY = "part-of-the-load"
_HEADERS = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
_SERVER = """
import sys
from pathlib import Path
from groundling.evaluation.datasets import DatasetStore
from groundling.server.langsmith.app import application
from groundling.server.run import serve
from groundling.tracing.attach import redactor
from groundling.tracing.store import TraceStore
home = Path(sys.argv[1])
traces = TraceStore(home / "traces.sqlite", redactor() if sys.argv[2] == "redact" else None)
app = application(traces, DatasetStore(home / "evaluation.sqlite"))
serve(app, port=0, ready=lambda address: print(address, flush=True))
"""


@contextmanager
def server(home: Path, redact: bool) -> Iterator[str]:
    """Run the server in a process of its own; give its address."""
    child = subprocess.Popen(
        [sys.executable, "-c", _SERVER, home, "redact" if redact else "keep"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
    finally:
        child.terminate()
        child.communicate(timeout=30)


async def _client(
    http: httpx.AsyncClient, bodies: list[bytes], waits: list[float], go: asyncio.Event
) -> None:
    await go.wait()
    for body in bodies:
        begun = time.perf_counter()
        answer = await http.post("/runs/multipart", content=body, headers=_HEADERS)
        answer.raise_for_status()
        waits.append(time.perf_counter() - begun)


def _bodies(name: str, runs: int) -> list[bytes]:
    """Write a client's requests beforehand: it is the server that is timed."""
    names = [f"{name} run {number}" for number in range(runs)]
    return [
        b"".join(map(_parts, names[start : start + BATCH])) + f"--{_BOUNDARY}--\r\n".encode()
        for start in range(0, runs, BATCH)
    ]


def _parts(name: str) -> bytes:
    id = str(uuid.uuid4())
    now = datetime.now(UTC)
    common = {
        "id": id,
        "trace_id": id,
        "dotted_order": f"{now:%Y%m%dT%H%M%S%f}Z{id}",
        "session_name": "load",
    }
    begin = {**common, "name": "rag", "run_type": "chain", "start_time": now.isoformat()}
    end = {**common, "end_time": now.isoformat()}
    parts = {
        f"post.{id}": begin,
        f"post.{id}.inputs": {"question": f"How many days may I carry over? {name}"},
        f"patch.{id}": end,
        f"patch.{id}.outputs": {"answer": "Up to 6 days of unused leave. " * 10},
    }
    written = []
    for part, value in parts.items():
        body = json.dumps(value)
        written.append(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{part}"\r\n'
            f"Content-Type: application/json; length={len(body)}\r\n\r\n{body}\r\n"
        )
    return "".join(written).encode()


async def _load(address: str, clients: int, runs: int) -> tuple[float, list[float]]:
    waits: list[float] = []
    go = asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as http:
        tasks = [
            asyncio.create_task(_client(http, _bodies(f"client {n}", runs), waits, go))
            for n in range(clients)
        ]
        begun = time.perf_counter()
        go.set()
        await asyncio.gather(*tasks)
        return time.perf_counter() - begun, waits


def measure(*, clients: int, runs: int) -> list[Table]:
    """Let the clients write, and count what arrived."""
    table = Table(
        f"{clients} clients at once, {runs} runs each, {BATCH} a request",
        ["", "sent", "stored whole", "lost", "runs/s", "wait p50 ms", "wait p95 ms"],
        notes=["Client and server share the processors."],
    )
    for redact in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            with server(Path(folder), redact) as address:
                seconds, waits = asyncio.run(_load(address, clients, runs))
                # Counted before the server ends: what was answered is on the disk.
                with TraceStore(Path(folder) / "traces.sqlite") as store:
                    whole = store.count(RunFilter(status=[Status.SUCCESS], project="load"))
            sent = clients * runs
            table.add(
                "redacted" if redact else "as it comes",
                sent,
                whole,
                sent - whole,
                sent / seconds,
                1e3 * percentile(waits, 0.5),
                1e3 * percentile(waits, 0.95),
            )
    return [table]
