"""The server process: where it listens, whom it answers, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from langsmith import Client, traceable, tracing_context
from langsmith.schemas import Attachment
from langsmith.utils import LangSmithAuthError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from groundling.errors import SettingsError
from groundling.evaluation.datasets import DatasetStore
from groundling.server.guard import Guard
from groundling.server.langsmith.app import application
from groundling.server.run import bind, is_loopback, listening
from groundling.tracing.query import RunFilter
from groundling.tracing.store import TraceStore
from tests.server.conftest import Running
from tests.server.forms import CONTENT_TYPE, form, parts_of, run

KEY = "a key that is long enough"
SERVE = """
import sys
from pathlib import Path
from groundling.evaluation.datasets import DatasetStore
from groundling.server.langsmith.app import application
from groundling.server.run import serve
from groundling.tracing.store import TraceStore
folder = Path(sys.argv[1])
with TraceStore(folder / "traces.sqlite") as traces:
    with DatasetStore(folder / "evaluation.sqlite") as datasets:
        serve(application(traces, datasets), port=0, ready=lambda url: print(url, flush=True))
print("ended")
"""


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


HELLO = Starlette(routes=[Route("/", hello), Route("/attachments/x", hello)])


def ask(app: Guard, path: str = "/", **headers: str) -> int:
    """Ask an application directly, under any name."""

    async def go() -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://unused") as client:
            return (await client.get(path, headers=headers)).status_code

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1984", 200),
        ("LOCALHOST:80", 200),
        ("[::1]:1984", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:1984", 403),
        ("evil.example:127", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str, status: int) -> None:
    guarded = Guard(HELLO, {"127.0.0.1", "localhost", "::1"}, None)
    assert ask(guarded, Host=host) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:1984", 200),
        ("https://evil.example", 403),
        ("http://127.0.0.1:9999", 403),
        ("null", 403),
    ],
)
def test_pages_of_others_may_not_ask(origin: str, status: int) -> None:
    guarded = Guard(HELLO, {"127.0.0.1"}, None)
    assert ask(guarded, Host="127.0.0.1:1984", Origin=origin) == status


def test_the_key_is_demanded_of_everybody() -> None:
    guarded = Guard(HELLO, None, KEY)
    assert ask(guarded) == 401
    assert ask(guarded, **{"x-api-key": KEY[:-1]}) == 401
    assert ask(guarded, **{"x-api-key": KEY}) == 200
    assert ask(guarded, **{"X-API-KEY": KEY, "Host": "anything.example"}) == 200
    assert ask(guarded, "/attachments/x") == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "some.machine"])
@pytest.mark.parametrize("key", [None, "short"])
def test_others_are_not_let_in_without_a_key(host: str, key: str | None) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match="other machines could read") as refused:
        bind(host, 0, key)
    assert "at least 16 characters" in (refused.value.hint or "")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1 port {port} cannot be bound: some"):
            bind("127.0.0.1", port)
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1 port 0 cannot be bound"):
        bind("192.0.2.1", 0, KEY)


def test_a_client_needs_the_key_and_gets_attachments_with_it(tmp_path: Path) -> None:
    @traceable
    def look(picture: Attachment) -> str:
        return "seen"

    with (
        TraceStore(tmp_path / "traces.sqlite") as traces,
        DatasetStore(tmp_path / "evaluation.sqlite") as datasets,
        listening(application(traces, datasets), key=KEY) as url,
    ):
        stranger = Client(api_url=url, api_key="wrong", auto_batch_tracing=False)
        with pytest.raises(LangSmithAuthError, match="LANGSMITH_API_KEY"):
            stranger.read_project(project_name="x")
        friend = Client(api_url=url, api_key=KEY)
        with tracing_context(enabled=True, client=friend, project_name="keyed"):
            look(Attachment("image/png", b"pixels"))
        friend.flush()
        (seen,) = traces.find(RunFilter(roots=None))
        answer = httpx.get(f"{url}/runs/{seen.id}", headers={"x-api-key": KEY}, trust_env=False)
        path = answer.json()["s3_urls"]["attachment.picture"]["presigned_url"]
        fetched = httpx.get(url + path, trust_env=False)
        assert (fetched.content, fetched.headers["content-type"]) == (b"pixels", "image/png")
        assert "sandbox" in fetched.headers["content-security-policy"]
        assert httpx.get(url + path[:-1] + "x", trust_env=False).status_code == 403
        for client in (friend, stranger):
            client.close()
            client.session.close()


def test_the_application_can_be_mounted_in_another(tmp_path: Path) -> None:
    with (
        TraceStore(tmp_path / "traces.sqlite") as traces,
        DatasetStore(tmp_path / "evaluation.sqlite") as datasets,
    ):
        inner = application(traces, datasets)
        outer = Starlette()
        outer.mount("/langsmith", inner)
        with listening(outer) as url:
            body = form(parts_of(run("mounted")))
            answer = httpx.post(
                f"{url}/langsmith/runs/multipart",
                content=body,
                headers={"Content-Type": CONTENT_TYPE},
                trust_env=False,
            )
            assert answer.status_code == 202
            assert traces.count(RunFilter(roots=None)) == 1
        inner.state.service.close()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def post(url: str, name: str) -> UUID:
    fields = run(name, uuid.uuid4())
    answer = httpx.post(
        f"{url}/runs/multipart",
        content=form(parts_of(fields, inputs={"a": 1})),
        headers={"Content-Type": CONTENT_TYPE},
        trust_env=False,
    )
    assert answer.status_code == 202
    return UUID(fields["id"])


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")
def test_what_was_answered_is_there_when_the_process_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url):
        sent = {post(url, f"run {n}") for n in range(20)}
        process.send_signal(signal.SIGKILL)
        process.wait()
    with TraceStore(tmp_path / "traces.sqlite") as traces:
        assert {each.id for each in traces.find(RunFilter(roots=None), limit=100)} == sent


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")
def test_an_interrupt_ends_the_server_in_good_order(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, url):
        post(url, "last")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert out.strip() == "ended"
        assert process.returncode == 0


def test_the_server_says_what_it_can(server: Running) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        info = http.get("/info").json()
        assert info["batch_ingest_config"]["use_multipart_endpoint"]
        assert info["instance_flags"]["zstd_compression_enabled"]
        assert http.get("/api/v1/info").json() == info
        assert http.get("/ok").json() == {"ok": True}
        assert http.get("/settings").json()["display_name"] == "Groundling"
        answer = http.get("/info")
        assert "server" not in answer.headers
        assert not any(name.startswith("access-control") for name in answer.headers)
