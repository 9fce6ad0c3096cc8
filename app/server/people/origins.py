"""Whose pages may use the server, and what the server may be called.

A page in a browser can make it send requests to this machine: under a name that the page's
owner lets point here (DNS rebinding), or blindly (forms, images, scripts of another site). So
the host that a request names must be one of ours, and pages of other origins are refused,
unless `server.cors` names them. Cookies are never taken from those.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.responses import Response

from groundling.sections import ServerSettings
from groundling.server.guard import LOCAL_HOSTS
from groundling.server.people.heads import Heads
from groundling.server.people.rights import SAFE
from groundling.server.problems import Problem
from groundling.server.run import is_loopback

_ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS = "authorization, content-type, last-event-id, mcp-protocol-version, "
_ALLOWED_HEADERS += "mcp-session-id, x-api-key"
_EXPOSED = "content-location, location, mcp-session-id, ratelimit, ratelimit-policy, retry-after, "
_EXPOSED += "x-pagination-next, x-pagination-total, x-request-id"
_PREFLIGHT_SECONDS = "600"


class Origins:
    """Judges the host and the origin of requests.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: ServerSettings) -> None:
        open_to_others = not is_loopback(settings.host)
        names = {*LOCAL_HOSTS, *(name.lower() for name in settings.names)}
        # An address that all others listen on, 0.0.0.0, is no name that anyone calls.
        self._names = names if not open_to_others else {*names, settings.host.lower()}
        self._any_name = open_to_others and not settings.names
        self._cors = frozenset(origin.lower().rstrip("/") for origin in settings.cors)

    def check(self, heads: Heads, method: str, *, has_users: bool) -> str | None:
        """Make sure that a request means this server and comes from a page that may send it.

        Args:
            has_users: whether requests must say who sends them; only then may a server that
                other machines reach be called anything.

        Returns:
            The other origin whose page sent it and may; None: it is no other's.

        Raises:
            Problem: 403.
        """
        host = heads.host or ""
        if not (has_users and self._any_name) and _name(host) not in self._names:
            raise Problem(
                403,
                f"This server is not called {host[:100]!r}.",
                hint="Ask for 127.0.0.1 or localhost, or name it: groundling serve --name NAME",
            )
        if heads.origin is not None and _authority(heads.origin) != host.lower():
            if heads.origin.lower() in self._cors:
                return heads.origin
            raise Problem(
                403,
                f"Pages of {heads.origin[:100]} may not use this server.",
                hint="The setting server.cors names origins whose pages may.",
            )
        # An image or script of another site; following a link to here is harmless.
        foreign = heads.origin is None and heads.fetch_site in ("cross-site", "same-site")
        if foreign and (heads.fetch_mode != "navigate" or method not in SAFE):
            raise Problem(403, "Pages of other sites may not use this server.")
        return None

    def preflight(self) -> Response:
        """Answer a browser that asks what an admitted page may send."""
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": _ALLOWED_METHODS,
                "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
            },
        )

    def headers(self, origin: str | None) -> Iterable[tuple[bytes, bytes]]:
        """Return what lets a page of an origin read the answer; without credentials, ever."""
        if self._cors:
            yield b"vary", b"Origin"
        if origin is not None:
            yield b"access-control-allow-origin", origin.encode("latin-1")
            yield b"access-control-expose-headers", _EXPOSED.encode()


@lru_cache(maxsize=128)
def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


@lru_cache(maxsize=128)
def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
