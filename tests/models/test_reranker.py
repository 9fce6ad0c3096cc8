"""Rerankers: a cross-encoder with random weights for the plumbing, and a chat model's yes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter, PoolingType
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from groundling.errors import ModelError, ModelFileError
from groundling.models.chat import ChatLlama
from groundling.models.choice_reranker import ChoiceReranker, RerankCompressor
from groundling.models.encoding import EncoderContext, EncoderSettings
from groundling.models.files.catalogue import ModelEntry, ModelFile
from groundling.models.files.manifest import InstalledModel
from groundling.models.gguf import read_gguf
from groundling.models.reranker import GgufReranker, Reranker, load_reranker
from tests.models.make_gguf import Array, make_bert, random_bert, words

WORDS = words()
TEXTS = ["bab beb bib", "", "dod du " * 100, "kik", "bab beb bib", "mam fob 가나다"]


def ranker(path: Path, weights: dict[str, Array] | None = None, **keys: str) -> Path:
    def change(writer: GGUFWriter) -> None:
        for key, value in keys.items():
            writer.add_string(key.replace("__", "."), value)

    weights = weights or random_bert(len(WORDS), head=True)
    return make_bert(path, weights, WORDS, heads=2, pooling=PoolingType.RANK, change=change)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return ranker(tmp_path / "ranker.gguf")


@pytest.mark.model
def test_scores_are_in_order_and_the_same_alone(model: Path) -> None:
    reranker: Reranker = GgufReranker(model)
    scores = reranker.rerank("dod bab", TEXTS)
    assert len(scores) == len(TEXTS)
    assert all(0 < score < 1 for score in scores)
    assert scores[0] == pytest.approx(scores[4], abs=1e-3)
    assert max(scores) - min(scores) > 0.02
    alone = [reranker.rerank("dod bab", [text])[0] for text in TEXTS]
    assert scores == pytest.approx(alone, abs=2e-3)
    assert reranker.rerank("dod bab", TEXTS) == scores
    assert reranker.rerank("dod bab", []) == []
    assert reranker.rerank("kik mam fof", TEXTS[:1])[0] != pytest.approx(scores[0], abs=1e-3)


@pytest.mark.model
def test_a_score_is_what_the_head_says(model: Path, tmp_path: Path) -> None:
    """The head is Wo tanh(W x + b) + bo; without W and Wo what is left is bo."""
    weights = random_bert(len(WORDS), head=True)
    weights["cls.output.weight"] = np.zeros_like(weights["cls.output.weight"])
    weights["cls.output.bias"] = np.array([-1.5], np.float32)
    constant = GgufReranker(ranker(tmp_path / "constant.gguf", weights))
    assert constant.rerank("bab", TEXTS) == pytest.approx([1 / (1 + math.exp(1.5))] * 6, abs=1e-4)


@pytest.mark.model
def test_how_a_pair_is_written(model: Path, tmp_path: Path) -> None:
    plain = EncoderContext(read_gguf(model), EncoderSettings())
    try:
        question, text = plain._split("bab"), plain._split("dod du")
        assert plain.tokens(("bab", "dod du")) == [2, *question, 3, *text, 3]
        assert 3 not in plain.tokens(("bab [SEP]", "[SEP]"))[1:5]
    finally:
        plain.close()
    form = "bab {query} beb {document} bib"
    other = ranker(tmp_path / "form.gguf", tokenizer__chat_template__rerank=form)
    templated = EncoderContext(read_gguf(other), EncoderSettings(max_tokens=12))
    try:
        around = [templated._split(word) for word in ("bab", "beb", "bib")]
        written = templated.tokens(("kik", "dod " * 50))
        assert written[:4] == [*around[0], *templated._split("kik")]
        assert written[-1:] == around[2]
        assert len(written) == 12
    finally:
        templated.close()


def test_files_that_are_no_rerankers(model: Path, tmp_path: Path) -> None:
    headless = ranker(tmp_path / "headless.gguf", random_bert(len(WORDS)))
    with pytest.raises(ModelFileError, match="no head that scores"):
        GgufReranker(headless)
    embedder = make_bert(
        tmp_path / "e.gguf", random_bert(len(WORDS)), WORDS, heads=2, pooling=PoolingType.CLS
    )
    with pytest.raises(ModelFileError, match="it is no reranker"):
        GgufReranker(embedder)
    weights = random_bert(len(WORDS), head=True)
    weights["cls.output.weight"] = np.ones((3, 32), np.float32)
    weights["cls.output.bias"] = np.ones(3, np.float32)
    with pytest.raises(ModelFileError, match="gives 3 scores"):
        GgufReranker(ranker(tmp_path / "three.gguf", weights))


def test_a_catalogue_entry_of_another_role(model: Path) -> None:
    entry = ModelEntry(
        id="tiny",
        role="reranker",
        title="Tiny",
        licence="CC0-1.0",
        files=(ModelFile(name="tiny.gguf", sources=(str(model),)),),
    )
    assert load_reranker(InstalledModel(entry, {"tiny.gguf": model})).model == model
    chat = entry.model_copy(update={"role": "chat"})
    with pytest.raises(ModelError, match="tiny is a chat model in gguf files"):
        load_reranker(InstalledModel(chat, {"tiny.gguf": model}))


class Counting:
    """Scores a text by how many of the question's words it has."""

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        return [sum(word in text for word in query.split()) / 10 for text in texts]


def test_the_compressor_keeps_the_best() -> None:
    documents = [
        Document("about pumps", id="1"),
        Document("pumps need calibration", id="2", metadata={"source": "a.md"}),
        Document("about leave", id="3"),
        Document("calibration of pumps", id="4"),
    ]
    compressor = RerankCompressor(reranker=Counting(), top_n=3)
    best = compressor.compress_documents(documents, "pumps calibration")
    assert [one.id for one in best] == ["2", "4", "1"]
    assert best[0].metadata == {"source": "a.md", "relevance_score": 0.2}
    assert documents[1].metadata == {"source": "a.md"}
    assert compressor.compress_documents([], "pumps") == []


class Agreeing:
    """Says yes as likely as the passage is long, and keeps the prompts."""

    def __init__(self) -> None:
        self.prompts: list[Sequence[BaseMessage]] = []

    def choose_many(
        self, prompts: Sequence[Sequence[BaseMessage]], options: Sequence[str]
    ) -> list[Mapping[str, float]]:
        self.prompts += prompts
        return [{options[0]: 0.01 * n, options[1]: 1 - 0.01 * n} for n, _ in enumerate(prompts)]


def test_the_prompts_of_a_choice_share_their_beginning() -> None:
    chooser = Agreeing()
    reranker = ChoiceReranker(chooser)
    assert reranker.rerank("How long?", ["two days", "three weeks"]) == [0.0, 0.01]
    first, second = ("\n".join(m.text for m in prompt) for prompt in chooser.prompts)
    shared = first[: first.index("two days")]
    assert second.startswith(shared)
    assert "How long?" in shared
    assert reranker.rerank("How long?", []) == []


@pytest.mark.model
def test_a_chat_model_reranks(smollm2: Path) -> None:
    """Plumbing: SmolLM2 is too weak to judge."""
    reranker = ChoiceReranker(ChatLlama(model=str(smollm2), context=512))
    texts = ["Leave is 25 days a year.", "The pump is blue.", "Leave is 25 days a year."]
    scores = reranker.rerank("How many days of leave?", texts)
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] == pytest.approx(scores[2], abs=0.02)


@pytest.mark.quality
def test_a_good_chat_model_finds_the_answer(qwen: Path) -> None:
    reranker = ChoiceReranker(ChatLlama(model=str(qwen), context=1024))
    texts = [
        "The pump must be calibrated every six months.",
        "Employees have twenty-five days of annual leave.",
        "연차 휴가는 연 25일이다.",
        "The canteen opens at noon.",
    ]
    scores = reranker.rerank("How many days of leave do employees have?", texts)
    assert min(scores[1:3]) > max(scores[0], scores[3])
