"""The files of the page as they are served: whole, cached, compressed, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from groundling.server import page

CLIENT = TestClient(Starlette(routes=page.ROUTES))
OWN = {name: each for name, each in page.assets().files.items() if not name.startswith("vendor/")}


def get(path: str, **headers: str) -> Any:
    """Ask for a file, uncompressed where nothing else is said."""
    return CLIENT.get(path, headers={"Accept-Encoding": "identity", **headers})


def test_the_page_names_files_that_may_be_kept_for_good() -> None:
    index = get("/")
    assert index.headers["Cache-Control"] == "no-cache"
    assert index.headers["Content-Security-Policy"] == page.CSP
    named = re.findall(r'(?:href|src)="(/page/[^"]+)"', index.text)
    assert len(named) > 5
    for path in named:
        answer = get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_same_file_without_the_digest_is_asked_for_anew() -> None:
    answer = get("/page/app.js")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Type"].startswith("text/javascript")
    again = get("/page/app.js", **{"If-None-Match": f'W/{answer.headers["ETag"]}, "other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert get("/page/app.js", **{"If-None-Match": '"other"'}).status_code == 200


def test_files_are_compressed_for_those_who_take_it() -> None:
    plain = get("/page/base.css")
    packed = get("/page/base.css", **{"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 2
    assert (
        "Content-Encoding" not in get("/page/base.css", **{"Accept-Encoding": "gzip;q=0"}).headers
    )
    head = CLIENT.head("/page/base.css", headers={"Accept-Encoding": "identity"})
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(plain.content)))


@pytest.mark.parametrize(
    "path",
    [
        "..%2f__init__.py",
        "%2e%2e/__init__.py",
        "vendor/..%5c..%5c__init__.py",
        "//etc/passwd",
        "/etc/passwd",
        "index.html%00.js",
        "vendor",
        "",
        "app.js/",
        "deadbeef0000/app.js",
    ],
)
def test_there_is_nothing_but_the_files(path: str) -> None:
    answer = get(f"/page/{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Security-Policy"] == page.CSP


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_whatever_is_asked_for_is_a_file_of_the_page_or_missing(path: str) -> None:
    answer = get(f"/page/{quote(path, safe='')}")
    assert answer.status_code == (200 if path in page.assets().files else 404)


def test_other_methods_are_refused() -> None:
    assert CLIENT.post("/page/app.js").status_code == 405
    assert CLIENT.delete("/").status_code == 405


def test_what_others_wrote_is_what_they_published() -> None:
    files = page.assets().files
    vendored = json.loads(files["vendor/vendor.json"].content)
    named = {each["file"] for each in vendored} | {"vendor.json"}
    for each in vendored:
        content = files[f"vendor/{each['file']}"].content
        assert hashlib.sha256(content).hexdigest() == each["sha256"], each["file"]
        assert each["source"].endswith(f"{each['package']}-{each['version']}.tgz")
        for licence in each["licences"]:
            assert len(files[f"vendor/{licence}"].content) > 500
            named.add(licence)
    assert {name.removeprefix("vendor/") for name in files if name.startswith("vendor/")} == named


def test_modules_import_what_there_is() -> None:
    imports = re.compile(rb"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")
    for name, asset in OWN.items():
        if name.endswith(".js"):
            for found in imports.findall(asset.content):
                assert normpath(join(dirname(name), found.decode())) in page.assets().files, name


def test_nothing_of_ours_needs_more_than_the_policy_allows() -> None:
    for name, asset in OWN.items():
        text = asset.content.decode()
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", text), name
        if name.endswith(".js"):
            assert not re.search(
                r"dangerouslySetInnerHTML|innerHTML|outerHTML|\beval\(|new Function", text
            ), name
        if name.endswith((".js", ".css", ".html")):
            hosts = set(re.findall(r"https?://([\w.-]+)", text)) - {"www.w3.org"}
            assert not hosts, f"{name} names {hosts}"


def test_the_first_paint_is_small() -> None:
    files = page.assets().files
    late = ("views/", "vendor/LICENSE", "vendor/vendor.json")
    first = {name: len(each.packed) for name, each in files.items() if not name.startswith(late)}
    assert sum(first.values()) < 110_000, first


def test_the_routes_are_there_at_once() -> None:
    code = "import sys, groundling.server.page; print('langchain_core' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
