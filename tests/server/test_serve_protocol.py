"""Clients that neither ask nor read: they are given up, and nobody else notices them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from groundling.server.protocol import HEAD_BYTES, PatientProtocol
from groundling.server.run import listening

ASKED = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def much(_: Request) -> Response:
    def pieces() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 100_000

    return StreamingResponse(pieces())


APP = Starlette(routes=[Route("/", hello), Route("/much", much)])


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server's patience short."""
    monkeypatch.setattr(PatientProtocol, "head_seconds", 0.4)
    monkeypatch.setattr(PatientProtocol, "unread_seconds", 0.4)


@pytest.fixture
def url(patience: None) -> Iterator[str]:
    with listening(APP) as address:
        yield address


def connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((str(where.hostname), where.port or 0), timeout=10)


def ended(connection: socket.socket) -> bytes:
    """Read until the server closes; a reset is an end, too."""
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received:
        piece = connection.recv(65_536)
        assert piece, received
        received += piece
    return received


def test_a_connection_that_never_asks_is_closed(url: str) -> None:
    with connect(url) as silent:
        assert ended(silent) == b""


def test_a_head_that_comes_by_single_bytes_is_not_waited_for(url: str) -> None:
    def drip(connection: socket.socket) -> None:
        for byte in ASKED[:-2] + b"X-Slow: " + b"a" * 200:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    with connect(url) as slow, pytest.raises((BrokenPipeError, ConnectionResetError)):
        drip(slow)


def test_a_further_request_has_the_same_deadline(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(ASKED)
        read_until(connection, b"hello")
        connection.sendall(ASKED[:10])
        assert ended(connection) == b""


def test_the_beginning_of_a_further_request_may_come_with_the_one_before(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(ASKED + ASKED[:10])
        assert ended(connection).count(b"hello") == 1


def test_pipelined_requests_are_answered_in_order(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(ASKED * 2 + ASKED.replace(b"GET /", b"GET /last"))
        assert read_until(connection, b"Not Found").count(b"hello") == 2


def test_a_connection_stays_between_requests(url: str) -> None:
    with connect(url) as connection:
        for _ in range(2):
            connection.sendall(ASKED)
            read_until(connection, b"hello")
            time.sleep(0.8)  # twice the patience for a head: keep-alive is uvicorn's to end


def test_a_client_that_does_not_read_is_given_up(url: str) -> None:
    with connect(url) as deaf:
        deaf.sendall(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(1.2)
        assert len(ended(deaf)) < 100_000_000


def test_two_hundred_slow_connections_stop_nobody(url: str) -> None:
    slow = [connect(url) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(ASKED[:20])
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
            for _ in range(20):
                assert client.get("/").text == "hello"
        assert [ended(connection) for connection in slow] == [b""] * 200
    finally:
        for connection in slow:
            connection.close()


def test_a_head_that_is_too_large_is_refused_in_json(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(ASKED[:-2] + b"X-Long: " + b"a" * (HEAD_BYTES + 10_000))
        answer = ended(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"detail"' in answer


def test_what_is_no_http_after_a_stream_began_ends_the_connection(url: str) -> None:
    with connect(url) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\x00\x01\x02 \r\n\r\n")
        assert ended(connection).startswith(b"HTTP/1.1 200 ")


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer_or_an_end(url: str, sent: bytes) -> None:
    with connect(url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = ended(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert httpx.get(url, trust_env=False).text == "hello"
