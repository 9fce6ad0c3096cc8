"""The headers that decide who asks and from where, read once and without doubt.

A header of these that comes twice is refused: two programs could take different ones of them.
`X-Forwarded-*` is not read at all: anybody can send it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from starlette.types import Scope

from groundling.server.people.sessions import COOKIE, CSRF_HEADER
from groundling.server.problems import Problem

_NAMES = {
    b"host": "host",
    b"origin": "origin",
    b"authorization": "authorization",
    b"x-api-key": "api_key",
    b"cookie": "cookie",
    CSRF_HEADER.encode(): "csrf",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"transfer-encoding": "transfer_encoding",
    b"sec-fetch-site": "fetch_site",
    b"sec-fetch-mode": "fetch_mode",
    b"access-control-request-method": "wanted_method",
}


@dataclass(frozen=True)
class Heads:
    """Headers by name; None: not sent."""

    host: str | None = None
    origin: str | None = None
    authorization: str | None = None
    api_key: str | None = None
    cookie: str | None = None
    csrf: str | None = None
    content_type: str | None = None
    content_length: str | None = None
    transfer_encoding: str | None = None
    fetch_site: str | None = None
    fetch_mode: str | None = None
    wanted_method: str | None = None

    @classmethod
    def read(cls, scope: Scope) -> Self:
        """Read them.

        Raises:
            Problem: 400, one of them came twice.
        """
        found: dict[str, str] = {}
        for name, value in scope["headers"]:
            if (field := _NAMES.get(name)) is None:
                continue
            if field in found:
                raise Problem(400, f"The header {name.decode()} came twice.", code="invalid_header")
            found[field] = value.decode("latin-1")
        return cls(**found)

    @property
    def key(self) -> str | None:
        """The key that was sent, in either of the two ways.

        Another scheme than Bearer is passed over: it may be a proxy's, for the proxy.

        Raises:
            Problem: 400, both were, and they differ.
        """
        bearer = None
        if self.authorization is not None:
            scheme, _, rest = self.authorization.partition(" ")
            bearer = rest.strip() if scheme.lower() == "bearer" else None
        if bearer and self.api_key and bearer != self.api_key.strip():
            raise Problem(
                400, "Authorization and x-api-key hold different keys.", code="invalid_header"
            )
        key = bearer if bearer is not None else self.api_key
        return None if key is None else key.strip()

    @property
    def session(self) -> str | None:
        """The session's cookie.

        Raises:
            Problem: 400, there are several of that name.
        """
        if self.cookie is None:
            return None
        pairs = (pair.partition("=") for pair in self.cookie.split(";"))
        tokens = [value.strip() for name, _, value in pairs if name.strip() == COOKIE]
        if len(tokens) > 1:
            raise Problem(400, f"The cookie {COOKIE} came twice.", code="invalid_header")
        return tokens[0] if tokens else None

    @property
    def length(self) -> int | None:
        """How long the body is said to be, in bytes.

        Raises:
            Problem: 400, it is no number.
        """
        if self.content_length is None:
            return None
        if not self.content_length.isascii() or not self.content_length.isdigit():
            raise Problem(400, "Content-Length is no number.", code="invalid_header")
        return int(self.content_length[:20])

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.transfer_encoding is not None or bool(self.length)
