"""Adapters by name, of one base alone; promotion is one pointer that can be taken back."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from groundling.errors import AdapterError
from groundling.models.adapter_shelf import (
    PROMOTIONS,
    AdapterCard,
    AdapterShelf,
    fingerprint,
)

BASE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def shelf(tmp_path: Path) -> AdapterShelf:
    return AdapterShelf(tmp_path / "adapters")


def put(shelf: AdapterShelf, tmp_path: Path, name: str, base: str = BASE) -> None:
    file = tmp_path / "made.gguf"
    file.write_bytes(name.encode())
    shelf.add(file, AdapterCard(name, base, "smol", "2026-11-26T00:00:00+00:00"))


def test_what_is_added_is_there(shelf: AdapterShelf, tmp_path: Path) -> None:
    assert shelf.list() == []
    put(shelf, tmp_path, "one")
    put(shelf, tmp_path, "two", OTHER)
    assert {each.card.name for each in shelf.list()} == {"one", "two"}
    assert shelf.get("one").file.read_bytes() == b"one"
    assert shelf.score("one", {"facts": 0.7}).card.scores == {"facts": 0.7}
    shelf.remove("two")
    assert "two" not in shelf


def test_an_adapter_is_used_with_its_own_base_alone(shelf: AdapterShelf, tmp_path: Path) -> None:
    put(shelf, tmp_path, "one")
    assert shelf.for_base("one", BASE).card.name == "one"
    with pytest.raises(AdapterError, match="trained on smol"):
        shelf.for_base("one", OTHER)


def test_promotion_and_rollback(shelf: AdapterShelf, tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(shelf, tmp_path, name)
    assert shelf.promoted(BASE) is None
    assert shelf.promote("one") is None
    assert shelf.promote("two") == "one"
    assert shelf.promote("two") == "two"
    assert (shelf.promoted(BASE), shelf.promoted(OTHER)) == ("two", None)
    assert shelf.rollback(BASE) == ("two", "one")
    assert shelf.rollback(BASE) == ("one", None)
    with pytest.raises(AdapterError, match="No adapter of this base"):
        shelf.rollback(BASE)


def test_every_promotion_is_recorded(shelf: AdapterShelf, tmp_path: Path) -> None:
    assert shelf.promotions("one") == []
    for name in ("one", "two"):
        put(shelf, tmp_path, name)
        shelf.promote(name)
    shelf.promote("two")
    shelf.rollback(BASE)
    with (tmp_path / "adapters" / PROMOTIONS).open("a") as file:
        file.write('{"at": "20')  # a disk that is full
    done = [
        (step["did"], step["name"]) for name in ("one", "two") for step in shelf.promotions(name)
    ]
    assert done == [("promoted", "one"), ("promoted", "two"), ("rolled back", "two")]
    assert shelf.promotions("two")[0]["before"] == "one"
    assert shelf.promotions("two")[1]["answers"] == "one"


def test_a_rollback_passes_over_what_was_deleted(shelf: AdapterShelf, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        put(shelf, tmp_path, name)
        shelf.promote(name)
    shelf.remove("two")
    assert shelf.rollback(BASE) == ("three", "one")


def test_a_rollback_passes_over_what_was_trained_anew(shelf: AdapterShelf, tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(shelf, tmp_path, name)
        shelf.promote(name)
    shelf.remove("one")
    file = tmp_path / "made.gguf"
    shelf.add(file, AdapterCard("one", BASE, "smol", "2026-11-27T00:00:00+00:00"))
    assert shelf.rollback(BASE) == ("two", None)


def test_what_was_promoted_while_it_was_copied_is_not_replaced(
    shelf: AdapterShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shelf, tmp_path, "one")
    copy = shutil.copyfile

    def slow(*files: Path) -> None:
        copy(*files)
        AdapterShelf(tmp_path / "adapters").promote("one")

    monkeypatch.setattr("groundling.models.adapter_shelf.shutil.copyfile", slow)
    with pytest.raises(AdapterError, match="is promoted"):
        put(shelf, tmp_path, "one")
    assert sorted(each.name for each in (tmp_path / "adapters").iterdir() if each.is_dir()) == [
        "one"
    ]


def test_what_answers_is_neither_replaced_nor_deleted(shelf: AdapterShelf, tmp_path: Path) -> None:
    put(shelf, tmp_path, "one")
    put(shelf, tmp_path, "one")
    shelf.promote("one")
    with pytest.raises(AdapterError, match="is promoted"):
        put(shelf, tmp_path, "one")
    with pytest.raises(AdapterError, match="is promoted"):
        shelf.remove("one")


@pytest.mark.parametrize("name", ["", "..", "a/b", "none", "promoted", "a b", "x" * 65, "a..b"])
def test_names(shelf: AdapterShelf, tmp_path: Path, name: str) -> None:
    with pytest.raises(AdapterError, match="cannot be an adapter's name"):
        put(shelf, tmp_path, name)
    assert name not in shelf


def test_damage_is_told(shelf: AdapterShelf, tmp_path: Path) -> None:
    put(shelf, tmp_path, "one")
    (tmp_path / "adapters" / "promoted.json").write_text("[]")
    with pytest.raises(AdapterError, match=r"promoted\.json is damaged"):
        shelf.promoted(BASE)
    (tmp_path / "adapters" / "promoted.json").unlink()
    (tmp_path / "adapters" / "one" / "card.json").write_text("{")
    with pytest.raises(AdapterError, match="card of the adapter one is damaged") as caught:
        shelf.get("one")
    assert caught.value.hint == "groundling tune remove one"
    shelf.remove("one")
    assert shelf.list() == []


def test_a_fingerprint_is_the_files_hash(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    assert fingerprint(file) == hashlib.sha256(b"weights").hexdigest()
    file.write_bytes(b"others!")
    assert fingerprint(file) == hashlib.sha256(b"others!").hexdigest()
    named = tmp_path / f"sha256-{BASE}"
    named.write_bytes(b"")
    link = tmp_path / "link.gguf"
    link.symlink_to(named)
    assert fingerprint(link) == BASE


def test_the_pointer_is_plain_json(shelf: AdapterShelf, tmp_path: Path) -> None:
    put(shelf, tmp_path, "one")
    shelf.promote("one")
    told = json.loads((tmp_path / "adapters" / "promoted.json").read_text())
    assert told[BASE][0]["name"] == "one"


def test_those_of_a_base_are_listed_without_damaged_ones(
    shelf: AdapterShelf, tmp_path: Path
) -> None:
    assert shelf.of(BASE) == []
    for name, base in (("one", BASE), ("two", OTHER), ("three", BASE)):
        put(shelf, tmp_path, name, base)
    (tmp_path / "adapters" / "one" / "card.json").write_text("{")
    shelf.promote("three")
    assert [each.card.name for each in shelf.of(BASE)] == ["three"]
