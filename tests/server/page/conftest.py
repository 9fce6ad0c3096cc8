"""Fixtures for the page: Chromium, a server, a watched page, screenshots.

Playwright's own loop runs in the thread of the test while its browser is open, so tests of
the page are plain functions, and the browser is closed at the end of each module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.server.page.harness import (
    ARTEFACTS,
    SWITCHES,
    Look,
    PacedChat,
    Site,
    Watch,
    browser_wanted,
    find_browser,
    live,
)

Snap = Callable[[str], Path]
expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once for the tests of a module."""
    path = find_browser()
    if path is None:
        reason = "no Chromium: apt install --no-install-recommends chromium"
        if browser_wanted():
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        yield browser
        browser.close()


@pytest.fixture
def look(request: pytest.FixtureRequest) -> Look:
    """How the page is looked at; parametrise it with `LOOKS`, indirectly."""
    return getattr(request, "param", Look())


@pytest.fixture
def model() -> PacedChat:
    """What answers: nothing, until a test enqueues it."""
    return PacedChat()


@pytest.fixture
def site(home: Path, model: PacedChat) -> Iterator[Site]:
    """A server of a home folder that is empty."""
    with live(home, model) as site:
        yield site


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    """What the page of a test did that it must not; the test fails of it at its end."""
    watch = Watch(site.url)
    yield watch
    watch.check()


@pytest.fixture
def page(
    browser: Browser, watch: Watch, look: Look, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """An empty page of a fresh browser profile, watched."""
    context = browser.new_context(
        viewport=look.viewport,
        color_scheme="dark" if look.theme == "dark" else "light",
        locale="ko-KR" if look.language == "ko" else "en-GB",
        timezone_id="Europe/London",
        has_touch=look.size == "phone",
        reduced_motion="reduce",
        base_url=watch.origin,
        service_workers="block",
    )
    context.set_default_timeout(15_000)
    _path(request, "failed").unlink(missing_ok=True)
    watch.over(context)
    page = context.new_page()
    yield page
    if getattr(request.node, "failed", False):
        page.screenshot(path=_path(request, "failed"))
    context.close()


@pytest.fixture
def snap(page: Page, request: pytest.FixtureRequest) -> Snap:
    """Keep a screenshot, named by the test and a word."""

    def keep(name: str) -> Path:
        path = _path(request, name)
        page.screenshot(path=path)
        return path

    return keep


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the page's fixture know that its test failed."""
    report = yield
    if call.when == "call" and report.failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
    return report


def _path(request: pytest.FixtureRequest, name: str) -> Path:
    ARTEFACTS.mkdir(exist_ok=True)
    test = re.sub(r"[^\w-]+", "-", f"{request.path.stem}-{request.node.name}").strip("-")
    return ARTEFACTS / f"{test}-{name}.png"
