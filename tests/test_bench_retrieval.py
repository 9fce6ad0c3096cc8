"""What the retrieval bench reads, measures beside, and counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.retrieval import BUDGET, shown
from bench.retrieval_measures import interval, ndcg
from bench.retrieval_peers import CachedEmbedder, WhitespaceBM25, split_by_default
from bench.retrieval_sets import Asked, articles, drawn
from tests.knowledge.conftest import HashedWords


def test_answers_are_where_the_articles_have_them(tmp_path: Path) -> None:
    contexts = ["Léave is 15 days.", "연차는 15일이다."]
    answers = ["15 days", "15일"]
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "question": answer,
                    "answers": [{"text": answer, "answer_start": context.index(answer)}],
                }
            ],
        }
        for context, answer in zip(contexts, answers, strict=True)
    ]
    file = tmp_path / "set.json"
    file.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    texts, asked = articles(file)
    for one in asked:
        assert one.start is not None
        assert texts["a0"][one.start :].startswith(one.question)


def test_questions_are_drawn_alike_every_time() -> None:
    questions = [(str(number), {str(number)}) for number in range(50)]
    assert drawn(questions, 10) == drawn(questions, 10)
    assert sorted(drawn(questions, None)) == sorted(drawn(questions, 99)) == sorted(questions)


def test_whitespace_bm25() -> None:
    bm25 = WhitespaceBM25(["the leave is long", "the the the", "연차는 길다"])
    assert bm25.search("leave", 5) == [0]
    assert bm25.search("연차가", 5) == []  # what splitting at spaces does to Korean


def test_the_default_splits_are_spans_of_the_text() -> None:
    text = " ".join(f"word{number}" for number in range(2000))
    texts, spans = split_by_default({"a": text})
    assert len(texts) > 3
    assert texts == [text[start:end] for _, start, end in spans]


def test_only_the_budget_is_shown() -> None:
    near, far = Asked("?", {"a"}, 10), Asked("?", {"a"}, BUDGET + 10)
    assert shown(lambda _: [("a", 0, BUDGET + 50)], [near])["recall"] == 100
    assert shown(lambda _: [("a", 0, BUDGET + 50)], [far])["recall"] == 0
    assert shown(lambda _: [("b", 0, BUDGET), ("a", 0, 50)], [near])["recall"] == 0
    assert shown(lambda _: [("b", 0, 10), ("a", 0, 50)], [Asked("?", {"a"}, None)])["recall"] == 100


def test_vectors_are_made_once(tmp_path: Path) -> None:
    texts = ["leave", "연차", "leave"]
    inner = HashedWords()
    for _ in range(2):
        embedder = CachedEmbedder(inner, tmp_path)
        for text, vector in zip(texts, embedder.embed_documents(texts), strict=True):
            assert vector == pytest.approx(inner.embed_query(text), abs=1e-6)
        embedder.close()
    assert inner.embedded == 2


def test_measures() -> None:
    assert ndcg(["b", "a"], {"a"}) == pytest.approx(0.6309, abs=1e-4)
    low, high = interval([0.0, 1.0] * 50)
    assert low < 50 < high
