"""The page of a comparison: whole, safe, and asking nothing of anybody."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from groundling.errors import EvaluationError
from groundling.evaluation import report
from groundling.evaluation.compare import compare
from groundling.evaluation.datasets import NewExample
from groundling.evaluation.plots import forest, histogram, scatter
from groundling.evaluation.preference import Preferences
from groundling.evaluation.report import changes, html, write_report

EVIL = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>"


@pytest.fixture
def page(opened, datasets, evaluate):
    datasets.create("d")
    datasets.add(
        "d",
        [
            NewExample({"question": "휴가는 며칠입니까?"}, {"answer": "6일"}, {"language": "ko"}),
            NewExample({"question": EVIL}, {"answer": EVIL}, {"kind": EVIL}),
            NewExample({"question": "Fails?"}, {"answer": "yes"}),
            *(NewExample({"question": f"{n}?"}, {"answer": str(n)}) for n in range(8)),
        ],
    )

    def a(inputs):
        return {"answer": "6일" if "휴가" in inputs["question"] else inputs["question"].strip("?")}

    def b(inputs):
        if inputs["question"] == "Fails?":
            raise ValueError(EVIL)
        return {"answer": "17일" if "휴가" in inputs["question"] else EVIL}

    def write(preferences=None):
        evaluate("d", a, ["correct", "f1", "latency"], name=f"a {EVIL[:40]}")
        evaluate("d", b, ["correct", "f1", "latency"], name="b")
        found = compare(opened.traces, datasets, f"a {EVIL[:40]}", "b")
        return html(found, opened.traces, preferences), found

    return write


def test_what_runs_hold_is_text_and_nothing_is_asked_for(page):
    written, _ = page(Preferences(3, 1, 2, 0, 0.9, 0.6, 0.69))
    tree = LexborHTMLParser(written)
    assert len(tree.css("script")) == 1
    assert tree.css("img, iframe, link, object, embed, form, base") == []
    attributes = [name for node in tree.css("*") for name in node.attributes]
    assert not [name for name in attributes if name.startswith("on") or name in ("src", "href")]
    policy = tree.css_first("meta[http-equiv=Content-Security-Policy]").attributes["content"]
    assert policy.startswith("default-src 'none'")
    assert "url(" not in tree.css_first("style").text()
    assert "@import" not in tree.css_first("style").text()
    texts = tree.css_first("#examples").text()
    assert EVIL in texts
    assert "휴가는 며칠입니까?" in texts
    assert "viewport" in written


def test_every_example_and_score_is_there(page):
    written, found = page()
    tree = LexborHTMLParser(written)
    assert len(tree.css("details.example")) == len(found.pairs) == 11
    assert {row.css_first("th").text().strip() for row in tree.css(".scores tbody tr")} == {
        "completed", "correct", "f1", "latency",
    }  # fmt: skip
    assert len(tree.css(".scores tbody svg.interval")) == 4
    assert tree.css("svg.scatter circle")
    assert len(tree.css(".answer.failed")) == 1
    marked = [node.text() for node in tree.css("mark")]
    assert {"6일", "17일"} <= set(marked)
    assert "What differs" in written


def test_the_plots_are_well_formed_svg(page):
    written, _ = page()
    found = re.findall(r"<svg.*?</svg>", written, re.DOTALL)
    assert len(found) >= 8
    for each in found:
        ElementTree.fromstring(each)


def test_it_is_written_in_the_place_of_an_old_one(page, opened, tmp_path, datasets):
    _, found = page()
    file = tmp_path / "report.html"
    file.write_text("old", encoding="utf-8")
    write_report(file, found, opened.traces)
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.glob("*.new")) == []
    with pytest.raises(EvaluationError, match="cannot be written"):
        write_report(tmp_path / "nowhere" / "report.html", found, opened.traces)


def test_many_examples_are_cut_short_and_it_is_said(page, monkeypatch):
    monkeypatch.setattr(report, "SHOWN", 3)
    tree = LexborHTMLParser(page()[0])
    assert len(tree.css("details.example")) == 3
    assert "8 examples that lost less are not shown" in " ".join(tree.body.text().split())


@given(st.text(), st.text())
def test_marked_texts_are_the_texts(a, b):
    left, right = changes(a, b)
    assert "".join(piece.text for piece in left) == a
    assert "".join(piece.text for piece in right) == b
    same = ["".join(piece.text for piece in side if not piece.changed) for side in (left, right)]
    assert same[0] == same[1]
    if a == b:
        assert not any(piece.changed for piece in left)


VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(VALUES, VALUES)
def test_bars_count_every_value_once(a, b):
    plot = histogram(a, b)
    assert sum(bar.count_a for bar in plot.bars) == len(a)
    assert sum(bar.count_b for bar in plot.bars) == len(b)
    assert all(0 <= bar.a <= plot.height and 0 <= bar.b <= plot.height for bar in plot.bars)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.just("?")), min_size=1))
def test_dots_lie_inside(points):
    plot = scatter(points)
    assert len(plot.dots) == len(points)
    assert all(0 <= dot.x <= plot.size and 0 <= dot.y <= plot.size for dot in plot.dots)


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 3).map(sorted), max_size=8))
def test_intervals_lie_on_the_axis_in_order(rows):
    plot = forest(rows)
    assert all(0 <= row.low <= row.at <= row.high <= plot.width for row in plot.rows)
