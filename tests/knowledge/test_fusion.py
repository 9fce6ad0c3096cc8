"""Two rankings into one, and how much the dense one counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.fusion import (
    dense_weight,
    depth,
    fuse,
    language,
    measured_weights,
    reciprocal_rank,
    scaled,
)

MINILM = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
ENGLISH = frozenset({"en"})

scores = st.floats(-100, 100, allow_nan=False)
rankings = st.dictionaries(st.integers(1, 40), scores, max_size=15).map(
    lambda found: sorted(found.items(), key=lambda item: -item[1])
)


def test_scores_count_not_ranks() -> None:
    # 2 is far behind 1 by words and hardly behind 3 by meaning.
    lexical = [(1, 10.0), (2, 1.0), (4, 0.0)]
    dense = [(3, 0.9), (2, 0.88), (1, 0.5), (4, 0.1)]
    assert fuse(lexical, dense, 1.0) == [
        (1, pytest.approx((1 + 0.5) / 2)),
        (2, pytest.approx((0.1 + 0.975) / 2)),
        (3, pytest.approx(1 / 2)),
        (4, 0.0),
    ]


def test_first_in_both_is_one() -> None:
    assert fuse([(1, 5.0), (2, 1.0)], [(1, 0.7), (2, 0.1)], 0.5)[0] == (1, pytest.approx(1.0))


def test_without_words_the_dense_ranking_stands_in() -> None:
    assert fuse([], [(7, 0.9), (8, 0.2)], 0.0) == [(7, 1.0), (8, 0.0)]
    assert fuse([], [], 1.0) == []


@given(rankings, rankings)
def test_at_weight_zero_the_dense_ranking_changes_nothing(
    lexical: list[tuple[int, float]], dense: list[tuple[int, float]]
) -> None:
    assert fuse(lexical, dense, 0.0) == (fuse(lexical, [], 0.0) if lexical else fuse([], dense, 1))


@given(rankings, rankings, st.floats(0.01, 4))
def test_fused_scores(
    lexical: list[tuple[int, float]], dense: list[tuple[int, float]], weight: float
) -> None:
    fused = fuse(lexical, dense, weight)
    assert {chunk_id for chunk_id, _ in fused} == {i for i, _ in [*lexical, *dense]}
    values = [score for _, score in fused]
    assert values == sorted(values, reverse=True)
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in values)


@given(rankings)
def test_scaling_keeps_the_order(ranking: list[tuple[int, float]]) -> None:
    values = [score for _, score in scaled(ranking)]
    assert values == sorted(values, reverse=True)
    assert not values or values[0] == 1.0


def test_equal_scores_are_all_best() -> None:
    assert scaled([(1, 3.0), (2, 3.0)]) == [(1, 1.0), (2, 1.0)]


def test_ranks_alone() -> None:
    fused = reciprocal_rank([([(1, 9.0), (2, 8.0)], 1.0), ([(1, 0.1)], 0.5), ([(3, 1.0)], 0.0)])
    assert fused == [(1, pytest.approx(1.0)), (2, pytest.approx(61 / 62 / 1.5))]


def test_what_was_measured() -> None:
    assert measured_weights(MINILM) == {"en": 1.0, "ko": 0.0}
    assert measured_weights("") == {}


@pytest.mark.parametrize(
    ("question", "tuned", "model", "weight"),
    [
        ("en", None, MINILM, 1.0),
        ("ko", None, MINILM, 0.0),
        ("en", None, "unknown", 0.5),  # declared by the catalogue, measured by nobody
        ("ko", None, "unknown", 0.0),
        ("", None, MINILM, 0.0),
        ("en", {"en": 0.3}, MINILM, 0.3),
        ("ko", {"ko": 0.25}, "unknown", 0.25),
        ("ko", {"en": 0.3}, MINILM, 0.0),
    ],
)
def test_dense_weight(
    question: str, tuned: dict[str, float] | None, model: str, weight: float
) -> None:
    assert dense_weight(question, ENGLISH, tuned, model=model) == weight


@pytest.mark.parametrize(
    ("letters", "code"),
    [
        ({"ko": 0.5, "en": 0.5}, "ko"),
        ({"ko": 0.2, "en": 0.8}, "en"),
        ({"en": 1.0}, "en"),
        ({}, ""),
    ],
)
def test_language(letters: dict[str, float], code: str) -> None:
    assert language(letters) == code


def test_depth_grows_with_what_is_asked_for() -> None:
    assert depth(6) == 100
    assert depth(40) == 200
