"""Bytes from a server into a file: resumable, honest about the disk, retried.

A transfer appends to a file that may already hold the first part of what is wanted. It asks
for the rest with an HTTP range (RFC 9110, section 14), checks that the server honoured it,
and keeps what came when it is interrupted. Nothing here knows of models, wheels or hubs,
and nothing here decides whether bytes are right: that is the hash's business.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

from groundling.egress import announce
from groundling.errors import DownloadError, Offline
from groundling.models.files.disk import disk_full, ensure_room

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 18
ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.25
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Progress(Protocol):
    """Watches a pull. Positions are bytes of the finished file, already had ones included."""

    def begin(self, name: str, total: int | None, done: int) -> None: ...

    def update(self, done: int) -> None: ...

    def end(self) -> None: ...

    def note(self, message: str) -> None:
        """Hear something a person should know, such as that another process is waited for."""


class Silent:
    """A progress that nobody watches."""

    def begin(self, name: str, total: int | None, done: int) -> None: ...

    def update(self, done: int) -> None: ...

    def end(self) -> None: ...

    def note(self, message: str) -> None:
        _log.warning(message)


class RangesRefused(DownloadError):
    """The server gives whole files only."""


@dataclass(frozen=True)
class Span:
    """A file behind an address, or a run of bytes in it.

    Args:
        url: http or https.
        start: the first byte that is wanted.
        length: how many; None means up to the end, whatever its length.
        headers: sent along, for authentication.
    """

    url: str
    start: int = 0
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def open_client(timeout: float, environment: Mapping[str, str]) -> httpx.Client:
    """Open an HTTP client that trusts what pip trusts and honours the proxy variables.

    Args:
        timeout: seconds without a byte after which a server counts as gone.
        environment: read for SSL_CERT_FILE, PIP_CERT and REQUESTS_CA_BUNDLE.
    """
    import httpx

    named = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
    bundle = next((environment[name] for name in named if environment.get(name)), None)
    return httpx.Client(
        verify=ssl.create_default_context(cafile=bundle) if bundle else True,
        timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        follow_redirects=True,
        headers={"Accept-Encoding": "identity", "User-Agent": "groundling"},
        event_hooks={"request": [lambda request: announce(request.url.host, "download")]},
    )


def request(
    client: httpx.Client, method: str, url: str, headers: Mapping[str, str]
) -> httpx.Response:
    """Send a small request and return its complete answer.

    Raises:
        Offline: the server could not be reached.
        DownloadError: it answered with an error.
    """
    _log.debug("%s %s", method, public(url))

    def ask() -> httpx.Response:
        answer = client.request(method, url, headers=dict(headers))
        _raise_for_status(url, answer)
        return answer

    return _patiently(url, ask)


def read_range(client: httpx.Client, url: str, wanted: str) -> tuple[bytes, int]:
    """Read some bytes of a file into memory.

    Args:
        wanted: as in the Range header: "0-99", or "-100" for the last hundred.

    Returns:
        The bytes and the length of the whole file.

    Raises:
        RangesRefused: the server gives whole files only.
        Offline: the server could not be reached.
        DownloadError: it answered with an error.
    """
    _log.debug("GET %s bytes=%s", public(url), wanted)

    def ask() -> tuple[bytes, int]:
        # Streamed, so that a server that ignores the range is not heard to the end.
        with client.stream("GET", url, headers={"Range": f"bytes={wanted}"}) as answer:
            _raise_for_status(url, answer)
            given = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
            if answer.status_code != 206 or given is None or given[2] == "*":
                raise RangesRefused(f"{urlsplit(url).hostname} gives whole files only")
            return answer.read(), int(given[2])

    return _patiently(url, ask)


def fetch(
    client: httpx.Client, span: Span, target: Path, base: int, arrived: Callable[[int], None]
) -> None:
    """Append the rest of a span to a file.

    Args:
        span: what is wanted. The file already holds its first bytes, from `base` on.
        target: the file; created where there is none.
        base: where in the file the span begins.
        arrived: called with the number of bytes of the span in the file so far.

    Raises:
        Offline: the server could not be reached; what came is kept in the file.
        DiskFull: the file cannot grow; what came is kept.
        RangesRefused: only a part of the file is wanted and the server gives it whole.
        DownloadError: the server answered with an error.
    """
    import httpx

    failures = 0
    while True:
        have = _size(target) - base
        if span.length is not None and have >= span.length:
            return
        try:
            _attempt(client, span, target, base, arrived)
            return
        except httpx.TransportError as error:
            # Progress earns patience: only attempts that bring nothing count.
            failures = failures + 1 if _size(target) - base == have else 1
            if failures >= ATTEMPTS:
                raise unreachable(span.url, error) from error
        except _Transient as error:
            failures += 1
            if failures >= ATTEMPTS:
                raise refused(span.url, error.status) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"{public(span.url)}: {error}") from error
        time.sleep(_FIRST_PAUSE_SECONDS * 2**failures)


def public(url: str) -> str:
    """Drop the password, query and fragment of an address, for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def unreachable(url: str, error: Exception) -> Offline:
    """Say that a server could not be reached, and for what reason."""
    reason = str(error) or type(error).__name__
    hint = None
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        hint = (
            "Name the authority that your network uses: SSL_CERT_FILE=/path/to/ca.pem groundling …"
        )
    return Offline(f"{urlsplit(url).hostname} could not be reached ({reason})", hint=hint)


def refused(url: str, status: int) -> DownloadError:
    """Say that a server answered with an error."""
    words = {401: "wants a login", 403: "is forbidden", 404: "was not found"}
    return DownloadError(f"{public(url)} {words.get(status, 'failed')} (HTTP {status})")


class _Transient(Exception):
    """A server's error that may be gone a moment later."""

    def __init__(self, status: int) -> None:
        self.status = status


def _patiently(url: str, action: Callable[[], T]) -> T:
    import httpx

    failure = DownloadError(public(url))
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
        try:
            return action()
        except httpx.TransportError as error:
            failure = unreachable(url, error)
        except _Transient as error:
            failure = refused(url, error.status)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"{public(url)}: {error}") from error
    raise failure


def _attempt(
    client: httpx.Client, span: Span, target: Path, base: int, arrived: Callable[[int], None]
) -> None:
    have = max(0, _size(target) - base)
    headers = dict(span.headers)
    first = span.start + have
    if first or span.length is not None:
        last = "" if span.length is None else str(span.start + span.length - 1)
        headers["Range"] = f"bytes={first}-{last}"
    _log.debug("GET %s %s", public(span.url), headers.get("Range", ""))
    with client.stream("GET", span.url, headers=headers) as answer:
        if answer.status_code == 416 and span.length is None and have:
            # Nothing lies behind what we have: it is complete, or it is not this file at all.
            # The hash tells which.
            return
        _raise_for_status(span.url, answer)
        if "Range" in headers and not _honours(answer, first):
            if span.start or span.length is not None:
                raise RangesRefused(f"{urlsplit(span.url).hostname} gives whole files only")
            have = 0
        left = answer.headers.get("content-length")
        if left is not None:
            ensure_room(target.parent, int(left), public(span.url).rsplit("/", 1)[-1])
        _append(answer, target, base + have, base, arrived)


def _append(
    answer: httpx.Response, target: Path, at: int, base: int, arrived: Callable[[int], None]
) -> None:
    try:
        with target.open("r+b" if target.exists() else "w+b") as file:
            file.truncate(at)
            file.seek(at)
            # In the sizes that they arrive in: gathering them would lose the last ones.
            for chunk in answer.iter_raw():
                file.write(chunk)
                at += len(chunk)
                arrived(at - base)
    except OSError as error:
        raise disk_full(target, error) or error from error


def _honours(answer: httpx.Response, first: int) -> bool:
    given = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
    return answer.status_code == 206 and given is not None and int(given[1]) == first


def _raise_for_status(url: str, answer: httpx.Response) -> None:
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        raise _Transient(answer.status_code)
    if not answer.is_success:
        raise refused(url, answer.status_code)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
