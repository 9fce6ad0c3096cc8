"""The log: whole lines, the request's fields, and nothing of what people write."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from groundling.errors import ModelError
from groundling.server.access import Access, interface_of
from groundling.server.logs import about, logging_to, note

LOG = logging.getLogger("groundling.server")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_the_fields_of_its_request() -> None:
    stream = io.StringIO()
    with logging_to(stream, "json"):
        with about(request="r1"):
            note(run="7", person="ann")
            LOG.warning("Slow: %d s", 3, extra={"fields": {"ms": 3000.0}})
        LOG.info("outside")
        note(run="nobody's")
    first, second = lines(stream)
    assert first["event"] == "Slow: 3 s"
    assert (first["level"], first["logger"]) == ("warning", "groundling.server")
    assert {"request": "r1", "run": "7", "person": "ann", "ms": 3000.0}.items() <= first.items()
    assert first["time"].endswith("Z")
    assert "request" not in second


async def test_what_a_request_starts_carries_its_fields_and_no_other_does() -> None:
    stream = io.StringIO()

    async def request(name: str) -> None:
        with about(request=name):
            task = asyncio.create_task(run(name))
            await asyncio.sleep(0)
            await task

    async def run(name: str) -> None:
        note(run=f"run of {name}")
        await asyncio.sleep(0)
        LOG.info("ran")

    with logging_to(stream, "json"):
        await asyncio.gather(request("a"), request("b"))
    assert {(line["request"], line["run"]) for line in lines(stream)} == {
        ("a", "run of a"),
        ("b", "run of b"),
    }


def fail(error: Exception) -> None:
    try:
        raise error
    except Exception:
        LOG.exception("It failed.")


@pytest.mark.parametrize("form", ["json", "text"])
def test_errors_of_others_do_not_repeat_what_a_person_wrote(form: Any) -> None:
    stream = io.StringIO()
    with logging_to(stream, form):
        fail(ValueError("could not parse: my diary"))
        fail(ModelError("The model is closed."))
    written = stream.getvalue()
    assert "diary" not in written
    assert "ValueError (" in written
    assert "test_serve_logs.py" in written
    assert "ModelError: The model is closed." in written


def test_debugging_tells_the_words_of_errors() -> None:
    stream = io.StringIO()
    with logging_to(stream, "text", debug=True):
        fail(ValueError("could not parse: my diary"))
        LOG.debug("details")
    assert "diary" in stream.getvalue()
    assert "details" in stream.getvalue()


@given(st.text(), st.text(), st.dictionaries(st.text(max_size=5), st.text(), max_size=3))
def test_whatever_is_logged_is_one_line(event: str, value: str, fields: dict[str, str]) -> None:
    for form in ("json", "text"):
        stream = io.StringIO()
        with logging_to(stream, form), about(a=value):  # type: ignore[arg-type]
            LOG.info("%s", event, extra={"fields": fields})
        written = stream.getvalue()
        assert written.count("\n") == 1
        assert written.endswith("\n")
        assert all(c.isprintable() for c in written[:-1])


def test_a_reader_that_stops_reading_does_not_stop_the_server() -> None:
    reading, writing = os.pipe()
    sent = 30_000
    seen: list[str] = []
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as stream:
        thread = threading.Thread(target=lambda: seen.extend(reader))
        with logging_to(stream, "json"):
            for n in range(sent):  # more than the pipe and the queue hold
                LOG.info("line %d", n)
            thread.start()  # only here somebody reads
        stream.close()
        thread.join()
    assert seen[0].startswith("{")
    assert 1000 < len(seen) < sent
    assert seen[-1] == f"{sent - len(seen) + 1} lines of the log were dropped.\n"


def test_an_answer_that_was_stopped_is_no_error_of_the_model() -> None:
    stream = io.StringIO()
    llama = logging.getLogger("groundling.llama")
    with logging_to(stream, "json"):
        llama.error("process_ubatch: failed to compute graph, compute status: 1")
        llama.error("llama_decode: failed to decode, ret = 2")
        llama.error("llama_decode: failed to decode, ret = -3")
        llama.info("print_info: model type = 256M")
    (kept,) = lines(stream)
    assert kept["event"].endswith("ret = -3")
    assert not llama.filters


def test_logging_is_as_before_afterwards() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("groundling").level)
    with logging_to(io.StringIO(), "text"):
        assert (root.handlers, root.level) != before[:2]
        assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert (list(root.handlers), root.level, logging.getLogger("groundling").level) == before


@pytest.mark.parametrize(
    ("path", "interface"),
    [
        ("/", "page"),
        ("/page/app.js", "page"),
        ("/v1/models", "openai"),
        ("/threads/x/runs/stream", "langgraph"),
        ("/mcp/", "mcp"),
        ("/langsmith/runs", "langsmith"),
        ("/api/status", "api"),
        ("/wp-login.php", "none"),
        ("//v1", "openai"),
    ],
)
def test_each_path_has_its_interface(path: str, interface: str) -> None:
    assert interface_of(path) == interface


def test_a_request_is_logged_without_its_query_and_body() -> None:
    run = "0190a5b2-0000-7000-8000-000000000001"

    async def answer(request: Request) -> Response:
        headers = {"Content-Location": f"/threads/t/runs/{run}", "X-Request-Id": "r9"}
        return PlainTextResponse(await request.body(), 201, headers)

    async def crash(_: Request) -> Response:
        raise ValueError("diary")

    app = Starlette(routes=[Route("/v1/x", answer, methods=["POST"]), Route("/crash", crash)])
    stream = io.StringIO()
    with logging_to(stream, "json"):
        client = TestClient(Access(app), raise_server_exceptions=False)
        client.post("/v1/x?query=diary", content="diary")
        client.get("/crash%1b[2Jforged")
        client.get("/crash")
    first, missing, crashed = lines(stream)
    assert missing["event"] == "GET /crash\x1b[2Jforged"
    assert first["event"] == "POST /v1/x"
    assert (first["status"], first["interface"]) == (201, "openai")
    assert (first["run"], first["request"]) == (run, "r9")
    assert first["ms"] >= 0
    assert missing["status"] == 404
    assert crashed["status"] == 500
    assert "diary" not in stream.getvalue()
