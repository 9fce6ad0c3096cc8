"""`web` against a real server on this machine, reached through a transport that leads there."""

import asyncio
import gzip
import http.server
import threading
import time
from typing import ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling import egress
from groundling.errors import ToolError
from groundling.settings import Settings
from groundling.tools.addresses import checked_url, is_public, public_address
from groundling.tools.bounded import bounded
from groundling.tools.risk import risk_of
from groundling.tools.web import web

PUBLIC = "93.184.216.34"


class Pages(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self):
        assert "Cookie" not in self.headers
        self.seen.append((self.headers["Host"], self.path))
        kind, status, body, extra = PAGES.get(self.path, ("text/plain", 404, b"", {}))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def leads_to(place):
    return ("text/plain", 302, b"", {"Location": place})


PAGES = {
    "/": ("text/html", 200, b"<title>Hi</title><script>x()</script><p>Hello <b>you</b></p>", {}),
    "/ko": ("text/html; charset=euc-kr", 200, "<p>안녕하세요</p>".encode("euc-kr"), {}),
    "/data?a=1": ("application/json", 200, b'{"a": 1}', {}),
    "/image": ("image/png", 200, b"\x89PNG", {}),
    "/big": ("text/plain", 200, b"x" * 2_100_000, {}),
    "/moved": leads_to("/"),
    "/out": leads_to("http://evil.example/"),
    "/metadata": leads_to("http://169.254.169.254/latest/meta-data"),
    "/file": leads_to("file:///etc/passwd"),
    "/loop": leads_to("/loop"),
    "/broken": ("text/html; charset=nonsense", 200, b"<p>fine</p>", {}),
    "/punycode": ("text/html; charset=punycode", 200, b"<p>fine</p>", {}),
    "/undefined": ("text/html; charset=undefined", 200, b"<p>fine</p>", {}),
    "/wrong": ("text/plain; charset=utf-8", 200, "안녕하세요".encode("cp949"), {}),
    "/gzip": ("text/plain", 200, gzip.compress(b"fine"), {"Content-Encoding": "gzip"}),
    "/bomb": ("text/plain", 200, gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"}),
    "/torn": ("text/plain", 200, b"no gzip", {"Content-Encoding": "gzip"}),
    "/zstd": ("text/plain", 200, b"(\xb5/\xfd", {"Content-Encoding": "zstd"}),
    "/nowhere": leads_to("http://["),
    "/login": leads_to("https://me:secret@example.org/"),
    "/other": leads_to("https://2130706433/"),
    "/same": leads_to("//en.example.org/"),
    "/cookie": ("text/plain", 302, b"", {"Location": "/", "Set-Cookie": "a=1"}),
}


@pytest.fixture
def server():
    Pages.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running.server_port
        running.shutdown()


class ToHere(httpx.AsyncHTTPTransport):
    """Connects to the server here, whatever public address was checked."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.asked = []

    async def handle_async_request(self, request):
        self.asked.append(request.url.host)
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.port)
        return await super().handle_async_request(request)


async def read(port, url, hosts=("example.org",), resolver=lambda host, port: [PUBLIC]):
    settings = Settings(tools={"web_hosts": list(hosts), "timeout": 5})
    transport = ToHere(port)
    tool = bounded(web(settings, resolver=resolver, transport=transport), 5)
    answer = await tool.ainvoke(
        {"type": "tool_call", "id": "1", "name": "web", "args": {"url": url}}
    )
    return answer, transport


async def test_a_page_is_read_as_text(server):
    answer, transport = await read(server, "https://example.org/")
    assert answer.content == "# Hi\n\nHello you"
    assert transport.asked == [PUBLIC]  # the address that was checked
    assert Pages.seen == [("example.org", "/")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ko", "안녕하세요"),
        ("data?a=1", '{"a": 1}'),
        ("moved", "Hello you"),
        ("broken", "fine"),
        ("image", "which is no text"),
        ("nothing", "404"),
        ("big", "larger than 2 MB"),
        ("out", "evil.example is not among the hosts"),
        ("metadata", "169.254.169.254 is not among the hosts"),
        ("file", "no web address"),
        ("punycode", "fine"),
        ("undefined", "fine"),
        ("wrong", "안녕하세요"),
        ("gzip", "fine"),
        ("bomb", "larger than 2 MB"),
        ("torn", "damaged page"),
        ("zstd", "not asked for"),
        ("nowhere", "leads to no web address"),
        ("login", "carries a login"),
        ("other", "2130706433 is not among the hosts"),
        ("same", "en.example.org is not among the hosts"),
        ("cookie", "Hello you"),
        ("\x00", "cannot be read"),
        ("?q=\ud800", "no web address"),
        ("a b?c=d e#f", "404"),
        ("/example.org/", "404"),
        ("loop", "leads on more than 5 times"),
    ],
)
async def test_what_comes_back(server, path, said):
    answer, _ = await read(server, f"https://example.org/{path}")
    assert said in answer.content


async def test_each_redirect_is_looked_up_again(server):
    addresses = iter([[PUBLIC], ["10.0.0.1"]])
    answer, _ = await read(
        server, "https://example.org/moved", resolver=lambda host, port: next(addresses)
    )
    assert "example.org leads to 10.0.0.1, which is no public address" in answer.content
    assert len(Pages.seen) == 1


async def test_a_call_is_announced(server, monkeypatch):
    calls = []
    monkeypatch.setattr(egress, "_listeners", [calls.append])
    await read(server, "https://example.org/")
    assert [(call.host, call.purpose) for call in calls] == [("example.org", "web")]


async def test_a_name_that_does_not_exist(server):
    def unknown(host, port):
        raise OSError("Name or service not known")

    answer, _ = await read(server, "https://example.org/", resolver=unknown)
    assert "example.org cannot be found" in answer.content


@pytest.mark.parametrize(
    "url",
    [
        "http://0177.0.0.1/", "http://017700000001/", "http://127.1/", "http://0/",
        "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:169.254.169.254]/",
        "http://169.254.169.254/", "http://metadata.google.internal/", "http://①②⑦.0.0.1/",
        "http://example.org%2eevil.example/", "http://evil.example#@example.org/",
        "http://evil.example?@example.org/", "http://evil.example\\example.org/",
        "http://example.org:80@evil.example/", "http://.example.org/", "http://..",
        "https://example.org:80/", "HTTP+UNIX://example.org/", "data:text/html,x", "http://*/",
        "http://" + "a" * 300 + ".org/", "https://example.org/\ud800",
        "http://127.0.0.1/", "http://localhost/", "http://2130706433/", "http://0x7f.1/",
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://example.org@evil.example/",
        "http://user:secret@example.org/", "http://example.org:8080/", "ftp://example.org/",
        "file:///etc/passwd", "javascript:alert(1)", "//example.org/", "example.org", "",
        "http://", "http://example.org.evil.example/", "http://evil-example.org/",
        "http://exa\u200bmple.evil/", "http://example。evil/", "http://[", "http://example.org:x/",
        "http://example.org\\@evil.example/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_allowed(url):
    with pytest.raises(ToolError):
        checked_url(url, ["example.org"])


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://EXAMPLE.org/a", ["example.org"]),
        ("https://example.org./a", ["example.org"]),
        ("https://en.example.org:443/", ["*.example.org"]),
        ("https://한국.kr/", ["xn--3e0b707e.kr"]),
        ("https://xn--3e0b707e.kr/", [" 한국.KR. "]),
        ("https://위키.한국.kr/", ["*.한국.kr"]),
        ("https://exam\tple.org/", ["example.org"]),
        ("https://example。org/", ["example.org"]),
    ],
)
def test_addresses_that_are_allowed(url, hosts):
    assert checked_url(url, hosts).scheme == "https"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fc00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "no address",
        "fec0::1", "64:ff9b:1::7f00:1", "192.0.0.8", "192.88.99.1", "2001::1", "3fff::1", "5f00::1",
        "2001:db8::1", "::7f00:1", "198.18.0.1", "203.0.113.1", "240.0.0.1", "64:ff9b::a9fe:a9fe",
        "", "127.0.0.1/8", "0x7f.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not is_public(address)
    with pytest.raises(ToolError, match="no public address"):
        public_address("example.org", 443, lambda host, port: [PUBLIC, address])


@pytest.mark.parametrize("name", ["*", "*.", "", ".", "*.*", "." * 300, "a" * 300])
def test_no_allowed_name_stands_for_every_host(name):
    with pytest.raises(ToolError):
        checked_url("https://example.org/", [name])


def test_messages_are_of_bearable_length():
    for url in ("x" * 100_000, f"https://{'x.' * 50_000}org/"):
        with pytest.raises(ToolError) as error:
            checked_url(url, ["example.org"])
        assert len(str(error.value)) < 1_000


async def test_looking_up_a_name_does_not_hold_up_others(server):
    def slow(host, port):
        time.sleep(1)
        return [PUBLIC]

    reading = asyncio.create_task(read(server, "https://example.org/", resolver=slow))
    begin = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - begin < 0.9
    answer, _ = await reading
    assert "Hello you" in answer.content


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
)
def test_addresses_that_are_public(address):
    assert public_address("example.org", 443, lambda host, port: [address]) == address


@given(st.text(max_size=60))
def test_nothing_but_the_allowed_host_is_ever_called(text):
    for url in (text, f"http://{text}", f"https://example.org{text}"):
        try:
            parts = checked_url(url, ["example.org"])
        except ToolError:
            continue
        assert parts.netloc == "example.org"


def test_it_is_of_the_class_network():
    tool = web(Settings(tools={"web_hosts": ["example.org"]}))
    assert risk_of(tool) == "network"
    assert "example.org" in tool.description
