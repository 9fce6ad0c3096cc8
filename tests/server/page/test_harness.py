"""The watch over the page sees what it is there to see, in the browser that the tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from groundling.server.run import listening
from tests.server.page.harness import PacedChat, Site, Watch

POLICY = "default-src 'none'; script-src 'self'; connect-src *"
SCRIPTS = {
    "quiet": "document.title = 'quiet'",
    "off-origin": "fetch('http://example.com/x').catch(() => 0)",
    "policy": "const a = document.createElement('p'); a.setAttribute('style', 'color: red')",
    "error": "console.error('it went wrong')",
    "thrown": "setTimeout(() => { throw new Error('nobody catches this') })",
    "rejected": "Promise.reject(new Error('nobody waits for this'))",
    "dialog": "alert('a document speaks')",
}


def bad_site() -> Starlette:
    """Return pages that each do one thing."""
    return Starlette(
        routes=[
            Route(
                "/pages/{name}",
                lambda request: HTMLResponse(
                    f"<!doctype html><script src='/{request.path_params['name']}.js'></script>",
                    headers={"Content-Security-Policy": POLICY},
                ),
            ),
            Route(
                "/{name}.js",
                lambda request: Response(
                    SCRIPTS[request.path_params["name"]], media_type="text/javascript"
                ),
            ),
            Route("/favicon.ico", lambda _: Response(b"", media_type="image/x-icon")),
        ]
    )


@pytest.fixture
def site(home: Path, model: PacedChat) -> Iterator[Site]:
    """A server of pages that misbehave."""
    with listening(bad_site()) as url:
        yield Site(url, home, model)


@pytest.fixture
def watch(site: Site) -> Watch:
    """A watch that is asked by the test, not at its end."""
    return Watch(site.url)


def visit(page: Page, name: str) -> None:
    """Open a page and let it do its thing."""
    page.goto(f"/pages/{name}")
    page.wait_for_timeout(150)


def test_nothing_is_said_of_a_quiet_page(page: Page, watch: Watch) -> None:
    visit(page, "quiet")
    assert page.title() == "quiet"
    assert watch.requests
    watch.check()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("off-origin", "request off the origin: GET http://example.com/x"),
        ("policy", "policy style-src"),
        ("error", "console: it went wrong"),
        ("thrown", "uncaught: .*nobody catches this"),
        ("rejected", "uncaught: .*nobody waits for this"),
        ("dialog", "dialog: alert 'a document speaks'"),
    ],
)
def test_what_a_page_must_not_do_is_seen(page: Page, watch: Watch, name: str, told: str) -> None:
    visit(page, name)
    with pytest.raises(AssertionError, match=told):
        watch.check()


def test_an_error_that_is_meant_may_be_allowed(page: Page, watch: Watch) -> None:
    watch.allow("it went wrong")
    visit(page, "error")
    watch.check()
