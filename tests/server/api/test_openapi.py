"""The description of the interfaces, and what an endpoint makes of a request."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import BaseRoute, Route

from groundling.server.api import ENDPOINTS, ROUTES, openapi
from groundling.server.api.endpoint import EndpointRoute
from groundling.server.api.openapi import document, markdown
from tests.server.live import Live


def test_every_route_of_the_server_is_described(live: Live, client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    paths = described["paths"]
    for path in ("/threads/{thread_id}/runs/stream", "/v1/chat/completions", "/api/session"):
        assert path in paths
    for each in ENDPOINTS:
        path = each.path
        for kind in (":base", ":number", ":uuid"):
            path = path.replace(kind + "}", "}")
        operation = paths[path][each.method.lower()]
        assert operation["summary"], path
        named = {part["name"] for part in operation["parameters"] if part["in"] == "path"}
        assert named == {part.partition("}")[0] for part in path.split("{")[1:]}


def test_it_is_made_once_and_others_are_answered_meanwhile(
    live: Live, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, made = Event(), Event(), []

    def slowly(routes: Iterable[BaseRoute]) -> dict[str, Any]:
        made.append(begun.set())
        assert go.wait(20)
        return document(routes)

    monkeypatch.setattr(openapi, "document", slowly)
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(client.get, "/openapi.json") for _ in range(3)]
        assert begun.wait(20)
        assert client.get("/ok").status_code == 200
        go.set()
        assert len({answer.result().content for answer in answers}) == 1
    assert len(made) == 1


def test_its_schemas_are_schemas_and_its_references_lead_somewhere() -> None:
    described = document(ROUTES)
    schemas = described["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*map(references, node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    for reference in references(described):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


def test_no_two_operations_have_one_name() -> None:
    described = document(ROUTES)
    names = [
        operation["operationId"]
        for path in described["paths"].values()
        for operation in path.values()
        if "operationId" in operation
    ]
    assert len(names) == len(set(names)) == len(ENDPOINTS)


def test_a_path_is_one_route_that_knows_all_its_methods() -> None:
    own = [route for route in ROUTES if isinstance(route, EndpointRoute)]
    assert len({route.path for route in own}) == len(own)
    assert sum(len(route.endpoints) for route in own) == len(ENDPOINTS)
    assert all(isinstance(route, Route) for route in ROUTES)


def test_the_page_of_the_documentation_has_every_endpoint() -> None:
    written = markdown(ENDPOINTS)
    assert all(f"`{each.method} /api/" in written for each in ENDPOINTS)
    assert "`GET /api/knowledge/{base}/documents/{document}/text`" in written


def test_the_address_and_the_body_are_held_to_what_is_described(client: httpx.Client) -> None:
    for path, word in (
        ("/api/threads?limit=0", "limit"),
        ("/api/threads?limit=many", "limit"),
        ("/api/memories/search", "query"),
        ("/api/experiments/compare?a=x&b=y&confidence=nan", "confidence"),
        ("/api/memories/search?query=" + "x" * 2001, "query"),
    ):
        answer = client.get(path)
        assert answer.status_code == 422, path
        assert answer.json()["detail"].startswith(word)
    assert client.get("/api/threads?limit=&nonsense=1").status_code == 200
    bad = client.post("/api/knowledge", json={"name": "a", "owner": "root"})
    assert bad.status_code == 422
    assert "owner" in bad.json()["detail"]
