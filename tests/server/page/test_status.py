"""The status: the server, its machine and its graphs, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, Site, Watch

_OVERLAPS = """(svg) => {
    const boxes = [...svg.querySelectorAll("rect")].map((box) => box.getBoundingClientRect());
    const meet = (a, b) =>
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    return boxes.filter((a, n) => boxes.slice(n + 1).some((b) => meet(a, b))).length;
}"""


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_it_shows_the_machine_the_queue_and_a_graph(
    page: Page, site: Site, snap: Snap, look: object
) -> None:
    status = site.api("GET", "/api/status")
    page.goto("/#/status")
    expect(page.locator(".st")).to_contain_text(status["version"])
    meter = page.get_by_role("meter").first
    expect(meter).to_have_attribute("aria-valuenow", re.compile(r"^\d+$"))
    graph = page.locator(".sg-svg")
    expect(graph).to_contain_text("guard_input")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("status")


def test_each_graph_is_drawn_with_all_its_steps(page: Page, site: Site) -> None:
    graphs = [each for each in site.api("GET", "/api/graphs")["graphs"] if each["nodes"]]
    assert {"ask", "rag", "agent"} <= {graph["name"] for graph in graphs}
    page.goto("/#/status")
    for graph in graphs:
        page.get_by_role("button", name=graph["name"], exact=True).press("Enter")
        drawn = page.get_by_role("img", name=f"The steps of {graph['name']}")
        expect(drawn.locator("rect")).to_have_count(len(graph["nodes"]))
        overlaps = drawn.evaluate(_OVERLAPS)
        assert overlaps == 0, graph["name"]
        expect(drawn.locator(".sg-line")).to_have_count(len(graph["edges"]))


def test_figures_are_looked_at_again(page: Page, site: Site) -> None:
    page.goto("/#/status")
    expect(page.locator(".st")).to_be_visible()
    with page.expect_response("**/api/status"):
        pass


def test_a_server_that_went_away_is_said_to_be_away(
    page: Page, site: Site, watch: Watch, snap: Snap
) -> None:
    watch.allow("ERR_INTERNET_DISCONNECTED|ERR_FAILED")
    page.goto("/#/status")
    expect(page.locator(".st-cards")).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator(".st .badge").first).to_have_text("The server cannot be reached")
    snap("away")
    page.context.set_offline(False)
    expect(page.locator(".st .badge").first).to_have_text("Ready")
