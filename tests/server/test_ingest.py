"""Requests over HTTP: what is stored, what is answered, and that nothing is lost."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
import zstandard

from groundling.server.langsmith.service import Limits
from groundling.tracing.query import RunFilter
from groundling.tracing.run import Status
from tests.server.conftest import Running, running
from tests.server.forms import BOUNDARY, CONTENT_TYPE, form, part, parts_of, run

EVERYTHING = RunFilter(roots=None)


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Talk to a server that all tests share which store nothing."""
    with (
        running(tmp_path_factory.mktemp("refusing")) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        yield client
        assert server.traces.count(EVERYTHING) == 0


def send(http: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    return http.post(
        "/runs/multipart",
        content=body,
        headers={
            "Content-Type": CONTENT_TYPE,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


@pytest.mark.parametrize("prefix", ["", "/api/v1", "/v1", "/api"])
def test_runs_are_stored_when_they_are_answered(
    server: Running, http: httpx.Client, prefix: str
) -> None:
    fields = run("graph")
    body = form(parts_of(fields, inputs={"q": 1}, outputs={"a": 2}))
    answer = http.post(
        f"{prefix}/runs/multipart", content=body, headers={"Content-Type": CONTENT_TYPE}
    )
    assert (answer.status_code, answer.json()) == (202, {})
    stored = server.traces.run(UUID(fields["id"]))
    assert stored is not None
    assert (stored.name, stored.project, stored.status) == ("graph", "forms", Status.SUCCESS)
    assert server.traces.payload(stored).outputs == {"a": 2}


def test_compressed_runs_are_stored(server: Running, http: httpx.Client) -> None:
    body = zstandard.compress(form([p for n in range(50) for p in parts_of(run(f"run {n}"))]))
    assert send(http, body, Content_Encoding="zstd").status_code == 202
    assert server.traces.count(EVERYTHING) == 50


def test_a_bad_part_is_named_and_counted_and_the_others_are_stored(
    server: Running, http: httpx.Client
) -> None:
    good, bad = run("good"), run("bad")
    body = form([*parts_of(good), part(f"post.{bad['id']}", b"{broken")])
    answer = send(http, body)
    assert answer.status_code == 422
    assert f"post.{bad['id']}: no JSON" in answer.json()["detail"]
    assert [each.name for each in server.traces.find(EVERYTHING)] == ["good"]
    assert server.traces.drops() == {"parts of requests that could not be read": 1}


def test_a_body_that_breaks_keeps_what_was_whole(server: Running, http: httpx.Client) -> None:
    good = run("good")
    answer = send(http, form(parts_of(good), ended=False) + b"--nonsense")
    assert answer.status_code == 422
    assert "broken after" in answer.json()["detail"] or "cut off" in answer.json()["detail"]
    assert server.traces.count(EVERYTHING) in (0, 1)
    again = send(http, form([*parts_of(good), part("post.x", b"1")], ended=False))
    assert again.status_code == 422
    assert [each.name for each in server.traces.find(EVERYTHING)] == ["good"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (b"no form", {}, 422, "The multipart body is broken"),
        (b"", {}, 422, "cut off"),
        (b"no zstd", {"Content_Encoding": "zstd"}, 422, "cannot be decompressed"),
        (b"x", {"Content_Encoding": "gzip"}, 415, "Content-Encoding gzip is not known"),
        (b"x", {"Content_Type": "text/plain"}, 415, "should be multipart/form-data"),
        (b"x", {"Content_Type": "multipart/form-data"}, 422, "names no boundary"),
    ],
)
def test_what_is_no_form_is_refused(
    refusing: httpx.Client, body: bytes, headers: dict[str, str], status: int, detail: str
) -> None:
    answer = send(refusing, body, **headers)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


class TestLimits:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(body=1_000_000, attachment=300_000)

    def test_a_request_that_says_it_is_too_large_is_refused_with_the_way_out(
        self, server: Running, http: httpx.Client
    ) -> None:
        answer = send(http, form(parts_of(run(), inputs={"text": "x" * 3_000_000})))
        assert answer.status_code == 413
        assert "LANGSMITH_BATCH_INGEST_SIZE_LIMIT" in answer.json()["detail"]
        # The connection is good for more.
        assert send(http, form(parts_of(run()))).status_code == 202
        assert http.post("/runs/batch", content=b" " * 1_500_000).status_code == 413
        assert server.traces.drops() == {"requests that were too large": 2}

    def test_a_request_that_grows_too_large_keeps_what_came_before(
        self, server: Running, http: httpx.Client
    ) -> None:
        large = parts_of(run("after"), inputs={"text": "x" * 3_000_000})
        whole = form([*parts_of(run("before"), inputs={"a": 1}), *large])

        def pieces() -> Iterator[bytes]:
            yield from (whole[at : at + 65536] for at in range(0, len(whole), 65536))

        answer = http.post(
            "/runs/multipart", content=pieces(), headers={"Content-Type": CONTENT_TYPE}
        )
        assert answer.status_code == 413
        stored = {each.name: each for each in server.traces.find(EVERYTHING)}
        assert server.traces.payload(stored["before"]).inputs == {"a": 1}
        assert server.traces.payload(stored["after"]).inputs == {}
        assert server.traces.drops() == {"requests that were too large": 1}

    def test_a_bomb_is_refused(self, server: Running, http: httpx.Client) -> None:
        bomb = zstandard.compress(form(parts_of(run(), inputs=b'"' + b" " * 50_000_000)))
        assert len(bomb) < 10_000
        assert send(http, bomb, Content_Encoding="zstd").status_code == 413
        bomb = zstandard.compress(b" " * 50_000_000)
        answer = http.post("/runs", content=bomb, headers={"Content-Encoding": "zstd"})
        assert answer.status_code == 413

    def test_a_large_attachment_is_left_out_and_named(
        self, server: Running, http: httpx.Client
    ) -> None:
        fields = run("attached")
        body = form(
            [
                *parts_of(fields),
                (f"attachment.{fields['id']}.small", "text/plain", b"kept"),
                (f"attachment.{fields['id']}.large", "text/plain", b"x" * 400_000),
            ]
        )
        answer = send(http, body)
        assert answer.status_code == 422
        assert f"attachment.{fields['id']}.large" in answer.json()["detail"]
        kept = server.traces.read("SELECT name, data FROM attachments")
        assert kept == [("small", b"kept")]


def test_batches_are_stored(server: Running, http: httpx.Client) -> None:
    begun, known, other = run("begun", end_time=None), run("known", end_time=None), run("other")
    http.post("/runs", json=known | {"inputs": {"a": 1}})
    ended = {"id": known["id"], "end_time": known["start_time"], "outputs": {"b": 2}}
    body = {"post": [begun, other, 5], "patch": [ended, {"id": "nonsense"}]}
    answer = http.post("/runs/batch", json=body)
    assert answer.status_code == 422
    assert "post[2]: no JSON object" in answer.json()["detail"]
    assert "patch.nonsense: id 'nonsense' is no UUID" in answer.json()["detail"]
    statuses = {each.name: each.status for each in server.traces.find(EVERYTHING)}
    assert statuses == {
        "begun": Status.RUNNING,
        "other": Status.SUCCESS,
        "known": Status.SUCCESS,
    }
    assert http.post("/runs/batch", json={"post": [run("good")]}).status_code == 202


def test_a_run_is_posted_and_patched_alone(server: Running, http: httpx.Client) -> None:
    fields = run("alone", end_time=None)
    assert http.post("/runs", json=fields | {"inputs": {"a": 1}}).status_code == 202
    patch = {"end_time": fields["start_time"], "error": "ValueError('x')"}
    assert http.patch(f"/runs/{fields['id']}", json=patch).status_code == 202
    stored = server.traces.run(UUID(fields["id"]))
    assert stored is not None
    assert (stored.status, stored.error) == (Status.ERROR, "ValueError('x')")


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/runs", b"{", "The body is no JSON"),
        ("/runs", b"[1]", "should be a JSON object"),
        ("/runs", b'{"id": "x"}', "id 'x' is no UUID"),
        ("/runs/batch", b'{"post": 5}', "post: no list of runs"),
        ("/runs/query", b'{"limit": -1}', "limit should be a count"),
        ("/runs/query", b'{"session": ["x"]}', "session 'x' is no UUID"),
        ("/runs/query", b'{"filter": "eq(nom, 1)"}', "Runs have no field nom"),
        ("/runs/query", b'{"cursor": "x"}', "The cursor is none"),
        ("/runs/query", b'{"start_time": "noon"}', "no time: 'noon'"),
        ("/sessions", b"{}", "A project needs a name"),
        ("/feedback", b'{"run_id": null}', "feedback needs a key"),
        ("/examples", b'{"inputs": {}}', "is no UUID"),
        ("/examples/bulk", b"{}", "should be a list"),
    ],
)
def test_bodies_that_make_no_sense_are_refused_with_a_reason(
    refusing: httpx.Client, path: str, body: bytes, detail: str
) -> None:
    answer = refusing.post(path, content=body)
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        f"/runs/{UUID(int=404)}",
        f"/feedback/{UUID(int=404)}",
        f"/sessions/{UUID(int=404)}",
        f"/datasets/{UUID(int=404)}",
        f"/examples/{UUID(int=404)}",
        f"/datasets/{UUID(int=404)}/versions",
        f"/api/v2/runs/{UUID(int=404)}",
    ],
)
def test_what_is_unknown_is_not_found(refusing: httpx.Client, path: str) -> None:
    answer = refusing.get(path)
    assert answer.status_code == 404
    assert str(UUID(int=404)) in answer.json()["detail"]


def test_an_unknown_address_is_not_found(refusing: httpx.Client) -> None:
    answer = refusing.get("/prompts")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert refusing.get("/runs/multipart").status_code in (404, 422)


def test_a_client_that_breaks_off_keeps_its_whole_runs(server: Running) -> None:
    fields = run("whole")
    body = form([*parts_of(fields), *parts_of(run("half"), inputs={"text": "x" * 500_000})])
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(
            f"POST /runs/multipart HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        line.sendall(body[:300_000])
    until = time.monotonic() + 10
    while server.traces.run(UUID(fields["id"])) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert {each.name for each in server.traces.find(EVERYTHING)} == {"whole", "half"}
    assert server.traces.drops() == {"parts of requests that could not be read": 1}


def test_200_writers_at_once_lose_nothing(server: Running) -> None:
    runs = 3
    sent: list[str] = []
    address = urlsplit(server.url)

    def post(line: HTTPConnection, body: bytes, packed: bool = False) -> int:
        headers = {"Content-Type": CONTENT_TYPE}
        if packed:
            headers["Content-Encoding"] = "zstd"
            body = zstandard.compress(body)
        line.request("POST", "/runs/multipart", body, headers)
        answer = line.getresponse()
        answer.read()
        return answer.status

    def write(writer: int) -> list[int]:
        statuses = []
        assert address.hostname is not None
        line = HTTPConnection(address.hostname, address.port, timeout=60)
        for n in range(runs):
            begun = run(f"writer {writer}", end_time=None)
            child = run("child", trace_id=begun["id"], parent_run_id=begun["id"])
            ended = {"id": begun["id"], "end_time": begun["start_time"]}
            first = form([*parts_of(begun, inputs={"n": n}), *parts_of(child)])
            statuses.append(post(line, first, packed=bool(n % 2)))
            second = form(parts_of(ended, "patch", outputs={"writer": writer, "n": n}))
            statuses.append(post(line, second))
            sent.append(begun["id"])
        line.close()
        return statuses

    with ThreadPoolExecutor(200) as writers:
        answers = [status for found in writers.map(write, range(200)) for status in found]
    assert set(answers) == {202}
    assert len(answers) == 200 * runs * 2
    assert server.traces.count(EVERYTHING) == 200 * runs * 2
    roots = server.traces.find(RunFilter(roots=True), limit=-1)
    assert {str(each.id) for each in roots} == set(sent)
    assert {each.status for each in roots} == {Status.SUCCESS}
    outputs = {
        (payload.outputs["writer"], payload.outputs["n"])
        for payload in server.traces.payloads(roots).values()
        if payload.outputs is not None
    }
    assert outputs == {(writer, n) for writer in range(200) for n in range(runs)}
    assert server.traces.drops() == {}


class TestWaiting:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(patience=0.3)

    def test_while_the_database_is_locked_the_client_is_asked_to_come_again(
        self, server: Running, http: httpx.Client
    ) -> None:
        assert send(http, form(parts_of(run("before")))).status_code == 202
        other = sqlite3.connect(server.traces.file, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            fields = run("waits")
            answer = send(http, form(parts_of(fields)))
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert "Send it again" in answer.json()["detail"]
            other.execute("ROLLBACK")
        finally:
            other.close()
        # Sent again, it is stored once.
        until = time.monotonic() + 20
        while send(http, form(parts_of(fields))).status_code != 202:
            assert time.monotonic() < until
        assert server.traces.count(EVERYTHING) == 2


def test_json_in_odd_encodings_is_stored(server: Running, http: httpx.Client) -> None:
    fields = run("odd \ud55c\uae00")
    body = json.dumps(fields | {"inputs": {"half": "\ud83d", "nan": float("nan")}})
    assert http.post("/runs", content=body.encode()).status_code == 202
    stored = server.traces.run(UUID(fields["id"]))
    assert stored is not None
    assert server.traces.payload(stored).inputs == {"half": "?", "nan": None}


def test_boundary_is_not_confused_by_payloads(server: Running, http: httpx.Client) -> None:
    fields = run("tricky")
    text = f"\r\n--{BOUNDARY[:-1]}\r\n--{BOUNDARY.upper()}"
    assert send(http, form(parts_of(fields, inputs={"text": text}))).status_code == 202
    stored = server.traces.run(UUID(fields["id"]))
    assert stored is not None
    assert server.traces.payload(stored).inputs == {"text": text}
    assert uuid.UUID(fields["id"]) == stored.id
