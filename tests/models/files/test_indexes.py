"""Index pages are read in both forms, and the user's indexes are found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DownloadError, Offline
from groundling.models.files import download, indexes
from groundling.models.files.download import open_client
from groundling.models.files.indexes import PYPI, WheelLink, index_urls
from tests.models.server import Server

NOTHING = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
HASH = "ab" * 32


def test_html_page() -> None:
    page = f"""<html><head><base href="https://cdn/x/"></head><body>
      <a href="a_b-1.0-py3-none-any.whl#sha256={HASH}" data-yanked="">a</a>
      <A HREF='/y/a_b-1.1-py3-none-any.whl'>b</A><a name="no-href">c</a></body>"""
    assert indexes.parse_html(page, "https://host/simple/a-b/") == [
        WheelLink("a_b-1.0-py3-none-any.whl", "https://cdn/x/a_b-1.0-py3-none-any.whl", HASH),
        WheelLink("a_b-1.1-py3-none-any.whl", "https://cdn/y/a_b-1.1-py3-none-any.whl", None),
    ]


def test_json_page() -> None:
    files = [{"filename": "a-1-py3-none-any.whl", "url": "../f/a.whl", "hashes": {"sha256": HASH}}]
    found = indexes.parse_json(json.dumps({"files": files}), "https://host/simple/a/")
    assert found == [WheelLink("a-1-py3-none-any.whl", "https://host/simple/f/a.whl", HASH)]


@given(st.text(max_size=200))
def test_any_page_is_read_or_refused(text: str) -> None:
    indexes.parse_html(text, "https://host/simple/a/")
    with pytest.raises(DownloadError):
        indexes.parse_json(text, "https://user:secret@host/simple/a/")


@pytest.mark.parametrize("json_index", [False, True])
def test_find_wheel(server: Server, json_index: bool) -> None:
    server.json_index = json_index
    server.put_wheel("My.Model", "0.9", {"a": b"old"})
    server.resources["/simple/my-model/"] = server.resources.pop("/simple/My.Model/")
    with open_client(5.0, {}) as client:
        link = indexes.find_wheel(client, (server.index,), "my_model", "0.9")
        assert link.url == f"{server.url}/files/My.Model-0.9-py3-none-any.whl"
        assert link.sha256
        with pytest.raises(DownloadError, match=r"no wheel of my_model 1\.0"):
            indexes.find_wheel(client, (server.index,), "my_model", "1.0")


def test_the_next_index_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_FIRST_PAUSE_SECONDS", 0.001)
    server.put_wheel("model", "1.0", {"a": b"a"})
    with open_client(5.0, {}) as client:
        urls = (f"{server.url}/empty", server.index)
        assert indexes.find_wheel(client, urls, "model", "1.0").sha256
        folder = (tmp_path / "index").as_uri()
        with pytest.raises(DownloadError, match="cannot be read"):
            indexes.find_wheel(client, (folder,), "model", "1.0")
        with pytest.raises(Offline, match="could not be reached"):
            indexes.find_wheel(client, (folder, "http://127.0.0.1:9/x"), "model", "1.0")


def test_pypi_is_the_default() -> None:
    assert index_urls(None, NOTHING) == (PYPI,)


def test_the_own_setting_stands_alone() -> None:
    assert index_urls("https://own/", {"UV_INDEX": "https://uv", **NOTHING}) == ("https://own/",)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"UV_DEFAULT_INDEX": "https://a/"}, ("https://a",)),
        ({"UV_DEFAULT_INDEX": "corp=https://a/"}, ("https://a",)),
        ({"UV_INDEX_URL": "https://a"}, ("https://a",)),
        ({"UV_INDEX": "one=https://a https://b"}, ("https://a", "https://b", PYPI)),
        ({"UV_EXTRA_INDEX_URL": "https://a"}, ("https://a", PYPI)),
        ({"PIP_INDEX_URL": "https://a"}, ("https://a",)),
        ({"PIP_EXTRA_INDEX_URL": "https://a https://b"}, (PYPI, "https://a", "https://b")),
        ({"UV_INDEX": "https://a", "PIP_INDEX_URL": "https://a"}, ("https://a",)),
    ],
)
def test_environment(environment: dict[str, str], expected: tuple[str, ...]) -> None:
    assert index_urls(None, NOTHING | environment) == expected


def test_pip_file(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_text(
        "[global]\nindex-url = https://a\nextra-index-url =\n  https://b\n  file:///c\n"
    )
    found = index_urls(None, {"UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": str(path)})
    assert found[:3] == ("https://a", "https://b", "file:///c")
    assert PYPI not in found


def test_uv_file(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text(
        '[[index]]\nurl = "https://a"\ndefault = true\n'
        '[[index]]\nurl = "https://b"\nexplicit = true\n'
        '[[index]]\nurl = "https://c"\n'
    )
    environment = {"PIP_CONFIG_FILE": os.devnull, "XDG_CONFIG_HOME": str(tmp_path)}
    assert index_urls(None, environment)[:2] == ("https://a", "https://c")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "uv.toml"
    path.write_text("[[index]\n")
    with pytest.raises(DownloadError, match=r"uv\.toml cannot be read"):
        index_urls(None, {"UV_CONFIG_FILE": str(path), "PIP_CONFIG_FILE": os.devnull})
