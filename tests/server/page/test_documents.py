"""Documents: made, filled, searched, read and deleted in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, PacedChat, Site, Watch, live

LEAVE = """# Leave

Everybody has twenty-five days of leave a year 🏖. Days that are left may be taken until March.

## Sick leave

Whoever falls ill tells their manager before nine in the morning.
"""
KOREAN = "# 출장\n\n출장비는 돌아온 뒤 열흘 안에 신청해야 합니다. 영수증을 함께 냅니다.\n"
SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def site(home_with_models: Path, embedder_files: Path, model: PacedChat) -> Iterator[Site]:
    """A server whose home folder has the English embedder."""
    with live(home_with_models, model) as site:
        yield site


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files to add: English, Korean, and one that is named and written to do harm."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    (folder / "출장.md").write_text(KOREAN, encoding="utf-8")
    # The server takes the brackets out of names; titles and texts keep theirs.
    (folder / "<img src=x onerror=alert(3)>.md").write_text(
        f"# Rooms \\{SCRIPT}\n\nRooms are `{SCRIPT}` locked.", encoding="utf-8"
    )
    return sorted(folder.iterdir())


@pytest.fixture
def handbook(site: Site, files: list[Path]) -> Site:
    """The server with a knowledge base of these files."""
    site.add_documents("handbook", {file.name: file.read_bytes() for file in files})
    return site


def test_a_base_is_made_and_filled_by_picking_files(
    page: Page, site: Site, files: list[Path], snap: Snap
) -> None:
    page.goto("/#/documents")
    expect(page.get_by_text("No documents yet")).to_be_visible()
    snap("empty")
    page.get_by_role("button", name="New knowledge base").click()
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type("handbook")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="handbook")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(files)
    expect(page.get_by_text("3 added")).to_be_visible()
    expect(page.get_by_role("link", name="Leave")).to_be_visible()
    expect(page.get_by_role("link", name="출장")).to_be_visible()
    snap("filled")
    documents = site.api("GET", "/api/knowledge/handbook/documents")["documents"]
    assert len(documents) == 3


def test_a_name_that_is_impossible_is_said_to_be_so(page: Page, site: Site, watch: Watch) -> None:
    watch.allow("status of 422")
    page.goto("/#/documents")
    page.get_by_role("button", name="New knowledge base").click()
    page.get_by_role("textbox", name="Name").fill("../secrets")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Up to 64 letters")
    assert site.api("GET", "/api/knowledge")["knowledge"] == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="New knowledge base")).to_be_focused()


def test_files_are_dropped_and_what_cannot_be_read_is_told(
    page: Page, site: Site, snap: Snap
) -> None:
    site.api("POST", "/api/knowledge", json={"name": "handbook"})
    page.goto("/#/documents/handbook")
    zone = page.get_by_role("region", name="Add documents")
    expect(zone).to_be_visible()
    transfer = page.evaluate_handle(
        """(text) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([text], "leave.md"));
            transfer.items.add(new File(["\\x00\\x01\\x02 no picture"], "photo.jpeg"));
            return transfer;
        }""",
        LEAVE,
    )
    zone.dispatch_event("dragenter", {"dataTransfer": transfer})
    expect(zone).to_contain_text("Let go to add them")
    zone.dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.get_by_text("1 added")).to_be_visible()
    expect(page.get_by_role("list", name="What became of each file")).to_contain_text("photo.jpeg")
    snap("report")


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_a_search_says_why_each_passage_was_found(
    page: Page, handbook: Site, snap: Snap, look: object
) -> None:
    page.goto("/#/documents/handbook")
    box = page.locator(".ks-form input")
    box.fill("days of leave")
    page.keyboard.press("Enter")
    first = page.locator(".ks-found").first
    expect(first).to_contain_text("twenty-five days of leave")
    expect(first.locator("mark").first).to_have_text(re.compile("days|leave", re.IGNORECASE))
    expect(first.locator(".ks-why")).to_contain_text("BM25")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("search")
    first.get_by_role("link").click()
    marked = page.locator(".kt-text mark")
    expect(marked).to_contain_text("twenty-five days of leave a year 🏖.")
    expect(marked).to_be_in_viewport()
    snap("text")
    page.keyboard.press("Escape")
    expect(page.locator(".ks-form")).to_be_visible()


def test_a_span_is_marked_to_the_character(page: Page, handbook: Site) -> None:
    documents = handbook.api("GET", "/api/knowledge/handbook/documents")["documents"]
    leave = next(each for each in documents if each["title"] == "Leave")
    address = f"/api/knowledge/handbook/documents/{leave['id']}/text"
    text = handbook.api("GET", address)["text"]
    start = text.index("Days that are left")  # behind a character of two UTF-16 units
    page.goto(f"/#/documents/handbook/{leave['id']}?start={start}&end={start + 18}")
    expect(page.locator(".kt-text mark")).to_have_text("Days that are left")


def test_documents_and_bases_are_deleted_after_a_question(page: Page, handbook: Site) -> None:
    page.goto("/#/documents/handbook")
    page.get_by_role("button", name="Delete Leave").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("link", name="Leave")).to_be_visible()
    page.get_by_role("button", name="Delete Leave").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="Leave")).to_have_count(0)
    assert len(handbook.api("GET", "/api/knowledge/handbook/documents")["documents"]) == 2
    page.get_by_role("button", name="Delete knowledge base").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No documents yet")).to_be_visible()
    assert handbook.api("GET", "/api/knowledge")["knowledge"] == []


def test_names_and_texts_are_text_whatever_is_in_them(page: Page, handbook: Site) -> None:
    page.goto("/#/documents/handbook")
    expect(page.locator(".kb-table")).to_contain_text("img src=x onerror=alert(3)")
    page.locator(".ks-form input").fill("locked rooms")
    page.keyboard.press("Enter")
    expect(page.locator(".ks-list")).to_contain_text("<script>alert(2)</script>")
    page.locator(".kb-table").get_by_role("link", name="Rooms").click()
    expect(page.locator(".kt-text")).to_contain_text(SCRIPT)
    assert page.locator(".view :is(img, script)").count() == 0


def test_an_address_of_a_base_that_is_not_there_says_so(page: Page, handbook: Site) -> None:
    page.goto("/#/documents/elsewhere")
    expect(page.get_by_text("There is no knowledge base elsewhere")).to_be_visible()
