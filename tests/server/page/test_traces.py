"""Traces: found, read by pointer and keyboard, judged, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from groundling.home import Home
from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, PacedChat, Site, live

SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"
CALL = '{"calls": [{"expression": "12 * 7"}]}'


def record(home: Path) -> None:
    """Record runs of real graphs: an answer, a tool's call, and a failure."""
    model = PacedChat()
    with Home(home) as opened:
        ask = opened.graph("ask", model=model)
        model.enqueue("Paris is the capital of France.")
        ask.invoke({"messages": [("user", "What is the capital of France?")]})
        model.enqueue(f"It says {SCRIPT}")
        ask.invoke({"messages": [("user", f"What does {SCRIPT} say?")]})
        model.enqueue_choice("calculator", "none")
        model.enqueue(CALL, "12 times 7 is 84.")
        toolbox = opened.graph("toolbox", model=model)
        toolbox.invoke({"messages": [("user", "What is 12 times 7?")]})
        model.enqueue(RuntimeError("the model went away"))
        with pytest.raises(RuntimeError):
            ask.invoke({"messages": [("user", "Is anybody there?")]})


@pytest.fixture
def site(home: Path, model: PacedChat) -> Iterator[Site]:
    """A server of a home folder with recorded runs."""
    record(home)
    with live(home, model) as site:
        yield site


def trace_of(site: Site, question: str) -> str:
    """Return the id of the trace of a question."""
    found = site.api("GET", "/api/traces")["traces"]
    return next(each["id"] for each in found if question in (each["preview"] or ""))


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_the_list_shows_what_was_asked_and_what_came_of_it(
    page: Page, site: Site, snap: Snap, look: object
) -> None:
    page.goto("/#/traces")
    rows = page.locator(".tr-row")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("Is anybody there?")
    expect(rows.first).to_contain_text("the model went away")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("list")


def test_filters_are_kept_in_the_address(page: Page, site: Site) -> None:
    page.goto("/#/traces")
    rows = page.locator(".tr-row")
    expect(rows).to_have_count(4)
    page.get_by_label("Status").select_option("error")
    expect(rows).to_have_count(1)
    assert page.url.endswith("#/traces?status=error")
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Status").select_option("")
    page.get_by_label("Graph").select_option("toolbox")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("12 times 7")
    page.get_by_label("Graph").select_option("")
    page.get_by_role("searchbox", name="Search").fill("capital")
    expect(rows).to_have_count(1)
    page.get_by_role("searchbox", name="Search").fill("nowhere to be found")
    expect(page.get_by_text("No trace fits")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_the_waterfall_opens_a_step(page: Page, site: Site, snap: Snap, look: object) -> None:
    page.goto(f"/#/traces/{trace_of(site, '12 times 7')}")
    grid = page.get_by_role("treegrid")
    expect(grid.get_by_role("row").filter(has_text="calculator")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("waterfall")
    grid.get_by_role("row").filter(has_text="calculator").click()
    detail = page.locator("aside.tr-run")
    expect(detail).to_contain_text("12 * 7")
    expect(detail).to_contain_text("84")
    snap("step")


def test_the_waterfall_is_walked_and_zoomed_by_keys(page: Page, site: Site) -> None:
    page.goto(f"/#/traces/{trace_of(site, '12 times 7')}")
    rows = page.locator(".wf-row")
    expect(rows.first).to_be_visible()
    rows.first.focus()
    shown = rows.count()
    assert shown > 4
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(rows.first).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".wf-row:not([hidden])")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".wf-row:not([hidden])")).to_have_count(shown)
    page.keyboard.press("End")
    expect(rows.last).to_be_focused()
    span = "document.querySelector('.wf-grid').style.getPropertyValue('--span')"
    whole = float(page.evaluate(span))
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Whole trace")).to_be_visible()
    assert float(page.evaluate(span)) < whole
    page.keyboard.press("Shift+Z")
    expect(page.get_by_role("button", name="Whole trace")).to_have_count(0)
    assert float(page.evaluate(span)) == whole
    page.keyboard.press("Enter")
    expect(page.locator("aside.tr-run")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("aside.tr-run")).to_have_count(0)
    expect(rows.last).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Traces")).to_be_visible()


def test_the_pointer_zooms_over_the_axis(page: Page, site: Site) -> None:
    page.goto(f"/#/traces/{trace_of(site, '12 times 7')}")
    axis = page.locator(".wf-axis")
    expect(axis).to_be_visible()
    box = axis.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 10, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Whole trace").click()
    expect(page.get_by_role("button", name="Whole trace")).to_have_count(0)


def test_an_answer_is_judged_and_corrected(page: Page, site: Site, snap: Snap) -> None:
    id = trace_of(site, "capital")
    page.goto(f"/#/traces/{id}")
    page.get_by_role("button", name="Bad").click()
    page.get_by_label("Remark").fill("It is a trick question")
    page.get_by_label("The right answer").fill("F, at its beginning.")
    page.get_by_role("button", name="Send feedback").click()
    said = page.locator(".fb-said")
    expect(said).to_contain_text("It is a trick question")
    expect(said).to_contain_text("F, at its beginning.")
    snap("judged")
    [kept] = site.api("GET", f"/api/traces/{id}/feedback")["feedback"]
    assert (kept["key"], kept["score"]) == ("thumbs", -1)
    assert kept["correction"] == "F, at its beginning."
    page.goto("/#/traces?feedback=thumbs%3C%3D0")
    expect(page.locator(".tr-row")).to_have_count(1)
    page.goto(f"/#/traces/{id}")
    page.get_by_role("button", name="Delete this feedback").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(said).to_have_count(0)
    assert site.api("GET", f"/api/traces/{id}/feedback")["feedback"] == []


def test_what_runs_hold_is_text(page: Page, site: Site) -> None:
    page.goto("/#/traces")
    expect(page.locator(".tr-table")).to_contain_text(SCRIPT)
    page.get_by_role("link", name="onerror").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(SCRIPT)
    page.locator(".wf-row").first.click()
    expect(page.locator("aside.tr-run")).to_contain_text(SCRIPT)
    assert page.locator(".view img, .view script").count() == 0
