"""People: users, keys and the audit log, by an admin and by others, in a real browser."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, Route, expect

from groundling.server.person import Role
from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, Site, Watch


def user(site: Site, name: str, role: Role) -> str:
    """Add a user, and return a key of theirs."""
    assert site.app is not None
    site.app.people.users.add(name, role)
    _, key = site.app.people.keys.add(name, "browser")
    return key


def log_in(page: Page, key: str) -> None:
    """Open the people, and log in before them."""
    page.goto("/#/people")
    page.locator("input[name=key]").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator(".pp-me")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_an_admin_adds_a_user_whose_key_is_shown_once(
    page: Page, site: Site, snap: Snap, look: object
) -> None:
    log_in(page, user(site, "ada", Role.ADMIN))
    expect(page.locator(".pp-user")).to_have_count(1)
    page.locator(".pp-add input").fill("bo")
    page.locator(".pp-add input").press("Enter")
    expect(page.locator(".pp-user")).to_have_count(2)
    secret = page.locator(".pp-secret input")
    expect(secret).to_be_focused()
    key = secret.input_value()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("people")
    assert site.app is not None
    holder = site.app.people.keys.holder(key)
    assert getattr(holder, "user", None) == "bo"
    page.reload()
    expect(page.locator(".pp-user")).to_have_count(2)
    assert key not in page.content()


def test_roles_change_users_are_disabled_and_removed(page: Page, site: Site, snap: Snap) -> None:
    key = user(site, "ada", Role.ADMIN)
    user(site, "bo", Role.MEMBER)
    log_in(page, key)
    page.get_by_label("Role of bo").select_option("reader")
    expect(page.get_by_text("bo: reader.")).to_be_visible()
    page.get_by_role("button", name="Disable bo").click()
    expect(page.get_by_role("button", name="Enable bo")).to_be_visible()
    assert site.app is not None
    assert site.app.people.users.get("bo").disabled
    snap("disabled")
    page.get_by_role("button", name="Remove bo").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator(".pp-user")).to_have_count(1)
    page.locator(".pp-audit-filter select").select_option("user.")
    expect(page.locator(".pp-audit")).to_contain_text("user.remove")


def test_the_last_admin_stays_one(page: Page, site: Site, watch: Watch) -> None:
    watch.allow("status of 4")
    log_in(page, user(site, "ada", Role.ADMIN))
    page.get_by_label("Role of ada").select_option("reader")
    expect(page.get_by_text("ada is the last admin")).to_be_visible()
    expect(page.get_by_label("Role of ada")).to_have_value("admin")


def test_a_reader_sees_their_own_keys_alone(page: Page, site: Site) -> None:
    user(site, "ada", Role.ADMIN)
    log_in(page, user(site, "cy", Role.READER))
    expect(page.get_by_role("heading", name="You")).to_be_visible()
    expect(page.get_by_role("heading", name="Users")).to_have_count(0)
    expect(page.get_by_role("heading", name="Audit log")).to_have_count(0)
    page.get_by_label("What for").fill("phone")
    page.get_by_role("button", name="New key").click()
    expect(page.locator(".pp-key").filter(has_text="phone")).to_be_visible()
    page.get_by_role("button", name="Revoke the key phone").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.locator(".pp-key").filter(has_text="phone")).to_have_count(0)


def test_one_logs_out(page: Page, site: Site) -> None:
    log_in(page, user(site, "ada", Role.ADMIN))
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("input[name=key]")).to_be_visible()
    page.goto("/#/memory")
    expect(page.get_by_role("heading", name="Memory")).to_have_count(0)


def test_the_first_user_is_made_by_whoever_sits_at_the_machine(
    page: Page, site: Site, snap: Snap, watch: Watch
) -> None:
    watch.allow("401")  # what the page asks in the moment between the user and their session
    page.goto("/#/people")
    expect(page.get_by_text("This server knows no users")).to_be_visible()
    # What else the page asks is refused in that moment, and must not show the key away.
    page.evaluate(
        "import(new URL('lib/api.js', document.querySelector('script[type=module]').src)).then("
        "({ api }) => { window.asking = "
        "setInterval(() => api.get('/api/users').catch(() => {}), 20) })"
    )

    def late(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    page.route("**/api/session", late)
    page.locator(".pp-add input").fill("ada")
    page.locator(".pp-add input").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Make the admin").click()
    secret = page.locator(".pp-secret input")
    expect(secret).to_be_visible()
    key = secret.input_value()
    page.evaluate("clearInterval(window.asking)")
    page.unroute("**/api/session")
    snap("first")
    expect(page.get_by_role("heading", name="You")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.locator("input[name=key]").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You")).to_be_visible()
