"""GGUF encoders, run for real: MiniLM against its own weights in numpy, a decoder, tiny BERTs."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import PoolingType
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from groundling.errors import ModelError, ModelFileError, ModelTooBig
from groundling.models import encoding
from groundling.models.embedder import space
from groundling.models.embeddings import OnnxEmbedder, load_embedder
from groundling.models.encoder import Encoder
from groundling.models.encoders import encoder_for, unload_encoders
from groundling.models.encoding import EncoderContext, EncoderSettings, check_encoder_fits
from groundling.models.files.catalogue import ModelEntry, ModelFile
from groundling.models.files.manifest import InstalledModel
from groundling.models.gguf import read_gguf
from groundling.models.gguf_embedder import GgufEmbedder
from tests.conftest import MODELS
from tests.models.make_gguf import (
    Array,
    made_minilm,
    make_bert,
    random_bert,
    read_safetensors,
    words,
)

pytestmark = pytest.mark.model

PASSAGES = [
    "Employees may carry over five days of annual leave into the next year.",
    "The pump must be calibrated every six months by a certified technician.",
    "Meals on business trips are reimbursed up to forty dollars a day.",
    "Passwords expire after ninety days and must have twelve characters.",
    "Returned goods are refunded within two weeks if the box is unopened.",
    "Visitors wear a helmet and safety shoes inside the production hall.",
    "The meeting room on the third floor seats twenty people.",
    "직원은 연차 휴가를 다음 해로 5일까지 이월할 수 있다.",
]
QUESTIONS = {
    "How much vacation can I take with me to next year?": 0,
    "How often does the pump need calibration?": 1,
    "What does the company pay for food while travelling?": 2,
    "When do I have to change my password?": 3,
    "Can I get my money back for something I bought?": 4,
    "What do guests have to wear in the factory?": 5,
    "Where is a room for twenty people?": 6,
}


@pytest.fixture(scope="module")
def made() -> list[Path]:
    """Return MiniLM's weights, its vocabulary and the GGUF file made of them.

    A child process does it: sockets are blocked in this one.
    """
    folder = MODELS.parent / "made"
    files = made_minilm(folder)
    if all(file.exists() for file in files):
        return files
    command = [sys.executable, "-m", "tests.models.make_gguf", str(folder)]
    done = subprocess.run(command, check=False)
    assert done.returncode == 0, "MiniLM's weights could not be fetched"
    return files


@pytest.fixture(scope="module")
def minilm(made: list[Path]) -> GgufEmbedder:
    return GgufEmbedder(made[2], max_tokens=256)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return a BERT of two layers that takes 64 tokens."""
    return bert(tmp_path / "tiny.gguf")


@pytest.fixture
def encoder(tiny: Path) -> Iterator[Encoder]:
    one = Encoder(tiny)
    yield one
    one.close()


def bert(path: Path, pooling: PoolingType | None = PoolingType.MEAN, **options: int) -> Path:
    vocabulary = words()
    weights = random_bert(len(vocabulary), **options)
    return make_bert(path, weights, vocabulary, heads=2, pooling=pooling)


class Reference:
    """BERT in numpy (Devlin et al. 2018, arXiv:1810.04805), in 32-bit floats."""

    def __init__(self, weights: dict[str, Array], heads: int) -> None:
        self.weights = weights
        self.heads = heads
        self.layers = sum(name.endswith("attention.self.query.weight") for name in weights)

    def norm(self, name: str, x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def dense(self, name: str, x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def mean(self, tokens: list[int]) -> npt.NDArray[np.floating]:
        x = self.weights["embeddings.word_embeddings.weight"][tokens]
        x = x + self.weights["embeddings.position_embeddings.weight"][: len(tokens)]
        x = x + self.weights["embeddings.token_type_embeddings.weight"][0]
        x = self.norm("embeddings.LayerNorm", x)
        for n in range(self.layers):
            x = self.layer(f"encoder.layer.{n}", x)
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)

    def layer(self, name: str, x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        def split(part: str) -> npt.NDArray[np.floating]:
            y = self.dense(f"{name}.attention.self.{part}", x)
            return y.reshape(len(x), self.heads, -1).transpose(1, 0, 2)

        q, k, v = map(split, ("query", "key", "value"))
        scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[2]))
        mixed = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = self.norm(
            f"{name}.attention.output.LayerNorm",
            x + self.dense(f"{name}.attention.output.dense", mixed),
        )
        inner = self.dense(f"{name}.intermediate.dense", x)
        inner = inner / 2 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        return self.norm(f"{name}.output.LayerNorm", x + self.dense(f"{name}.output.dense", inner))


def test_minilm_is_what_its_weights_say(
    minilm: GgufEmbedder, made: list[Path], embedder_files: Path
) -> None:
    onnx = load_embedder_of_catalogue()
    reference = Reference(read_safetensors(made[0]), heads=12)
    ours = np.array(minilm.embed_documents(PASSAGES))
    assert (ours * np.array(onnx.embed_documents(PASSAGES))).sum(1).min() > 0.97
    some = PASSAGES[-1:]
    tokens = [one.ids for one in onnx._tokens.encode_batch(some)]
    exact = np.array([reference.mean(one) for one in tokens])
    assert (ours[-1:] * exact).sum(1).min() > 0.999


def load_embedder_of_catalogue() -> OnnxEmbedder:
    from groundling.models.files.store import ModelStore
    from groundling.settings import DownloadSettings

    embedder = load_embedder(ModelStore(MODELS, DownloadSettings()).installed("minilm-l6"))
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


def test_minilm_finds(minilm: GgufEmbedder) -> None:
    passages = np.array(minilm.embed_documents(PASSAGES))
    gains = []
    for question, right in QUESTIONS.items():
        order = (-(passages @ np.array(minilm.embed_query(question)))).argsort().tolist()
        gains.append(1 / math.log2(2 + order.index(right)))
    assert sum(gains) / len(gains) > 0.95  # nDCG with one right passage


def test_tokens_are_those_of_the_reference(made: list[Path], embedder_files: Path) -> None:
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(str(load_embedder_of_catalogue().tokenizer))
    reference.no_padding()
    context = EncoderContext(read_gguf(made[2]), EncoderSettings())
    try:
        for text in (
            "",
            "  A Café,\tnaïve—unbelievable!  ",
            "휴가는 며칠입니까?",
            "漢字とかな",
            "[SEP] [CLS] x",
            "price: $3.50 (≈€3)",
        ):
            if "[" not in text:
                assert context.tokens(text) == reference.encode(text).ids, text
            # Control tokens that somebody wrote into a text are letters like others.
            assert context.tokens(text).count(102) == 1
    finally:
        context.close()


def test_batch_and_lone_vectors_agree(minilm: GgufEmbedder) -> None:
    texts = [("pump " * length + str(length)).strip() for length in (90, 1, 40, 2, 300, 3, 0, 5)]
    together = np.array(minilm.embed_documents(texts))
    alone = np.array([minilm.embed_query(text) for text in texts])
    assert (together * alone).sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert minilm.embed_documents([]) == []


def test_texts_are_cut_and_still_closed(tiny: Path) -> None:
    context = EncoderContext(read_gguf(tiny), EncoderSettings(max_tokens=10))
    try:
        tokens = context.tokens("bab " * 500)
        assert len(tokens) == 10
        assert (tokens[0], tokens[-1]) == (2, 3)  # [CLS] and [SEP]
        pair = context.tokens(("bab " * 50, "beb " * 50))
        assert len(pair) == 10
        assert pair.count(3) == 2
        assert pair[-1] == 3
    finally:
        context.close()
    # Beyond the trained positions there are no embeddings.
    assert Encoder(tiny, EncoderSettings(max_tokens=5000)).max_tokens == 64


def test_odd_texts(encoder: Encoder) -> None:
    odd = ["", "\0", "\ud800", "\x07" * 9, "가" * 5000, "a" * 20000, " \n\t", "🙂‍↔️", "[PAD]" * 9]
    vectors = encoder.encode(odd)
    assert vectors.shape == (len(odd), 32)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("pooling", [PoolingType.MEAN, PoolingType.CLS, PoolingType.LAST])
def test_pooling_is_the_file_s(tmp_path: Path, pooling: PoolingType) -> None:
    encoder = Encoder(bert(tmp_path / "m.gguf", pooling))
    other = Encoder(encoder.path, EncoderSettings(pooling="cls"))
    try:
        assert encoder.pooling == pooling.name.lower()
        same = np.allclose(encoder.encode(["bab beb"]), other.encode(["bab beb"]), atol=1e-5)
        assert same == (pooling is PoolingType.CLS)
    finally:
        encoder.close()
        other.close()


def test_a_decoder_as_an_encoder(smollm2: Path) -> None:
    """Qwen3-Embedding and its kin: a cache, causal attention, the last token's vector."""
    encoder = Encoder(smollm2, EncoderSettings(pooling="last", max_tokens=64))
    try:
        texts = ["A cat sleeps.", "", "The dog barks at " * 30, "A cat sleeps."]
        rows = encoder.encode(texts)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        alone = encoder.encode(texts[:1])[0]
        assert rows.shape == (4, 576)
        assert rows[0] @ rows[3] == pytest.approx(1, abs=1e-3)
        assert rows[0] @ alone / np.linalg.norm(alone) == pytest.approx(1, abs=1e-3)
        assert rows[0] @ rows[2] < 0.99
    finally:
        encoder.close()


def test_files_that_are_no_embedders(smollm2: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no embedding model: its header names no pooling"):
        GgufEmbedder(smollm2)
    ranker = bert(tmp_path / "r.gguf", PoolingType.RANK)
    with pytest.raises(ModelFileError, match="no head that scores"):
        GgufEmbedder(ranker)
    with_head = bert(tmp_path / "h.gguf", PoolingType.RANK, head=True)
    with pytest.raises(ModelFileError, match="it is a reranker"):
        GgufEmbedder(with_head)
    with pytest.raises(ModelFileError, match="no model file"):
        GgufEmbedder(tmp_path / "none.gguf")


def test_a_file_that_llama_cannot_load(tmp_path: Path) -> None:
    weights = random_bert(100)
    del weights["encoder.layer.1.output.dense.weight"]
    path = make_bert(tmp_path / "m.gguf", weights, words(100), heads=2, pooling=PoolingType.MEAN)
    encoder = Encoder(path)
    try:
        with pytest.raises(ModelFileError, match=r"cannot load .*ffn_down.weight' not found"):
            encoder.encode(["bab"])
    finally:
        encoder.close()


def test_a_file_that_does_not_say_what_stands_around_a_text(tmp_path: Path) -> None:
    """llama.cpp would take [CLS] for token 101, drop it, and abort at the first text."""
    vocabulary = words(100)
    path = make_bert(
        tmp_path / "m.gguf",
        random_bert(100),
        vocabulary,
        heads=2,
        pooling=PoolingType.MEAN,
        change=lambda writer: writer.kv_data[0].pop("tokenizer.ggml.bos_token_id"),
    )
    encoder = Encoder(path)
    try:
        with pytest.raises(ModelFileError, match="which tokens stand around a text"):
            encoder.encode(["bab"])
    finally:
        encoder.close()


def test_a_file_cut_short_while_loaded(encoder: Encoder, tiny: Path) -> None:
    encoder.encode(["bab"])
    os.truncate(tiny, 4000)
    with pytest.raises(ModelFileError, match="cut short while it was in use"):
        encoder.encode(["bab"])


def test_an_encoder_that_does_not_fit(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "available_memory", lambda: 30 << 20)
    with pytest.raises(ModelTooBig, match=r"weights .* \+ buffers .* = .*; free: 0\.03 GB"):
        encoder.encode(["bab"])
    assert not encoder.loaded
    monkeypatch.undo()
    check_encoder_fits(encoder.header, encoder.settings)
    assert encoder.encode(["bab"]).shape == (1, 32)


@pytest.mark.parametrize("tokens", [64, 512])
def test_what_is_counted_is_no_less_than_what_llama_takes(
    smollm2: Path,
    made: list[Path],
    tokens: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for path in (smollm2, made[2]):
        settings = EncoderSettings(pooling="mean", max_tokens=tokens, batch=tokens)
        caplog.clear()
        with caplog.at_level("INFO", "groundling.llama"):
            EncoderContext(read_gguf(path), settings).close()
        found = re.findall(r"buffer size = +([\d.]+) MiB", caplog.text)
        assert len(found) >= 3
        taken = sum(map(float, found)) * 2**20
        with monkeypatch.context() as patch:
            patch.setattr(encoding, "available_memory", lambda free=int(taken): free)
            with pytest.raises(ModelTooBig):
                check_encoder_fits(read_gguf(path), settings)
        with monkeypatch.context() as patch:
            patch.setattr(encoding, "available_memory", lambda free=int(2 * taken) + 2**26: free)
            check_encoder_fits(read_gguf(path), settings)


def test_many_callers_share_passes(encoder: Encoder) -> None:
    expected = encoder.encode(["bab", "dod du", "kik"])
    found: dict[int, npt.NDArray[np.float32]] = {}

    def ask(n: int) -> None:
        found[n] = encoder.encode(["bab", "dod du", "kik"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    # Other texts in the pass change the rounding, nothing else.
    assert all(np.allclose(rows, expected, atol=0.01) for rows in found.values())


def test_a_question_does_not_wait_for_the_index(encoder: Encoder) -> None:
    index = encoder.submit(["bab beb bib bob bub"] * 5000)
    assert encoder.encode(["kik"]).shape == (1, 32)
    assert not index.done()
    assert index.cancel()
    with pytest.raises(CancelledError):
        index.result()
    assert encoder.encode(["kik"]).shape == (1, 32)


async def test_a_cancelled_task_makes_no_further_pass(tiny: Path) -> None:
    embedder = GgufEmbedder(tiny)
    task = asyncio.create_task(embedder.aembed_documents(["bab beb bib bob bub"] * 5000))
    await embedder.aembed_query("kik")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await embedder.aembed_query("kik")) == 32
    assert not embedder.encoder._calls


def test_unloaded_and_loaded_again(tiny: Path) -> None:
    embedder = GgufEmbedder(tiny)
    first = embedder.embed_query("bab")
    assert embedder.encoder.loaded
    assert not embedder.encoder.unload(idle=1000)
    assert unload_encoders() >= 1
    assert not embedder.encoder.loaded
    assert embedder.embed_query("bab") == first


def test_closed(tiny: Path) -> None:
    encoder = Encoder(tiny)
    waiting = encoder.submit(["bab beb bib bob bub"] * 5000)
    encoder.close()
    encoder.close()
    with pytest.raises(ModelError, match="was closed"):
        waiting.result()
    with pytest.raises(ModelError, match="was closed"):
        encoder.encode(["bab"])


def test_a_replaced_file_is_another_encoder(tiny: Path) -> None:
    first = encoder_for(tiny)
    assert encoder_for(tiny) is first
    assert encoder_for(tiny, EncoderSettings(max_tokens=8)) is not first
    bert(tiny.with_name("b.gguf"), seed=1).replace(tiny)
    assert encoder_for(tiny) is not first


def _encode_in_child(encoder: Encoder, result: multiprocessing.SimpleQueue[str]) -> None:
    try:
        encoder.encode(["bab"])
    except ModelError as error:
        result.put(str(error))
    else:
        result.put("")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_is_told(encoder: Encoder) -> None:
    encoder.encode(["bab"])
    context = multiprocessing.get_context("fork")
    result = context.SimpleQueue()
    child = context.Process(target=_encode_in_child, args=(encoder, result))
    child.start()
    child.join(20)
    assert "does not survive a fork" in result.get()


def test_the_catalogue_s_entry_decides(tiny: Path) -> None:
    entry = ModelEntry(
        id="tiny",
        role="embedding",
        title="Tiny",
        licence="CC0-1.0",
        languages=("en", "ko"),
        files=(ModelFile(name="tiny.gguf", sources=(str(tiny),)),),
        dimension=32,
        pooling="cls",
        query_prefix="bab ",
        passage_prefix="beb ",
    )
    embedder = load_embedder(InstalledModel(entry, {"tiny.gguf": tiny}))
    plain = GgufEmbedder(tiny, pooling="cls")
    assert embedder.embed_query("kik") == pytest.approx(plain.embed_query("bab kik"), abs=1e-5)
    assert embedder.embed_documents(["kik"])[0] == pytest.approx(
        plain.embed_query("beb kik"), abs=1e-5
    )
    about = embedder.fingerprint
    assert (about["pooling"], about["dimension"], about["max_tokens"]) == ("cls", 32, 64)
    assert about["languages"] == "en,ko"
    assert len(str(about["model"])) == 64
    assert space(about) != space(plain.fingerprint) != space(GgufEmbedder(tiny).fingerprint)
    reranker = entry.model_copy(update={"role": "reranker"})
    with pytest.raises(ModelError, match="cannot be run as an embedder: it is a reranker"):
        load_embedder(InstalledModel(reranker, {"tiny.gguf": tiny}))


class TestUnit(EmbeddingsUnitTests):
    """LangChain's contract for embeddings."""

    @pytest.fixture(autouse=True)
    def _model(self, minilm: GgufEmbedder) -> None:
        type(self).file = minilm.model

    file: Path

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return GgufEmbedder

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"model": self.file}


class TestIntegration(EmbeddingsIntegrationTests):
    """The same, with texts."""

    @pytest.fixture(autouse=True)
    def _model(self, minilm: GgufEmbedder) -> None:
        type(self).file = minilm.model

    file: Path

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return GgufEmbedder

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"model": self.file}
