"""Every interface, tried out with what nobody would write by hand: no 5xx, nothing leaked.

Schemathesis makes requests from `/openapi.json`, right ones and wrong ones, and holds the
answers against it; below are cases that it would not think of.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from groundling.evaluation.datasets import NewExample
from groundling.evaluation.experiments import ExperimentBook
from groundling.server.person import Role
from tests.scripted import ScriptedChat
from tests.server.api.conftest import LEAVE, added
from tests.server.api.test_traces import trace
from tests.server.live import Live, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )


@pytest.fixture(autouse=True)
def _old_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Hypothesis' `many` the method that hypothesis-jsonschema 0.23 calls.

    Hypothesis has replaced `while elements.more()` by `for _ in elements`.
    """
    from hypothesis.internal.conjecture import utils

    def more(elements: Any) -> bool:
        if elements._depth is None:
            elements._steps = iter(elements.__enter__())
        return next(elements._steps, "over") is None

    if not hasattr(utils.many, "more"):
        monkeypatch.setattr(utils.many, "more", more, raising=False)


OWN = 10  # requests of each kind to an operation of the own interface
OTHER = 3
PATIENCE = 3.0  # seconds
_SETTINGS = settings(
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class World:
    """A server in which there is one of everything, and its admin's key."""

    live: Live
    key: str
    there: Mapping[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key}


@pytest.fixture
def world() -> Iterator[World]:
    limits = {"requests_per_minute": 0, "upload_bytes": 1_000_000, "body_bytes": 200_000}
    with serving(model=ScriptedChat(), server=limits) as live:
        people = live.app.people
        people.users.add("root", Role.ADMIN)
        _, key = people.keys.add("root")
        with live.client(headers={"x-api-key": key}) as client:
            added(client, "handbook", ("leave.md", LEAVE))
            job = client.get("/api/jobs").json()["jobs"][0]["id"]
            number = client.post("/api/memories", json={"text": "has a dog"}).json()["id"]
            root = trace(live, "How many days?", "root")
            said = client.post(f"/api/traces/{root}/feedback", json={"score": 1}).json()
            thread = client.post("/threads", json={}).json()["thread_id"]
        sets = live.services.datasets
        made = sets.create("sums")
        sets.add("sums", [NewExample({"question": "1 + 1?"}, {"answer": "2"})])
        people.owners.claim("dataset", str(made.id), "root")
        ExperimentBook(live.services.traces).create("first", made.id, {})
        there = {
            "base": "handbook", "document": 1, "number": number, "trace": str(root),
            "feedback": said["id"], "dataset": "sums", "experiment": "first", "job": job,
            "thread": thread, "thread_id": thread, "user": "root", "assistant_id": "rag",
            "run_id": str(uuid4()), "id": "rag",
        }  # fmt: skip
        yield World(live, key, there)


def tried(world: World, *, own: bool) -> tuple[int, list[str]]:
    """Send many requests to each operation of an interface; return how many, and what failed.

    Once with made-up names in the paths, and right ones beside; then with the names of what
    is there, and all that can be wrong.
    """
    with world.live.client(headers=world.headers) as client:
        document = client.get("/openapi.json").json()
    del document["security"], document["components"]["securitySchemes"]  # it would make up keys
    sent, failures = 0, list[str]()
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(world.headers)
        made_up = schemathesis.openapi.from_dict(document)
        there = schemathesis.openapi.from_dict(_named(document, world.there))
        for schema, modes in (
            (made_up, [GenerationMode.POSITIVE]),
            (there, [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]),
        ):
            for found in schema.get_all_operations():
                assert isinstance(found, Ok)
                operation = found.ok()
                if operation.path.endswith("/stream") and not own:
                    continue  # it goes on as long as somebody listens
                if _is_own(operation.path) is own:
                    for mode in modes:
                        checks = _OWN_CHECKS if own else [not_a_server_error]
                        count, wrong = _try(world, session, operation, mode, checks)
                        sent, failures = sent + count, failures + wrong
    return sent, failures


_OWN_CHECKS = [
    not_a_server_error,
    response_schema_conformance,
    content_type_conformance,
    status_code_conformance,
]


def _is_own(path: str) -> bool:
    return path.startswith("/api/") and not path.startswith(
        ("/api/session", "/api/users", "/api/audit")
    )


def _named(document: dict[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description with names in its paths, less what deletes the others' things."""
    paths = {}
    for path, methods in document["paths"].items():
        left = {}
        for method, operation in methods.items():
            if method == "delete" and path != "/api/memories":
                continue
            rest = [each for each in operation["parameters"] if each["in"] != "path"]
            left[method] = {**operation, "parameters": rest}
        if left:
            paths[path.format_map(_Named({n: str(v) for n, v in there.items()}))] = left
    return {**document, "paths": paths}


def _try(
    world: World, session: Any, operation: Any, mode: Any, checks: list[Any]
) -> tuple[int, list[str]]:
    sent, failures = 0, list[str]()
    home = str(world.live.app.home.settings.home)

    slow: list[str] = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(_SETTINGS, max_examples=OWN if len(checks) > 1 else OTHER)
    def run(case: Any) -> None:
        nonlocal sent
        if slow:
            return
        sent += 1
        if isinstance(case.body, dict):
            case.body.pop("after_seconds", None)  # nobody waits for that
        try:
            answer = case.call(base_url=world.live.address, session=session, timeout=PATIENCE)
        except requests.Timeout:
            slow.append(operation.label)  # it waits for a run, or for a stream to end
            return
        told = f"{case.method} {case.formatted_path} {case.query} {str(case.body)[:200]}"
        if home in answer.text:
            failures.append(f"{told}: the home folder is told: {answer.text[:300]}")
        try:
            case.validate_response(answer, checks=checks)
        except BaseExceptionGroup as group:
            failures.append(
                f"{told}: {answer.status_code} {answer.text[:300]} {group.exceptions!r:.600}"
            )

    with suppress(Unsatisfiable):  # there is nothing that could be wrong with it
        run()
    if slow and len(checks) > 1:
        failures.append(f"{operation.label} takes longer than {PATIENCE} s")
    return sent, failures


@pytest.mark.timeout(240)
def test_the_own_interface_keeps_to_its_description(world: World) -> None:
    sent, failures = tried(world, own=True)
    assert failures == []
    assert sent > 500


@pytest.mark.timeout(240)
def test_the_other_interfaces_never_fail(world: World) -> None:
    sent, failures = tried(world, own=False)
    assert failures == []
    assert sent > 500


_TRAVERSAL = [
    "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "....//etc/passwd", "/etc/passwd",
    "file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "\\\\host\\share",
    "%00", "a\x00b", "'; DROP TABLE runs; --", "{{7*7}}", "${jndi:ldap://x}", "CON", "~root",
]  # fmt: skip


def test_no_parameter_leads_to_a_file_or_another_machine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = world.live.app.home.settings.home.parent / "canary.txt"
    canary.write_text("the canary sings")
    before = _files(canary.parent)
    with world.live.client(headers=world.headers) as client:
        document = client.get("/openapi.json").json()
        for path, methods in document["paths"].items():
            if not path.startswith("/api/"):
                continue
            for method, operation in methods.items():
                if method == "delete" and "session" in path:
                    continue
                for value in (*_TRAVERSAL, f"../../{canary.name}", str(canary)):
                    answer = _sent(client, path, method, operation, value)
                    assert answer.status_code < 500, (method, path, value, answer.text)
                    assert "canary sings" not in answer.text
                    assert "root:x:" not in answer.text
    outside = {each for each in _files(canary.parent) - before if "home" not in each.parts}
    assert outside == set()


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def _sent(
    client: httpx.Client, path: str, method: str, operation: Any, value: str
) -> httpx.Response:
    """Send a text as every parameter of a request."""
    from urllib.parse import quote

    for each in operation.get("parameters", ()):
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(value, safe=""))
    query = {
        each["name"]: value for each in operation.get("parameters", ()) if each["in"] == "query"
    }
    body = dict.fromkeys(("name", "query", "text", "kind", "key", "comment", "run", "id"), value)
    content = operation.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        files = {"files": (value.replace("\x00", ""), b"# x\n\ny\n", "text/plain")}
        return client.post(path, files=files)
    return client.request(method, path, params=query, json=body if content else None)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"5", b'"text"', b"{", b"\xff\xfe", b'{"text": NaN}',
        b'{"text": "\\ud800"}', b'{"text": "\xed\xa0\x80"}', b'{"text": null}',
        b'{"text": ["a"]}', b'{"score": 1e999}', b'{"score": ' + b"9" * 5000 + b"}",
        b'{"text": "a", "text": "b", "name": {}}', b"[" * 100_000,
        b'{"correction": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b'{"query": "a", "k": 99999999999999999999}', b'{"supersedes": -9223372036854775809}',
    ],
)  # fmt: skip
def test_no_body_makes_a_route_fail(world: World, body: bytes) -> None:
    there = {name: str(value) for name, value in world.there.items()}
    with world.live.client(headers=world.headers) as client:
        document = client.get("/openapi.json").json()
        for path, methods in document["paths"].items():
            for method in set(methods) & {"post", "patch", "put"}:
                if path.startswith("/runs") or "/runs" in path or path == "/api/session":
                    continue  # an empty wish is one; runs have their own tests
                answer = client.request(
                    method,
                    path.format_map(_Named(there)),
                    content=body,
                    headers={"Content-Type": "application/json"},
                )
                assert answer.status_code < 500, (method, path, answer.text)
                if path.startswith("/api/") and body not in (b"", b"{}"):
                    assert answer.status_code in (404, 409, 415, 422), (method, path, answer.text)


class _Named(dict[str, str]):
    def __missing__(self, _: str) -> str:
        return str(uuid4())


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "x", ""])
def test_json_is_said_to_be_json(world: World, media: str) -> None:
    with world.live.client(headers=world.headers) as client:
        answer = client.post(
            "/api/memories", content=b'{"text": "a"}', headers={"Content-Type": media}
        )
        assert answer.status_code == 415
        assert client.get("/api/memories").json()["memories"][0]["text"] == "has a dog"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "BREW", "PROPFIND"])
def test_a_method_that_a_path_has_not_is_405(world: World, method: str) -> None:
    there = {name: str(value) for name, value in world.there.items()}
    with world.live.client(headers=world.headers) as client:
        document = client.get("/openapi.json").json()
        for path, methods in document["paths"].items():
            if not path.startswith("/api/"):
                continue
            answer = client.request(method, path.format_map(_Named(there)))
            if method == "HEAD" and "get" in methods:
                assert answer.status_code < 500
                assert answer.content == b""
            elif method == "PUT" and "put" in methods:
                continue
            else:
                assert answer.status_code == 405, (method, path)
                assert "allow" in answer.headers
                assert answer.headers["content-type"] == "application/json" or method == "HEAD"


def test_a_page_of_a_great_many_parameters_is_refused_or_answered(world: World) -> None:
    with world.live.client(headers=world.headers) as client:
        many = "&".join(f"status=error&x{n}=1" for n in range(2000))
        assert client.get(f"/api/traces?{many}").status_code in (200, 414, 422)
        assert client.get("/api/traces?text=%00%ff%ed%a0%80&graph=%F0%9F%8E%89").status_code == 200
        assert client.get("/api/threads?text=%ed%a0%80").status_code == 200
