"""Bodies: size, speed and type, over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from groundling.server.people import body as body_module
from groundling.server.person import Role
from tests.server.people.conftest import Door

Doors = Callable[..., Door]


def raw(address: str, *parts: bytes) -> bytes:
    """Send bytes as they are; return the answer."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as link:
        for part in parts:
            link.sendall(part)
        with link.makefile("rb") as got:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = got.readline()
                assert line, head
                head += line
            length = re.search(rb"content-length: (\d+)", head)
            return head + got.read(int(length[1]) if length else 0)


HEAD = b"POST /threads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def test_a_body_that_says_it_is_too_long_is_not_read(door: Doors) -> None:
    with door(body_bytes=1000).open() as address:
        got = raw(address, HEAD + b"Content-Length: 1001\r\n\r\n")  # and not a byte of it
    assert b" 413 " in got
    assert b"server.body_bytes" in got
    assert b"connection: close" in got.lower()


def test_a_body_that_becomes_too_long_is_stopped(door: Doors) -> None:
    chunk = b"190\r\n" + b"1" * 400 + b"\r\n"
    with door(body_bytes=1000).open() as address:
        got = raw(address, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk, chunk)
    assert b" 413 " in got
    assert b"1,000 bytes" in got


def test_a_body_of_just_that_length_is_taken(door: Doors) -> None:
    with door(body_bytes=1000).open() as address, httpx.Client(trust_env=False) as client:
        headers = {"content-type": "application/json"}
        for content in (b"1" * 1000, (b"1" * 500 for _ in range(2))):
            answer = client.post(f"{address}/threads", content=content, headers=headers)
            assert answer.json()["length"] == 1000


def test_uploads_have_a_limit_of_their_own(door: Doors) -> None:
    at = door(body_bytes=1000, upload_bytes=5000)
    path = "/api/knowledge/ann/handbook/documents"
    with at.open() as address, httpx.Client(trust_env=False, base_url=address) as client:
        assert client.post(path, files={"files": b"x" * 3000}).status_code == 200
        answer = client.post(path, files={"files": b"x" * 6000})
        assert answer.status_code == 413
        assert "upload_bytes" in answer.json()["hint"]
        assert client.post("/threads", files={"files": b"x"}).status_code == 415


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/merge-patch+json", 200),
        ("APPLICATION/JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain; application/json", 415),
        ("", 415),
    ],
)
async def test_only_json_is_taken(door: Doors, kind: str, status: int) -> None:
    async with door().client() as client:
        answer = await client.post("/threads", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == status
        empty = await client.post("/threads", content=b"", headers={"content-type": kind})
        assert empty.status_code == 200
        langsmith = await client.post(
            "/langsmith/runs/multipart", content=b"{}", headers={"content-type": kind}
        )
        assert langsmith.status_code == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a body be slow after a moment."""
    monkeypatch.setattr(body_module, "SILENCE", 0.2)
    monkeypatch.setattr(body_module, "GRACE", 0.3)


@pytest.mark.usefixtures("impatient")
def test_a_body_that_stops_coming_is_given_up(door: Doors) -> None:
    with door().open() as address:
        got = raw(address, HEAD + b"Content-Length: 100\r\n\r\n", b'{"a":')
    assert b" 408 " in got
    assert b"No byte" in got


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_trickles_is_given_up(door: Doors) -> None:
    with door().open() as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
        answered = asyncio.create_task(reader.read(20))
        for _ in range(200):  # a byte each 20 ms: never silent, never done
            writer.write(b"1")
            await asyncio.sleep(0.02)
            if answered.done():
                break
        assert b" 408 " in await answered
        writer.close()


@pytest.mark.usefixtures("impatient")
async def test_slow_bodies_do_not_keep_others_waiting(door: Doors) -> None:
    at = door()
    with at.open() as address:
        host, port = address.removeprefix("http://").split(":")
        slow = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
        for _, writer in slow:
            writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            answer = await client.post(f"{address}/threads", json={})
            assert answer.status_code == 200
        for reader, writer in slow:
            assert b" 408 " in await asyncio.wait_for(reader.read(20), 10)
            writer.close()


@pytest.mark.usefixtures("impatient")
async def test_an_answer_may_take_longer_than_a_body(door: Doors) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        gone = asyncio.ensure_future(receive())
        await asyncio.wait({gone}, timeout=0.6)  # longer than SILENCE and GRACE
        assert not gone.done()
        gone.cancel()
        await JSONResponse({"ok": True})(scope, receive, send)

    with door(waits).open() as address:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.post(f"{address}/threads", json={})).json() == {"ok": True}


def test_a_route_that_swallows_the_refusal_does_not_hide_it(door: Doors) -> None:
    async def swallows(request: Request) -> JSONResponse:
        try:
            await request.body()
        except Exception:
            return JSONResponse({"swallowed": True})
        return JSONResponse({})

    app = Starlette(routes=[Route("/threads", swallows, methods=["POST"])])
    chunks = (b"1" * 600 for _ in range(3))
    headers = {"content-type": "application/json"}
    with door(app, body_bytes=1000).open() as address, httpx.Client(trust_env=False) as client:
        answer = client.post(f"{address}/threads", content=chunks, headers=headers)
    assert answer.status_code == 413
    assert "swallowed" not in answer.text


def test_an_unknown_person_cannot_make_the_server_read(door: Doors) -> None:
    at = door()
    at.key("ann", Role.ADMIN)
    with at.open() as address:
        got = raw(address, HEAD + b"Content-Length: 100\r\n\r\n")  # no byte of the body
    assert b" 401 " in got
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == "invalid_api_key"


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"0x10", b"1, 2", b"2\r\nContent-Length: 3"])
def test_a_length_that_is_no_number_is_refused(door: Doors, length: bytes) -> None:
    with door().open() as address:
        got = raw(address, HEAD + b"Content-Length: " + length + b"\r\n\r\n{}")
    assert b" 400 " in got
