"""Who may talk to the server: this machine, and whoever has the key.

A page in a browser can make it send requests to this machine, under a name that its owner
lets point here (DNS rebinding), or blindly (cross-site forms). So the host that a request
names must be ours, and a request that a page of another origin sends is refused. Where other
machines can reach the server, each request must carry the key.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
# These carry a signature of their own, because clients fetch them without the key.
_SIGNED = re.compile(r"(/api)?(/v1)?/attachments/")


class Guard:
    """Lets requests through to an application, or refuses them.

    Args:
        app: the application.
        hosts: names that a request may call this server by; None: any, for servers that other
            machines know by names of their own and that have a key.
        key: what a request must carry as `x-api-key`; None: nothing.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, key: str | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and (refusal := self._refuse(scope)) is not None:
            status, reason = refusal
            await JSONResponse({"detail": reason}, status)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(f"//{host}") not in self._hosts:
            return 403, f"This server is not called {host!r}. Ask for 127.0.0.1 or localhost."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"Pages of {origin} may not use this server."
        if self._key is None or _SIGNED.match(scope["path"]):
            return None
        given = headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            return 401, "The header x-api-key is missing or wrong (LANGSMITH_API_KEY sets it)."
        return None


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
