"""The memory: added to, found in, corrected and forgotten in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, Site

SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def remember(site: Site, *facts: tuple[str, str]) -> None:
    """Have facts remembered."""
    for text, kind in facts:
        site.api("POST", "/api/memories", json={"text": text, "kind": kind})


def texts(site: Site) -> list[str]:
    """Return what is remembered."""
    return [each["text"] for each in site.api("GET", "/api/memories")["memories"]]


def test_a_fact_is_added_changed_and_forgotten_with_the_keyboard(
    page: Page, site: Site, snap: Snap
) -> None:
    page.goto("/#/memory")
    expect(page.get_by_text("Nothing is remembered")).to_be_visible()
    page.get_by_role("textbox", name="A new fact").focus()
    page.keyboard.type("Lives in Seoul")
    page.keyboard.press("Enter")
    expect(page.locator(".mem-item")).to_contain_text("Lives in Seoul")
    assert texts(site) == ["Lives in Seoul"]
    page.get_by_role("button", name="Edit: Lives in Seoul").focus()
    page.keyboard.press("Enter")
    box = page.get_by_role("textbox", name="Edit")
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit: Lives in Seoul")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("Lives in Busan")
    page.keyboard.press("Enter")
    expect(page.locator(".mem-item")).to_contain_text("Lives in Busan")
    assert texts(site) == ["Lives in Busan"]
    snap("changed")
    page.get_by_role("button", name="Forget: Lives in Busan").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Forget").press("Enter")
    expect(page.get_by_text("Nothing is remembered")).to_be_visible()
    assert texts(site) == []


def test_what_took_the_place_of_a_fact_has_it_as_its_history(page: Page, site: Site) -> None:
    remember(site, ("Lives in Seoul", "home"))
    [old] = site.api("GET", "/api/memories")["memories"]
    new = {"text": "Lives in Busan", "kind": "home", "supersedes": old["id"]}
    site.api("POST", "/api/memories", json=new)
    page.goto("/#/memory")
    expect(page.locator(".mem-item")).to_have_count(1)
    page.get_by_role("button", name="History of: Lives in Busan").press("Enter")
    expect(page.get_by_role("list", name="History")).to_contain_text("Lives in Seoul")
    page.get_by_role("button", name="History of: Lives in Busan").press("Enter")
    expect(page.get_by_role("list", name="History")).to_have_count(0)


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_facts_are_found_by_letters_and_by_kind(
    page: Page, site: Site, snap: Snap, look: object
) -> None:
    remember(site, ("Lives in Busan", "home"), ("Is allergic to peanuts", "health"))
    remember(site, ("매주 화요일에 수영을 한다", "hobby"))
    page.goto("/#/memory")
    items = page.locator(".mem-item")
    expect(items).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("all")
    page.locator(".mem-filter input").fill("수영")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("매주 화요일에")
    page.locator(".mem-filter input").fill("")
    page.locator(".mem-filter select").select_option("health")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("peanuts")


def test_all_is_forgotten_after_a_question_and_only_then(page: Page, site: Site) -> None:
    remember(site, ("Lives in Busan", "home"), ("Is allergic to peanuts", "health"))
    page.goto("/#/memory")
    page.get_by_role("button", name="Forget all").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert len(texts(site)) == 2
    page.get_by_role("button", name="Forget all").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget everything").click()
    expect(page.get_by_text("Nothing is remembered")).to_be_visible()
    assert texts(site) == []


def test_a_fact_is_text_whatever_is_in_it(page: Page, site: Site) -> None:
    remember(site, (SCRIPT, "fact"))
    page.goto("/#/memory")
    expect(page.locator(".mem-fact")).to_have_text(SCRIPT)
    assert page.locator(".mem img, .mem script").count() == 0
