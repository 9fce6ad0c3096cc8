"""The application: it answers before it is open, says how far it is, and who may bind what."""

from __future__ import annotations

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
from prometheus_client.parser import text_string_to_metric_families

from groundling.errors import SettingsError
from groundling.home import Home
from groundling.server import application
from groundling.server.access import interface_of
from groundling.server.application import Application
from groundling.server.lease import lease
from groundling.server.person import Role
from groundling.server.run import listening, serve
from tests.scripted import ScriptedChat
from tests.server.live import Live, served, serving


@contextmanager
def open_(home: Path, scripted: ScriptedChat | None = None, **flags: Any) -> Iterator[httpx.Client]:
    """Serve without waiting for anything but the port."""
    flags["server"] = {"grace": 1.0}
    with (
        Home(home, **flags) as opened,
        listening(Application(opened, scripted)) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=30) as client,
    ):
        yield client


def until(client: httpx.Client, state: str) -> dict[str, Any]:
    """Wait for a state; the test's own time limit ends a wait that is in vain."""
    while (said := client.get("/ready").json())["status"] != state:
        assert said["status"] in ("opening", "loading", "no model"), said
        time.sleep(0.02)
    return dict(said)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold the reading of code up until the event is set."""
    go = threading.Event()
    read = application._read_code

    def wait() -> Any:
        go.wait(30)
        return read()

    monkeypatch.setattr(application, "_read_code", wait)
    yield go
    go.set()


def test_health_and_the_page_are_there_before_the_rest(
    home: Path, scripted: ScriptedChat, held: threading.Event
) -> None:
    with open_(home, scripted) as client:
        assert client.get("/health").json() == {"status": "ok"}
        told = client.get("/ready")
        assert (told.status_code, told.json()["status"]) == (503, "opening")
        assert told.headers["retry-after"]
        page = client.get("/")
        assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert client.get("/page/there-is-no-such-file").status_code == 404
        waiting: list[int] = []
        thread = threading.Thread(target=lambda: waiting.append(client.get("/ok").status_code))
        thread.start()
        assert client.get("/metrics").status_code == 200
        assert not waiting
        held.set()
        thread.join()
        assert waiting == [200]
        until(client, "ready")
        assert client.get("/ready").status_code == 200


def test_a_request_that_waited_too_long_is_told_to_come_again(
    home: Path,
    scripted: ScriptedChat,
    held: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(application, "_PATIENCE", 0.05)
    with open_(home, scripted) as client:
        answer = client.get("/v1/models")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "still opening" in answer.json()["error"]["message"]
        held.set()


def test_ending_while_it_opens_is_an_orderly_end(
    home: Path, scripted: ScriptedChat, held: threading.Event
) -> None:
    with open_(home, scripted):
        held.set()
    with served(home, scripted) as address:  # the home folder is free, and all of it opens
        assert httpx.get(f"{address}/ok", trust_env=False).json() == {"ok": True}


def test_a_home_that_cannot_be_opened_is_told_without_its_path(
    home: Path, scripted: ScriptedChat
) -> None:
    home.mkdir()
    (home / "state.sqlite").write_bytes(b"no database " * 1000)
    with open_(home, scripted) as client:
        while (told := client.get("/ready").json())["status"] == "opening":
            time.sleep(0.02)
        assert told["status"] == "failed"
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 200
        refused = client.get("/threads/x/state")
        assert refused.status_code == 503
        assert refused.json()["detail"] == told["reason"]
        assert str(home) not in refused.text + str(told)


def test_a_missing_model_may_come_later(
    home: Path, models_folder: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "_LOOK_AGAIN", 0.05)
    with open_(home, model={"name": "smollm2-135m"}) as client:
        told = until(client, "no model")
        assert "smollm2-135m is not on this machine" in told["reason"]
        assert told["hint"] == "groundling model pull smollm2-135m"
        body = {"model": "ask", "messages": [{"role": "user", "content": "Hello?"}]}
        refused = client.post("/v1/chat/completions", json=body)
        assert refused.status_code == 503
        assert "groundling model pull smollm2-135m" in refused.json()["error"]["message"]
        (home / "models").symlink_to(models_folder)
        until(client, "ready")
        answered = client.post("/v1/chat/completions", json={**body, "max_tokens": 4})
        assert answered.status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_others_are_not_let_in_without_users(host: str, home: Path) -> None:
    with Home(home) as opened:
        with pytest.raises(SettingsError, match="could read and change everything") as refused:
            serve(Application(opened), host, 0)
        assert "groundling user add NAME --role admin" in (refused.value.hint or "")
        Application(opened).admit("127.0.0.1")
        app = Application(opened)
        app.people.users.add("ann", Role.ADMIN)
        app.admit(host)


def test_a_further_name_wants_users_too(home: Path) -> None:
    with (
        Home(home, server={"names": ["chat.example"]}) as opened,
        pytest.raises(SettingsError, match=r"Under the name chat\.example"),
    ):
        serve(Application(opened), port=0)


def test_a_port_that_is_taken_is_told(home: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        Home(home) as opened,
        pytest.raises(SettingsError, match="something else listens there"),
    ):
        serve(Application(opened), port=taken.getsockname()[1])


def test_one_server_has_a_home_folder(home: Path, scripted: ScriptedChat) -> None:
    with served(home, scripted) as address, Home(home) as again:
        with pytest.raises(SettingsError, match="has this home folder already") as refused:
            serve(Application(again), port=0)
        assert address in str(refused.value)
    with served(home, scripted):
        pass


def test_a_killed_server_does_not_keep_its_home(home: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from groundling.server.lease import lease\n"
        "with lease(Path(sys.argv[1]), 'http://x'): print('has it', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        with pytest.raises(SettingsError, match="http://x, process"), lease(home, "http://y"):
            pass
        process.kill()
        process.wait()
    with lease(home, "http://y"):
        assert "http://y" in (home / "server.json").read_text()
    assert not (home / "server.json").exists()


@pytest.fixture
def live(home: Path, scripted: ScriptedChat) -> Iterator[Live]:
    with serving(home, scripted) as live:
        yield live


def samples(client: httpx.Client, **options: Any) -> dict[str, float]:
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    return {
        "|".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_run_is_counted(live: Live, scripted: ScriptedChat) -> None:
    scripted.enqueue("Five days.")
    with live.client() as client:
        body = {"assistant_id": "ask", "input": {"question": "How many days?"}}
        answer = client.post("/runs/wait", json=body)
        assert answer.json()["answer"] == "Five days."
        seen = samples(client)
    assert seen["groundling_runs_total|ask|success"] == 1
    assert seen["groundling_run_seconds_count|ask"] == 1
    assert seen["groundling_runs_running|ask"] == 0
    assert seen["groundling_queue_running"] == 0
    assert seen["groundling_http_requests_total|langgraph|POST|200"] == 1


@pytest.mark.parametrize("path", ["/threads", "/v1/responses", "/api/knowledge"])
def test_a_client_that_leaves_half_way_is_no_failure_of_the_server(
    live: Live, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    interface = interface_of(path)
    with live.client() as client:
        address = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(address) as leaving:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json"
            leaving.sendall(f"{head}\r\nContent-Length: 100\r\n\r\n{{".encode())
            time.sleep(0.1)  # it is being read
        while not (seen := samples(client)).keys() & {
            f"groundling_http_requests_total|{interface}|POST|{status}" for status in (499, 500)
        }:
            time.sleep(0.02)
    assert seen[f"groundling_http_requests_total|{interface}|POST|499"] == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_only_an_admin_reads_the_metrics_where_there_are_users(live: Live) -> None:
    people = live.app.people
    keys = {}
    for name, role in (("ann", Role.ADMIN), ("bob", Role.MEMBER)):
        people.users.add(name, role)
        keys[name] = people.keys.add(name, "test")[1]
    with live.client() as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"x-api-key": keys["bob"]}).status_code == 403
        assert samples(client, headers={"x-api-key": keys["ann"]})
        for path in ("/health", "/ready"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/v1/nothing", "/mcp/../x"])
def test_what_is_not_there_is_told_in_the_interface_s_shape(live: Live, path: str) -> None:
    with live.client() as client:
        answer = client.get(path)
    assert answer.status_code in (404, 405)
    assert answer.headers["x-request-id"]
    if path.startswith("/v1"):
        assert answer.json()["error"]["type"] == "invalid_request_error"
    else:
        assert "detail" in answer.json()
