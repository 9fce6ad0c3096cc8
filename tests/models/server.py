"""A real HTTP server on this machine: files, a package index, and a model hub.

It speaks as much of each protocol as the real ones do towards a client that downloads, and
it can be told to misbehave: to ignore ranges, to break off, to answer with an error.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Resource:
    """What lies behind a path, and how the server misbehaves with it."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    location: str | None = None
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)  # bytes after which an answer ends early
    errors: list[int] = field(default_factory=list)  # statuses to answer with first
    token: str | None = None
    hold: threading.Event | None = None  # the second half of the body waits for it


class Server(ThreadingHTTPServer):
    """Serves resources by path, and remembers every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.resources: dict[str, Resource] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.agents: set[str | None] = set()
        self.json_index = False
        self.sent = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients that hang up are part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def index(self) -> str:
        return f"{self.url}/simple"

    def put(self, path: str, body: bytes, **options: Any) -> Resource:
        """Serve bytes at a path."""
        options.setdefault("headers", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        self.resources[path] = Resource(body, **options)
        return self.resources[path]

    def asked(self, path: str, method: str = "GET") -> list[str | None]:
        """Return the Range header of each request for a path."""
        return [span for verb, where, span in self.requests if (verb, where) == (method, path)]

    def put_wheel(
        self, name: str, version: str, members: dict[str, bytes], *, stored: bool = False
    ) -> Resource:
        """Publish a wheel, with its hash, on the index."""
        packed = io.BytesIO()
        method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(packed, "w", method) as archive:
            for path, content in members.items():
                archive.writestr(path, content)
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        resource = self.put(f"/files/{filename}", packed.getvalue())
        page = f"/simple/{name}/"
        links = self.resources.setdefault(page, Resource(b"{}")).body
        files = {**json.loads(links), filename: hashlib.sha256(resource.body).hexdigest()}
        self.resources[page] = Resource(json.dumps(files).encode())
        return resource

    def put_hub_file(
        self,
        repo: str,
        path: str,
        body: bytes,
        *,
        lfs: bool = True,
        gated: bool = False,
        token: str | None = None,
    ) -> Resource:
        """Publish a file in a repository; large ones redirect to another path, as on the hub."""
        digest = hashlib.sha256(body).hexdigest()
        headers = {"X-Repo-Commit": COMMIT}
        if lfs:
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(body))}
            served = self.put(f"/cdn/{digest}", body)
            # Another host than the hub's, as its delivery network is.
            location = f"http://localhost:{self.server_address[1]}/cdn/{digest}"
        else:
            headers["ETag"] = f'"{hashlib.sha1(body).hexdigest()}"'
            served, location = None, None
        closed = gated and token is None
        refusal = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."}
        for revision in ("main", COMMIT):
            self.resources[f"/{repo}/resolve/{revision}/{path}"] = Resource(
                b"" if lfs else body,
                refusal if closed else headers,
                status=403 if closed else 200,
                location=None if closed else location,
                token=token,
            )
        return served or self.resources[f"/{repo}/resolve/{COMMIT}/{path}"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        span = self.headers.get("Range")
        self.server.requests.append((self.command, path, span))
        self.server.agents.add(self.headers.get("User-Agent"))
        resource = self.server.resources.get(path)
        if resource is None:
            hub = "/resolve/" in path
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"} if hub else {}, body)
        elif resource.errors:
            self._send(resource.errors.pop(0), b"", {}, body)
        elif resource.token and self.headers.get("Authorization") != f"Bearer {resource.token}":
            self._send(401, b"", {"X-Error-Code": "GatedRepo"}, body)
        elif path.startswith("/simple/"):
            self._index(json.loads(resource.body), body)
        elif resource.location:
            self._send(302, b"", {**resource.headers, "Location": resource.location}, body)
        else:
            self._file(resource, span, body)

    def _index(self, files: dict[str, str], body: bool) -> None:
        if self.server.json_index and "pypi.simple.v1+json" in self.headers.get("Accept", ""):
            content: dict[str, Any] = {
                "meta": {"api-version": "1.0"},
                "files": [
                    {"filename": name, "url": f"../../files/{name}", "hashes": {"sha256": digest}}
                    for name, digest in files.items()
                ],
            }
            kind = "application/vnd.pypi.simple.v1+json"
            self._send(200, json.dumps(content).encode(), {"Content-Type": kind}, body)
            return
        links = "".join(
            f'<a href="../../files/{name}#sha256={digest}">{name}</a><br/>'
            for name, digest in files.items()
        )
        page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self._send(200, page, {"Content-Type": "text/html"}, body)

    def _file(self, resource: Resource, span: str | None, body: bool) -> None:
        content, headers, status = resource.body, dict(resource.headers), resource.status
        total = len(content)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", span or "")
        if match and resource.ranges and status == 200:
            first, last = match[1], match[2]
            start = int(first) if first else max(0, total - int(last))
            stop = min(total, int(last) + 1) if first and last else total
            if start >= total:
                self._send(416, b"", {"Content-Range": f"bytes */{total}"}, body)
                return
            content, status = content[start:stop], 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        self._send(status, content, headers, body, resource)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        body: bool,
        resource: Resource | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        if resource and resource.breaks and len(content) > 1:
            content = content[: resource.breaks.pop(0)]
            self.close_connection = True
        half = len(content) // 2 if resource and resource.hold else len(content)
        self.wfile.write(content[:half])
        if resource and resource.hold:
            self.wfile.flush()
            resource.hold.wait(30)
            self.wfile.write(content[half:])
        self.server.sent += len(content)


def gguf(context: int = 2048, padding: int = 0) -> bytes:
    """Return the smallest whole GGUF file: a header that names an architecture."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)
    header += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    header += text("llama.context_length") + struct.pack("<II", 4, context)
    return header + bytes(padding)
