"""The page: a client of the public interfaces, made of files that the browser takes as they are.

    /                        index.html, asked for anew each time
    /page/DIGEST/chat/…      a file; kept for good, since DIGEST changes with any of the files
    /page/chat/…             the same file; the browser asks each time whether it has changed

There is no build step. What is served is a map of the files in `static`, made once: no path
of a request ever becomes a path of the disk. `static/vendor` holds what others wrote, with
licences and, in `vendor.json`, versions and hashes.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

# The editable install is a tree of links; the files lie where they lead to.
STATIC = Path(__file__).resolve().parent / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
_PLACE = b"/page/@/"  # stands in index.html for where the files of this version are


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    type: str

    @cached_property
    def digest(self) -> str:
        """What tells this content from any other."""
        return hashlib.sha256(self.content).hexdigest()[:20]

    @cached_property
    def packed(self) -> bytes:
        """The content, compressed once."""
        return gzip.compress(self.content, 9, mtime=0)

    def response(self, headers: Headers, caching: str) -> Response:
        """Answer a request for it with as little as it needs."""
        tag = f'"{self.digest}"'
        own = {
            "ETag": tag,
            "Cache-Control": caching,
            "Content-Security-Policy": CSP,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
        }
        known = {each.strip().removeprefix("W/") for each in _listed(headers, "if-none-match")}
        if tag in known or "*" in known:
            return Response(status_code=304, headers=own)
        if _takes_gzip(headers):
            own["Content-Encoding"] = "gzip"
        body = self.packed if "Content-Encoding" in own else self.content
        return Response(body, headers=own, media_type=self.type)


@dataclass(frozen=True)
class Assets:
    """All files, by their paths below `static`."""

    files: dict[str, Asset]
    digest: str

    @classmethod
    def read(cls, folder: Path = STATIC) -> Assets:
        """Read a folder; files of other kinds than the page has are left out."""
        files = {
            path.relative_to(folder).as_posix(): Asset(path.read_bytes(), _TYPES[path.suffix])
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }
        names = "".join(f"{name} {asset.digest}\n" for name, asset in files.items())
        digest = hashlib.sha256(names.encode()).hexdigest()[:12]
        if (index := files.pop("index.html", None)) is not None:
            content = index.content.replace(_PLACE, f"/page/{digest}/".encode())
            files["index.html"] = Asset(content, index.type)
        return cls(files, digest)


@lru_cache(maxsize=1)
def assets() -> Assets:
    """Return the files of the page, read when first asked for: some 0.5 MB."""
    return Assets.read()


async def index(request: Request) -> Response:
    """Answer with the page."""
    return assets().files["index.html"].response(request.headers, _ASK)


async def file(request: Request) -> Response:
    """Answer with a file of the page."""
    held = assets()
    path = request.path_params["path"]
    version, _, rest = path.partition("/")
    if version == held.digest:
        path, caching = rest, _FOREVER
    else:
        caching = _ASK
    asset = held.files.get(path)
    if asset is None:
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": CSP}
        return Response("There is no such file.\n", 404, headers, "text/plain")
    return asset.response(request.headers, caching)


async def icon(request: Request) -> Response:
    """Answer with the icon to a browser that asks for it by its old name."""
    return assets().files["icon.svg"].response(request.headers, _ASK)


def _listed(headers: Headers, name: str) -> list[str]:
    return [each for line in headers.getlist(name) for each in line.split(",")]


def _takes_gzip(headers: Headers) -> bool:
    for each in _listed(headers, "accept-encoding"):
        coding, _, weight = each.strip().lower().partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


ROUTES: list[BaseRoute] = [
    Route("/", index),
    Route("/page/{path:path}", file),
    Route("/favicon.ico", icon),
]
