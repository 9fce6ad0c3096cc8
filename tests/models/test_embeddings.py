"""The shipped embedder, run for real."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from groundling.errors import ModelFileError
from groundling.models.embeddings import OnnxEmbedder, languages, load_embedder, space
from groundling.models.files.store import ModelStore
from groundling.models.integer_onnx import integer_model
from groundling.settings import DownloadSettings

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def minilm(embedder_files: Path, models_folder: Path) -> OnnxEmbedder:
    installed = ModelStore(models_folder, DownloadSettings()).installed("minilm-l6")
    embedder = load_embedder(installed)
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


def test_vectors_have_length_one(minilm: OnnxEmbedder) -> None:
    vectors = np.array(minilm.embed_documents(["leave", "연차", "", "word " * 1000]))
    assert vectors.shape == (4, minilm.dimension) == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_meaning_is_near(minilm: OnnxEmbedder) -> None:
    cat, dog, bond = np.array(
        minilm.embed_documents(
            ["a cat on the sofa", "a dog on the couch", "government bond yields"]
        )
    )
    assert cat @ dog > cat @ bond + 0.2
    assert (
        np.array(minilm.embed_query("feline")) @ cat > np.array(minilm.embed_query("feline")) @ bond
    )


def test_order_is_kept_and_neighbours_do_not_matter(minilm: OnnxEmbedder) -> None:
    texts = [
        ("pump " * length + str(length)).strip() for length in (90, 1, 40, 2, 200, 3, 7, 5, 60)
    ]
    assert minilm.embed_documents(texts) == [minilm.embed_query(text) for text in texts]


def test_nothing_in_nothing_out(minilm: OnnxEmbedder) -> None:
    assert minilm.embed_documents([]) == []


def test_text_is_cut_after_max_tokens(minilm: OnnxEmbedder) -> None:
    start = "valve " * 300
    assert minilm.embed_query(start + "moon") == minilm.embed_query(start + "sun")


def test_fingerprint_names_the_space(minilm: OnnxEmbedder) -> None:
    fingerprint = minilm.fingerprint
    assert fingerprint["model"] == (
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
    )
    assert languages(minilm) == {"en"}
    same = OnnxEmbedder(minilm.model, minilm.tokenizer, languages=("en", "de"))
    shorter = OnnxEmbedder(minilm.model, minilm.tokenizer, max_tokens=128)
    assert space(same.fingerprint) == space(fingerprint) != space(shorter.fingerprint)


def test_missing_and_broken_files(minilm: OnnxEmbedder, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is not there"):
        OnnxEmbedder(tmp_path / "model.onnx", minilm.tokenizer)
    broken = tmp_path / "broken"
    broken.write_bytes(b"nothing that can be read")
    with pytest.raises(ModelFileError, match="ONNX"):
        OnnxEmbedder(broken, minilm.tokenizer).embed_query("a")
    with pytest.raises(ModelFileError, match="tokenizer"):
        OnnxEmbedder(minilm.model, broken).embed_query("a")


@pytest.mark.model
def test_prefixes_are_those_the_model_was_trained_with(minilm: OnnxEmbedder) -> None:
    prefixed = OnnxEmbedder(
        minilm.model, minilm.tokenizer, query_prefix="query: ", passage_prefix="passage: "
    )
    assert prefixed.embed_query("a leak") == minilm.embed_query("query: a leak")
    assert prefixed.embed_documents(["a leak"]) == minilm.embed_documents(["passage: a leak"])
    assert space(prefixed.fingerprint) != space(minilm.fingerprint)


@pytest.mark.model
def test_integers_are_kept_beside_the_model_or_made_again(
    minilm: OnnxEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "model.onnx"
    copy.write_bytes(minilm.model.read_bytes())
    loud = list(logging.getLogger().handlers)
    kept = integer_model(copy)
    assert logging.getLogger().handlers == loud
    assert isinstance(kept, str)
    assert Path(kept).parent == tmp_path
    written = Path(kept).stat()
    assert integer_model(copy) == kept
    assert Path(kept).stat().st_mtime_ns == written.st_mtime_ns
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", Path(kept).name}
    whole = Path(kept).read_bytes()
    Path(kept).unlink()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert integer_model(copy) == whole
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
