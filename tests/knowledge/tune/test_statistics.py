import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.knowledge.tune.statistics import difference, estimate

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(SHARES)
def test_an_interval_is_round_the_mean_and_the_same_each_time(values: list[float]) -> None:
    found = estimate(values)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9
    assert found == estimate(values)


def test_pairs_take_away_what_both_find_hard() -> None:
    before = [0.0, 1.0] * 20
    after = [value + 0.1 for value in before]
    found = difference(before, after)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)
    assert estimate(after).high - estimate(after).low > 0.2


def test_an_interval_of_shares_is_as_wide_as_the_binomial_says() -> None:
    found = estimate([1.0] * 50 + [0.0] * 50)
    assert found.low == pytest.approx(0.40, abs=0.02)
    assert found.high == pytest.approx(0.60, abs=0.02)


@given(SHARES)
def test_no_difference_to_itself(values: list[float]) -> None:
    found = difference(values, values)
    assert found.low == found.mean == found.high == 0


def test_unequal_or_empty_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])
    with pytest.raises(ValueError, match="2 values before, 1 after"):
        difference([1, 0], [1])
