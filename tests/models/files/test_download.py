"""Transfers against a real server: resumed, refused, broken off, out of room."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.errors import DiskFull, DownloadError, Offline
from groundling.models.files import disk, download
from groundling.models.files.download import RangesRefused, Span, fetch, open_client, read_range
from tests.models.server import Server

BODY = bytes(range(256)) * 4000


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setattr(download, "_FIRST_PAUSE_SECONDS", 0.001)
    with open_client(0.5, {}) as client:
        yield client


def nothing(_: int) -> None:
    """Watch nothing."""


def test_whole_file(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    server.put("/f", BODY)
    seen: list[int] = []
    fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, seen.append)
    assert (tmp_path / "f").read_bytes() == BODY
    assert seen[-1] == len(BODY)
    assert seen == sorted(seen)


def test_only_the_rest_is_asked_for(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    server.put("/f", BODY)
    (tmp_path / "f").write_bytes(BODY[:1000])
    fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked("/f") == ["bytes=1000-"]
    assert server.sent == len(BODY) - 1000


def test_a_complete_file_stays(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    server.put("/f", BODY)
    (tmp_path / "f").write_bytes(BODY)
    fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.sent == 0


def test_a_server_without_ranges_starts_over(
    server: Server, client: httpx.Client, tmp_path: Path
) -> None:
    server.put("/f", BODY, ranges=False)
    (tmp_path / "f").write_bytes(b"?" * 1000)
    fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_span_in_the_middle_is_appended(
    server: Server, client: httpx.Client, tmp_path: Path
) -> None:
    server.put("/f", BODY, breaks=[700, 0, 900])
    (tmp_path / "f").write_bytes(b"before")
    fetch(client, Span(f"{server.url}/f", 500, 5000), tmp_path / "f", 6, nothing)
    assert (tmp_path / "f").read_bytes() == b"before" + BODY[500:5500]
    assert server.asked("/f")[1] == "bytes=1200-5499"


def test_a_span_needs_ranges(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    server.put("/f", BODY, ranges=False)
    with pytest.raises(RangesRefused):
        fetch(client, Span(f"{server.url}/f", 500, 5000), tmp_path / "f", 0, nothing)
    with pytest.raises(RangesRefused):
        read_range(client, f"{server.url}/f", "-100")


def test_any_breaks_end_in_the_file_or_in_an_error(
    server: Server, client: httpx.Client, tmp_path: Path
) -> None:
    body, target = BODY[:200_000], tmp_path / "f"

    @settings(max_examples=40)
    @given(st.lists(st.integers(0, 90_000), max_size=12), st.integers(0, len(body)))
    def check(breaks: list[int], have: int) -> None:
        server.put("/f", body, breaks=list(breaks))
        target.write_bytes(body[:have])
        try:
            fetch(client, Span(f"{server.url}/f"), target, 0, nothing)
            assert target.read_bytes() == body
        except Offline:
            # Only answers that bring nothing, several in a row, end a transfer.
            assert breaks.count(0) >= download.ATTEMPTS - 1
            assert body.startswith(target.read_bytes())

    check()


def test_errors_that_pass(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    server.put("/f", BODY, errors=[503, 429, 500])
    fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "message"), [(404, "was not found"), (403, "forbidden"), (401, "login")]
)
def test_errors_that_stay(
    server: Server, client: httpx.Client, tmp_path: Path, status: int, message: str
) -> None:
    server.put("/f", BODY, errors=[status])
    url = server.url.replace("//", "//user:secret@")
    with pytest.raises(DownloadError, match=message) as caught:
        fetch(client, Span(f"{url}/f?key=secret"), tmp_path / "f", 0, nothing)
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_server_that_keeps_failing(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    server.put("/f", BODY, errors=[503] * 20)
    with pytest.raises(DownloadError, match="HTTP 503"):
        fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert len(server.requests) == download.ATTEMPTS


def test_nobody_there(client: httpx.Client, tmp_path: Path) -> None:
    with pytest.raises(Offline, match=r"127\.0\.0\.1 could not be reached"):
        fetch(client, Span("http://127.0.0.1:9/f"), tmp_path / "f", 0, nothing)


def test_a_server_that_falls_silent(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    never = threading.Event()
    server.put("/f", BODY, hold=never)
    client.timeout = httpx.Timeout(0.05)
    with pytest.raises(Offline, match="could not be reached"):
        fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    # Each attempt went on from the one before, and nothing that came was lost.
    kept = (tmp_path / "f").read_bytes()
    assert len(BODY) // 2 <= len(kept)
    assert BODY.startswith(kept)
    never.set()
    fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert (tmp_path / "f").read_bytes() == BODY


def test_no_room_by_the_length(
    server: Server, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("/f", BODY)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFull, match=r"needs 1\.0 MB more; 1\.0 kB are free") as caught:
        fetch(client, Span(f"{server.url}/f"), tmp_path / "f", 0, nothing)
    assert str(tmp_path) in str(caught.value)
    assert "GROUNDLING_HOME" in (caught.value.hint or "")
    assert not (tmp_path / "f").exists()


_LIMITED = """
import resource, sys
from pathlib import Path
from groundling.errors import DiskFull
from groundling.models.files.download import Span, fetch, open_client
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
with open_client(5.0, {}) as client:
    try:
        fetch(client, Span(sys.argv[1]), Path(sys.argv[2]), 0, lambda _: None)
    except DiskFull as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_no_room_in_the_middle_keeps_what_came(
    server: Server, client: httpx.Client, tmp_path: Path
) -> None:
    """The kernel refuses to let the file grow, as a full disk does."""
    server.put("/f", BODY)
    target = tmp_path / "f"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, f"{server.url}/f", str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The disk is full" in done.stdout
    assert 0 < target.stat().st_size <= 300_000
    fetch(client, Span(f"{server.url}/f"), target, 0, nothing)
    assert target.read_bytes() == BODY
    assert server.asked("/f")[1] is not None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_enospc_is_a_full_disk() -> None:
    with pytest.raises(OSError, match="No space") as caught:
        Path("/dev/full").write_bytes(b"x")
    assert isinstance(disk.disk_full(Path("/dev/full"), caught.value), DiskFull)
    assert disk.disk_full(Path("f"), PermissionError(13, "no")) is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_certificates(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setattr(download, "_FIRST_PAUSE_SECONDS", 0.001)
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.put("/f", BODY)
    span = Span(server.url.replace("http:", "https:") + "/f")
    with open_client(5.0, {variable: str(certificate)}) as client:
        fetch(client, span, tmp_path / "f", 0, nothing)
    assert (tmp_path / "f").read_bytes() == BODY
    (tmp_path / "f").unlink()
    with open_client(5.0, {}) as client, pytest.raises(Offline) as caught:
        fetch(client, span, tmp_path / "f", 0, nothing)
    assert "SSL_CERT_FILE" in (caught.value.hint or "")


@given(st.integers(0, 10**13))
def test_bytes_for_people(count: int) -> None:
    number, unit = disk.show_bytes(count).split(" ")
    scale = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
    assert abs(float(number) * scale - count) <= 0.05 * scale
