"""A line of the log for each request, and the fields that all lines of a request carry."""

from __future__ import annotations

import logging
import re
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundling.server.logs import about
from groundling.server.problems import GONE

_LOG = logging.getLogger("groundling.server.access")
_RUN = re.compile(r"/runs/([0-9a-fA-F-]{36})$")
_INTERFACES = {
    "v1": "openai",
    "mcp": "mcp",
    "langsmith": "langsmith",
    "api": "api",
    "openapi.json": "api",
    "page": "page",
    "": "page",
    "metrics": "metrics",
    "assistants": "langgraph",
    "threads": "langgraph",
    "runs": "langgraph",
    "store": "langgraph",
    "ok": "langgraph",
    "info": "langgraph",
}


def interface_of(path: str) -> str:
    """Tell which interface a path belongs to; one that nobody has is "none"."""
    return _INTERFACES.get(path.lstrip("/").partition("/")[0], "none")


class Access:
    """Logs what was asked and how it was answered; never what was said.

    The query is left out: it may hold what a person looks for.

    Args:
        app: answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0
        with about(request=None) as fields:

            async def watched(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    headers = Headers(raw=message.get("headers", []))
                    if run := _RUN.search(headers.get("content-location", "")):
                        fields.setdefault("run", run[1])
                    fields["request"] = headers.get("x-request-id")  # refused ones have one, too
                await send(message)

            try:
                await self._app(scope, receive, watched)
            finally:
                _LOG.info(
                    "%s %s",
                    scope["method"],
                    scope["path"],
                    extra={
                        "fields": {
                            "interface": interface_of(scope["path"]),
                            "status": status or GONE,
                            "ms": round((time.perf_counter() - began) * 1000, 1),
                        }
                    },
                )
