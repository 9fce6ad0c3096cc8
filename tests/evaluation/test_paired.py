"""Paired scores: intervals, signs, p-values."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.evaluation.paired import bootstrap, paired, permutation_p, sign_p

SCORES = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 2), min_size=1, max_size=40
).map(lambda pairs: tuple(zip(*pairs, strict=True)))
FEW = settings(max_examples=40)


@FEW
@given(SCORES)
def test_exchanging_a_and_b_turns_the_signs(scores):
    a, b = scores
    there, back = paired(a, b, resamples=2_000), paired(b, a, resamples=2_000)
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert (there.higher, there.ties, there.lower) == (back.lower, back.ties, back.higher)
    assert there.p == pytest.approx(back.p, abs=0.05)
    assert there.p_sign == back.p_sign


@FEW
@given(SCORES)
def test_the_interval_holds_the_mean_and_stays_within_the_scores(scores):
    a, b = scores
    found = paired(a, b, resamples=2_000)
    assert found.low - 1e-12 <= found.difference <= found.high + 1e-12
    differences = [y - x for x, y in zip(a, b, strict=True)]
    assert min(differences) - 1e-12 <= found.low
    assert found.high <= max(differences) + 1e-12
    assert found.higher + found.ties + found.lower == len(a)
    assert 0 < found.p <= 1
    assert 0 < found.p_sign <= 1


@FEW
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_same_scores_differ_by_nothing(scores):
    found = paired(scores, scores)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert (found.higher, found.lower, found.p, found.p_sign) == (0, 0, 1, 1)


@FEW
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.floats(0.1, 10))
def test_a_scale_scales_the_interval(values, scale):
    low, high = bootstrap(np.array(values), resamples=500)
    scaled = bootstrap(np.array(values) * scale, resamples=500)
    assert scaled == pytest.approx((low * scale, high * scale), abs=1e-9)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(3).normal(0.2, 1, 50)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values) != bootstrap(values, seed=1)


def test_the_interval_is_as_wide_as_theory_has_it():
    values = np.random.default_rng(4).normal(0.3, 1.0, 400)
    low, high = bootstrap(values)
    width = 2 * 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert high - low == pytest.approx(width, rel=0.1)


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        low, high = bootstrap(random.normal(0.5, 1.0, 60), resamples=1_000)
        held += low <= 0.5 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_few_differences_are_flipped_in_every_way():
    differences = np.array([0.5, 0.25, -0.1, 0.4, 0.0])
    moved = differences[differences != 0]
    sums = [abs(sum(s * d for s, d in zip(signs, moved, strict=True)))
            for signs in product((1, -1), repeat=4)]  # fmt: skip
    expected = sum(each >= moved.sum() - 1e-12 for each in sums) / len(sums)
    assert permutation_p(differences) == expected


def test_many_differences_are_flipped_at_random():
    random = np.random.default_rng(6)
    assert permutation_p(np.abs(random.normal(1, 0.1, 60))) == pytest.approx(1 / 10_001)
    assert permutation_p(random.normal(0, 1, 60)) > 0.01


@pytest.mark.parametrize(
    ("higher", "lower", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 2**10), (8, 2, 2 * 56 / 2**10), (1, 0, 1.0)],
)
def test_the_sign_test_counts_coins(higher, lower, p):
    assert sign_p(higher, lower) == pytest.approx(p)
    assert sign_p(lower, higher) == pytest.approx(p)


def test_nothing_cannot_be_compared():
    with pytest.raises(ValueError, match="0 scores"):
        paired([], [])
    with pytest.raises(ValueError, match="1 scores"):
        paired([1.0], [1.0, 2.0])
