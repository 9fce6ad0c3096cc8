"""Python package indexes: which ones this user has, and where a wheel lies on them.

Honours the index settings that pip and uv already have (environment and files), because
whoever sits behind a mirror has set one of those. A page may answer as JSON (PEP 691) or as
HTML (PEP 503). An index may also be a folder of such pages (file://). This module finds
wheels; it downloads none.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

from groundling.errors import DownloadError, Offline
from groundling.models.files.download import public, request

if TYPE_CHECKING:
    import httpx

PYPI = "https://pypi.org/simple"
ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)


@dataclass(frozen=True)
class WheelLink:
    """Where a wheel lies, and the sha256 that the index gives for it."""

    filename: str
    url: str
    sha256: str | None


def find_wheel(
    client: httpx.Client, indexes: tuple[str, ...], name: str, version: str
) -> WheelLink:
    """Return the link of a release's wheel from the first index that has it.

    Raises:
        Offline: no index could be reached.
        DownloadError: those that were reached do not have it.
    """
    failures: list[DownloadError] = []
    for index in indexes:
        try:
            links = project_links(client, index, name)
        except DownloadError as error:
            failures.append(error)
            continue
        for link in links:
            if _is_wheel_of(link.filename, name, version):
                return link
        failures.append(DownloadError(f"{public(index)} has no wheel of {name} {version}"))
    reasons = "; ".join(dict.fromkeys(str(failure) for failure in failures))
    # An index that was out of reach may well have had it.
    unreachable = any(isinstance(failure, Offline) for failure in failures)
    raise (Offline if unreachable else DownloadError)(reasons)


def project_links(client: httpx.Client, index: str, name: str) -> list[WheelLink]:
    """Read the page of one project on one index."""
    project = re.sub(r"[-_.]+", "-", name).lower()
    page = f"{index.rstrip('/')}/{project}/"
    if urlsplit(page).scheme == "file":
        return _local_links(page)
    answer = request(client, "GET", page, {"Accept": ACCEPT})
    if "json" in answer.headers.get("content-type", ""):
        return parse_json(answer.text, str(answer.url))
    return parse_html(answer.text, str(answer.url))


def parse_json(text: str, page: str) -> list[WheelLink]:
    """Read a PEP 691 page; addresses may be relative to it.

    Raises:
        DownloadError: it is not such a page.
    """
    try:
        return [
            WheelLink(file["filename"], urljoin(page, file["url"]), file["hashes"].get("sha256"))
            for file in json.loads(text)["files"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"{public(page)} is not a package index page: {error!r}") from error


def parse_html(text: str, page: str) -> list[WheelLink]:
    """Read a PEP 503 page; addresses may be relative to it or to its base element."""
    parser = _Anchors()
    parser.feed(text)
    base = urljoin(page, parser.base)
    links = []
    for href in parser.hrefs:
        url, fragment = urldefrag(urljoin(base, href))
        digest = re.search(r"sha256=([0-9a-f]{64})", fragment)
        filename = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
        links.append(WheelLink(filename, url, digest[1] if digest else None))
    return links


def index_urls(configured: str | None, environment: Mapping[str, str]) -> tuple[str, ...]:
    """List the indexes to ask, in order and without doubles.

    The project's own setting stands alone. Otherwise come uv's and then pip's indexes, the
    environment before the files; PyPI is asked unless one of them replaced the default.
    """
    if configured:
        return (configured,)
    uv, pip = list(_uv_indexes(environment)), list(_pip_indexes(environment))
    replaced = any(replaces_default for _, replaces_default in (*uv, *pip))
    found = [*uv, *([] if replaced else [(PYPI, True)]), *pip]
    return tuple(dict.fromkeys(url.rstrip("/") for url, _ in found))


def _uv_indexes(environment: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    for variable in ("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for entry in environment.get(variable, "").split():
            # An index may carry a name in front: name=https://…
            yield re.sub(r"^[A-Za-z0-9._-]+=", "", entry), False
    default = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if default:
        yield re.sub(r"^[A-Za-z0-9._-]+=", "", default), True
    for path in _uv_files(environment):
        yield from _uv_file_indexes(path)


def _uv_files(environment: Mapping[str, str]) -> list[Path]:
    if environment.get("UV_NO_CONFIG"):
        return []
    if "UV_CONFIG_FILE" in environment:
        return [Path(environment["UV_CONFIG_FILE"])]
    config = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = [config / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    if "APPDATA" in environment:
        files.append(Path(environment["APPDATA"]) / "uv" / "uv.toml")
    return files


def _uv_file_indexes(path: Path) -> Iterator[tuple[str, bool]]:
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise DownloadError(f"{path} cannot be read: {error}") from error
    for index in tree.get("index", []):
        # An explicit index serves only the packages that are pinned to it.
        if "url" in index and not index.get("explicit", False):
            yield index["url"], bool(index.get("default", False))
    for url in tree.get("extra-index-url", []):
        yield url, False
    if "index-url" in tree:
        yield tree["index-url"], True


def _pip_indexes(environment: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    primary = environment.get("PIP_INDEX_URL")
    extras = environment.get("PIP_EXTRA_INDEX_URL")
    for path in _pip_files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise DownloadError(f"{path} cannot be read: {error}") from error
        for section in ("global", "download", "install"):
            primary = primary or parser.get(section, "index-url", fallback=None)
            extras = extras or parser.get(section, "extra-index-url", fallback=None)
    if primary:
        yield primary, True
    for url in (extras or "").split():
        yield url, False


def _pip_files(environment: Mapping[str, str]) -> list[Path]:
    """List pip's configuration files, the ones that win first."""
    if environment.get("PIP_CONFIG_FILE") == os.devnull:
        return []
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    home = Path.home()
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path(environment["PIP_CONFIG_FILE"]) if environment.get("PIP_CONFIG_FILE") else None,
        Path(sys.prefix) / name,
        Path(environment["APPDATA"]) / "pip" / name if "APPDATA" in environment else None,
        config / "pip" / name,
        home / "Library" / "Application Support" / "pip" / name,
        home / ("pip" if sys.platform == "win32" else ".pip") / name,
        Path("/etc/xdg/pip") / name,
        Path("/etc") / name,
    ]
    return [path for path in files if path is not None and path.is_file()]


def _local_links(page: str) -> list[WheelLink]:
    path = Path(url2pathname(urlsplit(page).path)) / "index.html"
    try:
        return parse_html(path.read_text(encoding="utf-8"), page)
    except OSError as error:
        raise DownloadError(f"{page} cannot be read: {error.strerror}") from error


def _is_wheel_of(filename: str, name: str, version: str) -> bool:
    if not filename.endswith(".whl") or filename.count("-") < 4:
        return False
    distribution, release = filename.split("-")[:2]
    return _same(distribution, name) and release.replace("_", "-") == version


def _same(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


class _Anchors(HTMLParser):
    """Collects the links and the base of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if href and tag == "a":
            self.hrefs.append(href)
        elif href and tag == "base" and not self.base:
            self.base = href
