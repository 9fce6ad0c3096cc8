"""The state of the server, its settings and its graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from groundling.graphs import registry
from groundling.home import Home
from groundling.models.engines import close_engines
from tests.scripted import ScriptedChat
from tests.server.live import serving


def test_the_state_of_the_server_is_told(client: httpx.Client) -> None:
    told = client.get("/api/status").json()
    assert told["state"] == "ready"
    assert told["person"] == {"id": "default", "role": "admin", "via": "local"}
    assert told["people"] is False
    assert told["queue"] == {"waiting": 0, "running": 0}
    assert told["machine"]["memory_total"] > told["machine"]["memory_free"] > 0
    assert told["machine"]["disk_total"] > 0
    assert told["model"]["installed"] is False


@pytest.mark.model
def test_an_installed_model_is_described(home_with_models: Path) -> None:
    close_engines()  # of tests before: what is loaded is the whole process's
    flags: dict[str, Any] = {"model": {"name": "smollm2-135m", "measure": False}}
    with (
        Home(home_with_models, **flags) as opened,
        serving(opened, ScriptedChat()) as live,
        live.client() as client,
    ):
        model = client.get("/api/status").json()["model"]
        assert (model["installed"], model["loaded"], model["remote"]) == (True, False, False)
        assert model["size_bytes"] > 50_000_000
        assert model["trained_context"] >= 2048
        assert model["quantisation"]


def test_settings_are_told_without_secrets_and_places(home: Path) -> None:
    flags: dict[str, Any] = {
        "model": {"api_key": "sk-secret", "base_url": None},
        "facts": {"wolfram_app_id": "APP-ID-1"},
        "tools": {"mcp": {"notes": {"command": ["notes"], "environment": {"TOKEN": "t0ken"}}}},
    }
    with (
        Home(home, **flags) as opened,
        serving(opened, ScriptedChat()) as live,
        live.client() as client,
    ):
        answer = client.get("/api/settings")
        names = {each["name"] for each in answer.json()["settings"]}
        for secret in ("sk-secret", "APP-ID-1", "t0ken", str(home)):
            assert secret not in answer.text
        assert {"model.name", "server.port", "retrieval.passages"} <= names
        assert not names & {"model.api_key", "home", "facts.wolfram_app_id"}


def test_settings_are_an_admins(people: dict[str, httpx.Client]) -> None:
    assert people["ann"].get("/api/settings").status_code == 403
    assert people["root"].get("/api/settings").status_code == 200
    assert people["carl"].get("/api/status").json()["person"]["role"] == "reader"


def test_the_graphs_are_drawn(client: httpx.Client) -> None:
    found = {each["name"]: each for each in client.get("/api/graphs").json()["graphs"]}
    assert set(found) == {info.name for info in registry.available()}
    agent = found["agent"]
    ids = {node["id"] for node in agent["nodes"]}
    assert {"__start__", "__end__"} <= ids
    assert all({edge["source"], edge["target"]} <= ids for edge in agent["edges"])
    assert any(edge["conditional"] for edge in agent["edges"])
    assert "graph TD" in agent["mermaid"]
    assert "messages" in agent["input_schema"]["properties"]
