"""`web`: reads one page of a host that the owner of this machine has allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urljoin

import httpx
from langchain_core.tools import StructuredTool, tool
from pydantic import Field

from groundling.egress import announce
from groundling.errors import ToolError
from groundling.knowledge.loaders.html import read_html
from groundling.knowledge.loaders.text import decode_bytes
from groundling.tools.addresses import PORTS, Resolver, checked_url, public_address, resolve
from groundling.tools.risk import with_risk

if TYPE_CHECKING:
    from groundling.settings import Settings

MOST_BYTES = 2_000_000
MOST_HOPS = 5
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
        timeout = httpx.Timeout(seconds)
        async with httpx.AsyncClient(
            transport=transport, timeout=timeout, trust_env=False, follow_redirects=False
        ) as client:
            for _ in range(MOST_HOPS + 1):
                parts = checked_url(url, hosts)
                answer = await _get(client, parts, resolver)
                if not isinstance(answer, str):
                    return answer.text
                url = urljoin(url, answer)
        raise ToolError(f"{url} leads on more than {MOST_HOPS} times.")

    assert isinstance(read, StructuredTool)
    read.description = f"Read a web page. Only these hosts may be read: {', '.join(hosts)}."
    return with_risk(read, "network")


class _Page:
    """A page as text."""

    def __init__(self, text: str) -> None:
        self.text = text


async def _get(client: httpx.AsyncClient, parts: SplitResult, resolver: Resolver) -> str | _Page:
    """Fetch one address; returns a page, or where it leads on to."""
    host = parts.netloc
    address = public_address(host, PORTS[parts.scheme], resolver)
    literal = f"[{address}]" if ":" in address else address
    path = parts._replace(fragment="").geturl().partition(host)[2] or "/"
    announce(host, "web", len(path))
    try:
        async with client.stream(
            "GET",
            f"{parts.scheme}://{literal}{path}",
            # The address was checked; the name is for the server and its certificate.
            headers={"Host": host, "User-Agent": "groundling", "Accept": "text/html, text/*"},
            extensions={"sni_hostname": host},
        ) as answer:
            if answer.has_redirect_location:
                return str(answer.headers["Location"])
            if answer.is_error:
                raise ToolError(f"{host} answered {answer.status_code} {answer.reason_phrase}.")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if not kind.startswith(READABLE):
                raise ToolError(f"{host} sent {kind or 'something unnamed'}, which is no text.")
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise ToolError(f"The page is larger than {MOST_BYTES // 1_000_000} MB.")
            return _Page(_readable(body, kind, answer.charset_encoding, host))
    except httpx.TimeoutException as error:
        raise ToolError(f"{host} did not answer in time.") from error
    except httpx.HTTPError as error:
        raise ToolError(f"{host} cannot be read: {type(error).__name__}: {error}") from error


def _readable(body: bytes, kind: str, encoding: str | None, host: str) -> str:
    try:
        text = body.decode(encoding) if encoding else decode_bytes(body, host)
    except (LookupError, UnicodeDecodeError):
        text = decode_bytes(body, host)
    if "html" not in kind:
        return text
    page = read_html(text, host)
    return f"# {page.title}\n\n{page.text}".strip()
