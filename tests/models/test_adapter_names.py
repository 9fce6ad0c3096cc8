"""Names become adapters of the shelf: one, several together, the promoted one, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundling.errors import AdapterError, SettingsError
from groundling.models.adapter_names import adapters_for, answering, together
from groundling.models.adapter_shelf import AdapterCard, AdapterShelf, fingerprint
from groundling.models.calling import shown_adapter
from groundling.models.calls import Adapter
from groundling.models.configured import chat_model
from groundling.settings import Settings, load


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    return file


@pytest.fixture
def shelf(home: Path, tmp_path: Path, model: Path) -> AdapterShelf:
    shelf = AdapterShelf(home / "adapters")
    file = tmp_path / "made.gguf"
    file.write_bytes(b"adapter")
    for name, base in (("one", fingerprint(model)), ("two", fingerprint(model)), ("b", "b" * 64)):
        shelf.add(file, AdapterCard(name, base, "smol", "2026-11-26T00:00:00+00:00"))
    return shelf


def settings(adapter: str = "promoted") -> Settings:
    return load({"model": {"adapter": adapter}})


def names(model: Path, wanted: str | None = None, configured: str = "promoted") -> str:
    return together(answering(settings(configured), model, wanted))


def test_what_a_name_stands_for(shelf: AdapterShelf, model: Path):
    assert [names(model, each) for each in ("one", "two+one", "none")] == ["one", "two+one", "none"]
    assert names(model) == names(model, "promoted") == "none"
    shelf.promote("two")
    assert names(model) == names(model, "promoted") == "two"
    assert names(model, configured="one") == "one"
    assert names(model, "promoted", configured="one") == "two"
    assert names(model, configured="none") == "none"


def test_calls_have_the_files(shelf: AdapterShelf, model: Path, tmp_path: Path):
    one, two = shelf.get("one").file, shelf.get("two").file
    assert adapters_for(None, settings("one+two"), model) == (Adapter(one), Adapter(two))
    assert adapters_for([], settings("one"), model) == ()
    given: list[Any] = ["one", {"name": "two", "scale": 0.5}, tmp_path / "own.gguf"]
    found = adapters_for(given, settings(), model)
    assert found == (Adapter(one), Adapter(two, 0.5), Adapter(tmp_path / "own.gguf"))
    assert [shown_adapter(each) for each in found] == ["one", "two × 0.5", "own.gguf"]


@pytest.mark.parametrize("wanted", ["three", "one+three", "one+", "+", "../one", "made.gguf"])
def test_unknown_names_and_paths_are_refused(shelf: AdapterShelf, model: Path, wanted: str):
    with pytest.raises(AdapterError, match="There is no adapter"):
        names(model, wanted)


def test_another_base_is_refused(shelf: AdapterShelf, model: Path):
    with pytest.raises(AdapterError, match="The adapter b was trained on smol"):
        names(model, "one+b")


def test_a_model_on_a_server_is_not_given_an_adapter_in_silence(home: Path):
    server = {"base_url": "http://127.0.0.1:9/v1"}
    for adapter in ("promoted", "none"):
        chat_model(load({"model": {**server, "adapter": adapter}}))
    with pytest.raises(SettingsError, match="The adapter one cannot be used"):
        chat_model(load({"model": {**server, "adapter": "one"}}))
