"""A real browser before a real server, and a watch over all that a page does.

    page.goto(site.url)                       # Playwright's page
    page.get_by_role("button", name="Send").click()
    snap("asked")                             # artefacts/test_chat-asks-asked.png

A test fails when its page asked another machine for anything, broke its content security
policy, wrote an error to the console, threw an exception that nobody caught, or opened a
dialog of the browser's: that is what a script in a document or an answer would do first.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
from langchain_core.outputs import ChatGenerationChunk
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request
from pydantic import PrivateAttr

from groundling.server.application import Application
from tests.scripted import ScriptedChat
from tests.server.live import serving

ARTEFACTS = Path(__file__).parent / "artefacts"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SWITCHES = (
    "--no-sandbox",  # which root has not
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    # Nothing outside this machine is looked up, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# Policy violations become console messages, from the first line of a document on.
_WITNESS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
    `policy ${event.violatedDirective} broken by ${event.blockedURI || event.sourceFile}`));
"""
_INSIDE = ("data:", "blob:", "about:")


@dataclass(frozen=True)
class Look:
    """How a page is looked at: `dark-ko-phone`."""

    theme: str = "light"
    language: str = "en"
    size: str = "desktop"

    @property
    def viewport(self) -> dict[str, int]:
        """Width and height in CSS pixels."""
        return {"width": 360, "height": 740} if self.size == "phone" else _DESKTOP

    def __str__(self) -> str:
        return f"{self.theme}-{self.language}-{self.size}"


_DESKTOP = {"width": 1280, "height": 800}
LOOKS = (
    Look(),
    Look("dark", "ko"),
    Look("light", "ko", "phone"),
    Look("dark", "en", "phone"),
)


def find_browser() -> str | None:
    """Return the path of a Chromium that this machine has."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def browser_wanted() -> bool:
    """Tell whether a machine without a browser is an error; on CI it is."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


@dataclass
class Watch:
    """What a page did that no page of ours does.

    Args:
        origin: the only one that it may ask.
    """

    origin: str
    seen: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _allowed: list[re.Pattern[str]] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Let console errors pass that a test means to cause, such as those of a 404."""
        self._allowed.append(re.compile(pattern))

    def over(self, context: BrowserContext) -> None:
        """Watch all pages of a browser context."""
        context.add_init_script(_WITNESS)
        context.on("request", self._request)
        context.on("page", self._page)
        context.on("weberror", lambda error: self.seen.append(f"uncaught: {error.error}"))

    def check(self) -> None:
        """Fail where there was any."""
        wrong = [
            each for each in self.seen if not any(pattern.search(each) for pattern in self._allowed)
        ]
        assert not wrong, "the page did what it must not:\n" + "\n".join(wrong)

    def _page(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("dialog", self._dialog)

    def _dialog(self, dialog: Any) -> None:
        self.seen.append(f"dialog: {dialog.type} {dialog.message!r}")
        dialog.dismiss()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            where = message.location.get("url", "")
            self.seen.append(f"console: {message.text} ({where})")

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.origin}/", *_INSIDE)):
            self.seen.append(f"request off the origin: {request.method} {request.url}")


class PacedChat(ScriptedChat):
    """A scripted model that can be held between two words, to catch a page while it streams."""

    after: int | None = None
    """Words of an answer after which it waits; None: it never does."""

    _gate: Event = PrivateAttr(default_factory=Event)

    def hold(self, after: int = 1) -> None:
        """Make the next answers wait after some words until `go`."""
        self.after = after
        self._gate.clear()

    def go(self) -> None:
        """Let an answer that waits go on, and those that follow pass."""
        self.after = None
        self._gate.set()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        words = 0
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
            words += 1
            if self.after is not None and words >= self.after:
                await asyncio.to_thread(self._gate.wait)


@dataclass
class Site:
    """A server that a test has for itself.

    Args:
        url: its origin.
        home: its home folder.
        model: what answers.
        app: the application that is served.
    """

    url: str
    home: Path
    model: PacedChat
    app: Application | None = None

    def api(self, method: str, path: str, *, status: int | None = None, **request: Any) -> Any:
        """Ask the server without the page, and return the JSON that it answers."""
        answer = httpx.request(method, self.url + path, timeout=60, **request)
        if status is None:
            answer.raise_for_status()
        else:
            assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def add_documents(self, name: str, files: dict[str, str | bytes]) -> None:
        """Make a knowledge base of some files, and wait until it is made."""
        self.api("POST", "/api/knowledge", json={"name": name})
        sent = [
            ("files", (path, text.encode() if isinstance(text, str) else text))
            for path, text in files.items()
        ]
        job = self.api("POST", f"/api/knowledge/{name}/documents", files=sent)["id"]
        ended = until(lambda: self._ended(job))
        assert ended["state"] == "done", ended

    def _ended(self, job: str) -> Any:
        state = self.api("GET", f"/api/jobs/{job}")
        return state if state["state"] != "running" else None


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until something is true of the server, and return it."""
    end = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
    return result


@contextmanager
def live(home: Path, model: PacedChat) -> Iterator[Site]:
    """Serve a home folder in a thread, and wait until it is ready."""
    with serving(home, model) as server:
        try:
            yield Site(server.address, home, model, server.app)
        finally:
            model.go()  # an answer that is held would hold the server, too
