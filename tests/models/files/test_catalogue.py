"""The shipped catalogue is whole, and the user's own file joins it."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling.errors import ModelNotFound, SettingsError
from groundling.models.files import sources
from groundling.models.files.catalogue import Catalogue, read_user_entries, write_user_entries
from groundling.models.files.manifest import entry_of
from groundling.settings import ModelSettings


def test_shipped_entries_are_whole(tmp_path: Path) -> None:
    catalogue = Catalogue.load(tmp_path)
    for entry in catalogue:
        for file in entry.files:
            assert [sources.parse(text) for text in file.sources]
            assert (file.size is None) == (file.sha256 is None), entry.id
        assert entry.size, entry.id
        assert entry.fallback is None or entry.fallback in catalogue
        assert entry.main_file.name.endswith(entry.format)
        assert entry.languages
        assert entry.context
        if entry.role == "embedding":
            assert entry.dimension, entry.id
            assert entry.pooling, entry.id
    assert {entry.role for entry in catalogue} == {"chat", "embedding", "reranker", "guard"}


def test_defaults_come_from_a_package_index_with_their_hashes(tmp_path: Path) -> None:
    catalogue = Catalogue.load(tmp_path)
    defaults = ModelSettings()
    chat = catalogue.get(defaults.name)
    for entry in (chat, catalogue.get(chat.fallback or ""), catalogue.get(defaults.embedder)):
        for file in entry.files:
            assert file.sha256
            assert file.sources[0].startswith("wheel")


def test_an_unknown_id_is_told_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="Did you mean qwen3-8b"):
        Catalogue.load(tmp_path).get("Qwen3-8")


def test_user_entries_join_and_win(tmp_path: Path) -> None:
    own = entry_of(sources.parse("hf:나/모델/my-model.gguf"))
    taken = entry_of(sources.parse("./other.gguf"), id="smollm2-135m")
    write_user_entries(tmp_path, {own.id: own, taken.id: taken})
    catalogue = Catalogue.load(tmp_path)
    assert catalogue.get("my-model") == own
    assert catalogue.get("smollm2-135m") == taken
    assert read_user_entries(tmp_path) == {own.id: own, taken.id: taken}


@pytest.mark.parametrize(
    "text", ["[[model]\n", "model = 3\n", '[[model]]\nid = "x"\n', '[[model]]\nid = "A/B"\n']
)
def test_a_broken_user_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalogue.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"catalogue\.toml cannot be read"):
        Catalogue.load(tmp_path)


@pytest.mark.parametrize(
    ("source", "id", "role"),
    [
        ("hf:Org/Repo/Qwen3-4B-Q4_K_M.gguf", "qwen3-4b-q4_k_m", "chat"),
        ("hf:Org/Repo/bge-reranker-v2-m3.gguf", "bge-reranker-v2-m3", "reranker"),
        ("https://host/Llama-Guard-3.gguf?download=true", "llama-guard-3", "guard"),
        ("./multilingual-e5-small.gguf", "multilingual-e5-small", "embedding"),
        ("./내 모델.gguf", "내-모델", "chat"),
        ("wheels:my-part{01..03}==1.0!p{01..03}", "my", "chat"),
    ],
)
def test_entries_made_of_sources(source: str, id: str, role: str) -> None:
    entry = entry_of(sources.parse(source))
    assert (entry.id, entry.role) == (id, role)


def test_a_name_that_leaves_nothing_asks_for_one() -> None:
    with pytest.raises(ModelNotFound, match="cannot be the id"):
        entry_of(sources.parse("./-.gguf"))
    assert entry_of(sources.parse("./-.gguf"), id="mine").main_file.name == "-.gguf"
