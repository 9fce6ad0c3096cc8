"""BM25 with other constants, and words that stand together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.rescoring import best_stretch, rescore, term_weights

TERMS = st.sampled_from("abcdefgh")


def order(words: list[tuple[str, ...]], passages: dict[int, list[str]]) -> list[int]:
    counts = {term: 2 for word in words for term in word}
    return [chunk_id for chunk_id, _ in rescore(words, passages, counts, 100)]


def test_words_that_stand_together_come_first() -> None:
    near = ["x"] * 20 + ["leave", "carry"] + ["x"] * 28
    apart = ["leave"] + ["x"] * 48 + ["carry"]
    assert order([("leave",), ("carry",)], {1: apart, 2: near}) == [2, 1]


def test_holding_both_words_is_more_than_one_of_them_often() -> None:
    often = ["leave"] * 10 + ["x"] * 10
    both = ["leave", "carry"] + ["x"] * 18
    assert order([("leave",), ("carry",)], {1: often, 2: both}) == [2, 1]


def test_a_rare_word_counts_more() -> None:
    scored = rescore([("a",), ("b",)], {1: ["a"], 2: ["b"]}, {"a": 90, "b": 2}, 100)
    assert [chunk_id for chunk_id, _ in scored] == [2, 1]


def test_a_word_of_four_terms_counts_twice_a_word_of_one() -> None:
    words = [("지명", "명수", "수배", "배자"), ("2024",)]
    weights = term_weights(words, dict.fromkeys((*words[0], *words[1]), 5), 100)
    assert math.fsum(weights[term] for term in words[0]) == pytest.approx(2 * weights["2024"])


def test_score_by_hand() -> None:
    # idf = ln(1 + (10 - 2 + 0.5) / (2 + 0.5)); a passage of the mean length with one occurrence
    # has BM25 = idf, and its stretch holds all of it: 1.6 idf.
    [(_, score)] = rescore([("a",)], {1: ["a", "x"]}, {"a": 2}, 10)
    assert score == pytest.approx(1.6 * math.log(1 + 8.5 / 2.5))


def test_nothing_to_order() -> None:
    assert rescore([("a",)], {}, {}, 0) == []
    assert rescore([], {1: ["a"]}, {}, 10) == [(1, 0.0)]


@given(
    st.lists(st.lists(TERMS, min_size=1, max_size=3).map(tuple), max_size=5),
    st.dictionaries(st.integers(0, 99), st.lists(TERMS, max_size=30), max_size=8),
    st.dictionaries(TERMS, st.integers(0, 120)),
)
def test_every_candidate_is_scored_once_and_none_below_nothing(
    words: list[tuple[str, ...]], passages: dict[int, list[str]], counts: dict[str, int]
) -> None:
    scored = rescore(words, passages, counts, 100)
    assert sorted(chunk_id for chunk_id, _ in scored) == sorted(passages)
    scores = [score for _, score in scored]
    assert scores == sorted(scores, reverse=True)
    assert all(score >= 0 for score in scores)


@given(st.lists(TERMS, max_size=30), st.integers(1, 12))
def test_the_best_stretch_is_the_best_of_all_stretches(passage: list[str], length: int) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 4.0}
    places = [(place, term) for place, term in enumerate(passage) if term in weights]
    stretches = [passage[start : start + length] for start in range(len(passage))]
    sums = [sum(weights.get(term, 0.0) for term in set(stretch)) for stretch in stretches]
    assert best_stretch(places, weights, length) == pytest.approx(max(sums, default=0.0))
