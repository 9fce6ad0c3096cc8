"""Experiments: listed, read and compared in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from groundling.evaluation.datasets import DatasetStore, NewExample
from groundling.evaluation.evaluators.registry import Context, make_evaluators
from groundling.evaluation.experiment import run_experiment
from groundling.evaluation.plan import plan
from groundling.evaluation.targets import RunnableTarget
from groundling.home import Home
from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, PacedChat, Site, Watch, live

SCRIPT = "<img src=x onerror=alert()><script>alert()</script>"  # no digit may be right


def right_from(first: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what adds one rightly to numbers from `first` on."""

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        number = int(inputs["question"].split()[0])
        return {"answer": str(number + 1) if number >= first else SCRIPT}

    return target


def evaluate(home: Path) -> None:
    """Run two experiments on ten sums; the second one gets more of them right."""
    with Home(home) as opened, DatasetStore(opened.settings.evaluation_path) as datasets:
        datasets.create("sums")
        datasets.add(
            "sums",
            [NewExample({"question": f"{n} + 1?"}, {"answer": str(n + 1)}) for n in range(10)],
        )
        for name, first in (("before", 8), ("after", 2)):
            made = make_evaluators(["correct", "latency"], Context(opened))
            target = RunnableTarget(right_from(first))
            wanted = plan(datasets, "sums", target, made, name=name)
            asyncio.run(run_experiment(opened, wanted, None))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with experiments."""
    home = tmp_path_factory.mktemp("evaluated") / "home"
    with ThreadPoolExecutor(1) as aside:  # in this thread the browser has its loop
        aside.submit(evaluate, home).result()
    return home


@pytest.fixture
def site(evaluated: Path, home: Path, model: PacedChat) -> Iterator[Site]:
    """A server of a home folder with experiments."""
    with live(evaluated, model) as site:
        yield site


def id_of(site: Site, name: str) -> str:
    """Return the id of an experiment."""
    found = site.api("GET", "/api/experiments")["experiments"]
    return next(each["id"] for each in found if each["name"] == name)


def test_two_are_chosen_and_compared_with_the_keyboard(page: Page, site: Site, snap: Snap) -> None:
    page.goto("/#/experiments")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    page.get_by_role("checkbox", name="Choose before").press("Space")
    page.get_by_role("checkbox", name="Choose after").press("Space")
    snap("list")
    compare.press("Enter")
    expect(page.get_by_role("heading", name="Comparison")).to_be_visible()
    names = page.locator(".ec-names")
    expect(names).to_have_text("A before B after")


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_scores_are_drawn_with_their_intervals(
    page: Page, site: Site, snap: Snap, look: object
) -> None:
    page.goto(f"/#/experiments/{id_of(site, 'after')}")
    rows = page.locator(".dw-row")
    expect(rows.filter(has_text="correct")).to_contain_text("0.800")
    expect(rows.filter(has_text="correct").locator(".dw-whisker")).to_be_visible()
    expect(page.locator(".ex-results > li")).to_have_count(10)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("one")


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_a_comparison_counts_wins_and_shows_what_differs(
    page: Page, site: Site, snap: Snap, look: object
) -> None:
    page.goto(f"/#/experiments/compare/{id_of(site, 'before')}/{id_of(site, 'after')}")
    row = page.locator(".ec-table tbody tr").filter(has_text="correct")
    expect(row).to_contain_text("+0.600")
    expect(row).to_contain_text("6 / 4 / 0")
    expect(page.locator(".dw-row.is-good").filter(has_text="correct")).to_be_visible()
    plot = page.locator("img.ec-plot")
    expect(plot).to_have_js_property("complete", True)
    assert plot.evaluate("(image) => image.naturalWidth") > 0
    expect(page.locator(".ec-pairs")).to_contain_text(SCRIPT)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("comparison")


def test_one_leads_to_the_traces_of_its_examples(page: Page, site: Site) -> None:
    page.goto(f"/#/experiments/{id_of(site, 'before')}")
    page.get_by_role("link", name="3 + 1?").click()
    expect(page.get_by_role("treegrid")).to_be_visible()


def test_what_cannot_be_compared_is_told(page: Page, site: Site, watch: Watch) -> None:
    watch.allow("status of 4")
    page.goto(f"/#/experiments/compare/{id_of(site, 'before')}/nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")
