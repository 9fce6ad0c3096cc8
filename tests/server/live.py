"""A live server for tests: real uvicorn in a thread, the real application, a scripted model.

with served(home, model=scripted) as address:
    httpx.get(f"{address}/ok")

with serving(home, model=scripted) as live:
    live.services.metrics …
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel

from groundling.home import Home
from groundling.server.application import Application
from groundling.server.run import listening
from groundling.server.services import Services


@dataclass
class Live:
    """A server that runs."""

    address: str
    app: Application

    @property
    def services(self) -> Services:
        return self.app.services

    def client(self, **options: Any) -> httpx.Client:
        """Return a client of it that no proxy of the environment comes between."""
        return httpx.Client(base_url=self.address, trust_env=False, timeout=30, **options)


@contextmanager
def serving(
    home: Home | Path | None = None, model: BaseChatModel | None = None, **flags: Any
) -> Iterator[Live]:
    """Serve a home folder while the block lasts; wait until it is ready.

    Args:
        home: the folder, or the home; default: the test's own.
        model: answers instead of the configured one.
        **flags: settings, where `home` is no `Home`: `server={"runs": 2}`.
    """
    if isinstance(home, Home):
        with _run(home, model) as live:
            yield live
        return
    flags["server"] = {"grace": 2.0, **flags.get("server", {})}
    with Home(home, **flags) as opened, _run(opened, model) as live:
        yield live


@contextmanager
def served(
    home: Home | Path | None = None, model: BaseChatModel | None = None, **flags: Any
) -> Iterator[str]:
    """Serve as `serving` does; give the address."""
    with serving(home, model, **flags) as live:
        yield live.address


@contextmanager
def _run(home: Home, model: BaseChatModel | None) -> Iterator[Live]:
    app = Application(home, model)
    with listening(app) as address:
        live = Live(address, app)
        with live.client() as client:
            while (answer := client.get("/ready")).status_code != 200:
                said = answer.json()
                assert said["status"] in ("opening", "loading"), said
                time.sleep(0.02)
        yield live
