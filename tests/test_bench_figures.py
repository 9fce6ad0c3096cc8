"""The statistics and tables of the benchmarks."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engines.figures import Table, common, median, percentile, show, slope

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(numbers)
def test_percentiles_lie_in_order_within_the_values(values: list[float]) -> None:
    found = [percentile(values, share) for share in (0.0, 0.25, 0.5, 0.95, 1.0)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))
    assert found[2] == pytest.approx(statistics.median(values))


def test_of_nothing_there_is_no_median() -> None:
    assert math.isnan(median([]))
    assert math.isnan(percentile([], 0.5))


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_slope_is_the_lines_and_no_outlier_tilts_it(rise: float, start: float) -> None:
    line = [(float(x), start + rise * x) for x in range(9)]
    assert slope(line) == pytest.approx(rise, abs=1e-6)
    assert slope([*line, (9.0, 1e9)]) == pytest.approx(rise, abs=1e-6)
    assert slope(line[:1]) == 0.0


@given(st.text(), st.text(), st.text())
def test_common_beginnings(begin: str, left: str, right: str) -> None:
    count = common(begin + left, begin + right)
    assert count >= len(begin)
    assert (begin + left)[:count] == (begin + right)[:count]


def test_a_table_is_text_markdown_and_json() -> None:
    table = Table("Speed", ["", "tok/s", "ratio"], notes=["Quiet."])
    table.add("ours", 123.4, 0.99)
    table.add("theirs", None, float("nan"))
    assert table.text().splitlines()[1:] == [
        "Speed",
        "        tok/s  ratio",
        "ours      123   0.99",
        "theirs      –      –",
        "  Quiet.",
    ]
    assert "| ours | 123 | 0.99 |" in table.markdown()
    assert table.json()["rows"] == [["ours", 123.4, 0.99], ["theirs", None, table.rows[1][2]]]
    with pytest.raises(AssertionError):
        table.add("too few")


def test_three_digits_are_shown() -> None:
    assert [show(n) for n in (1234.5, 12.34, 1.234, 0.01234, 7, "a")] == [
        "1234", "12.3", "1.23", "0.012", "7", "a",
    ]  # fmt: skip
