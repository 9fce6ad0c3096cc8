"""`web`: reads one page of a host that the owner of this machine has allowed.

Nothing that a server sends is trusted: where it leads on to is checked like the first
address, what it packs is unpacked no further than a page may be long, and names of encodings
are taken only where they name one.
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urljoin, urlunsplit

import httpx
from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.egress import announce
from groundling.errors import ToolError
from groundling.knowledge.loaders.html import read_html
from groundling.knowledge.loaders.text import decode_bytes
from groundling.tools.addresses import PORTS, Resolver, checked_url, public_address, resolve
from groundling.tools.bounded import threaded
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.settings import Settings

MOST_BYTES = 2_000_000
MOST_HOPS = 5
_TOO_LARGE = f"The page is larger than {MOST_BYTES // 1_000_000} MB."
_ENCODING = re.compile(
    r"(utf-?(8|16)|us-ascii|ascii|iso-?8859|latin|windows-|cp\d|euc|ks_?c|ms949|uhc|johab|"
    r"shift|sjis|iso-2022|big5|gb|koi8|mac)",
    re.IGNORECASE,
)
READABLE = ("text/", "application/json", "application/xml", "application/xhtml+xml")


def web(
    settings: Settings,
    *,
    resolver: Resolver = resolve,
    transport: httpx.AsyncBaseTransport | None = None,
) -> StructuredTool:
    """Make the tool.

    Args:
        settings: `tools.web_hosts` and `tools.timeout`.
        resolver: looks up names.
        transport: how requests are sent; default: over the network.
    """
    hosts, seconds = settings.tools.web_hosts, settings.tools.timeout

    @tool("web")
    async def read(
        url: Annotated[str, Field(description="address of the page, with https://")],
    ) -> str:
        """Placeholder."""
        async with httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(seconds),
            # Hosts may share an address: each is asked over a connection of its own.
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            follow_redirects=False,
        ) as client:
            for _ in range(MOST_HOPS + 1):
                parts = checked_url(url, hosts)
                client.cookies.clear()
                answer = await _get(client, parts, resolver)
                if isinstance(answer, _Body):
                    return await threaded(functools.partial(_readable, answer, parts.netloc))
                try:
                    url = urljoin(parts.geturl(), answer)
                except ValueError as error:
                    raise ToolError(f"{parts.netloc} leads to no web address: {error}") from error
        raise ToolError(f"{parts.netloc} leads on more than {MOST_HOPS} times.")

    assert isinstance(read, StructuredTool)
    read.description = f"Read a web page. Only these hosts may be read: {', '.join(hosts)}."
    return with_risk(read, "network")


@dataclass(frozen=True)
class _Body:
    """What a server sent, unpacked."""

    data: bytes
    kind: str
    encoding: str | None


async def _get(client: httpx.AsyncClient, parts: SplitResult, resolver: Resolver) -> str | _Body:
    """Fetch one address; returns what is there, or where it leads on to."""
    host, port = parts.netloc, PORTS[parts.scheme]
    address = await threaded(functools.partial(public_address, host, port, resolver))
    literal = f"[{address}]" if ":" in address else address
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    announce(host, "web", len(path))
    try:
        async with client.stream(
            "GET",
            f"{parts.scheme}://{literal}{path}",
            # The address was checked; the name is for the server and its certificate.
            headers={
                "Host": f"[{host}]" if ":" in host else host,
                "User-Agent": "groundling",
                "Accept": "text/html, text/*",
                "Accept-Encoding": "gzip",
            },
            extensions={"sni_hostname": host},
        ) as answer:
            if answer.has_redirect_location:
                return str(answer.headers["Location"])
            if answer.is_error:
                raise ToolError(f"{host} answered {answer.status_code} {answer.reason_phrase}.")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if not kind.startswith(READABLE):
                raise ToolError(f"{host} sent {kind or 'something unnamed'}, which is no text.")
            packed = bytearray()
            async for piece in answer.aiter_raw():
                packed += piece
                if len(packed) > MOST_BYTES:
                    raise ToolError(_TOO_LARGE)
            packing = answer.headers.get("Content-Encoding", "").strip().lower()
            return _Body(_unpacked(bytes(packed), packing, host), kind, answer.charset_encoding)
    except httpx.TimeoutException as error:
        raise ToolError(f"{host} did not answer in time.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ToolError(f"{host} cannot be read: {type(error).__name__}: {error}") from error


def _unpacked(packed: bytes, packing: str, host: str) -> bytes:
    """Unpack no more than a page may have: a few bytes can stand for gigabytes."""
    if packing in ("", "identity"):
        return packed
    if packing not in ("gzip", "x-gzip"):
        raise ToolError(f"{host} sent what was not asked for: packed by {packing!r}.")
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = unpacking.decompress(packed, MOST_BYTES + 1)
    except zlib.error as error:
        raise ToolError(f"{host} sent a damaged page: {error}") from error
    if len(data) > MOST_BYTES:
        raise ToolError(_TOO_LARGE)
    return data


def _readable(body: _Body, host: str) -> str:
    # Python knows codecs that are no encodings of pages, and some take very long.
    named = body.encoding if body.encoding and _ENCODING.match(body.encoding) else None
    try:
        text = body.data.decode(named) if named else decode_bytes(body.data, host)
    except (LookupError, UnicodeError):
        text = decode_bytes(body.data, host)
    if "html" not in body.kind:
        return text
    page = read_html(text, host)
    return f"# {page.title}\n\n{page.text}".strip()
