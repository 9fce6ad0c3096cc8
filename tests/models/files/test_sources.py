"""Source strings are read as they are written, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import ModelNotFound
from groundling.models.files import sources
from groundling.models.files.sources import HubFile, LocalFile, WebFile, WheelMember, WheelParts

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).filter(
    lambda name: ".." not in name
)
versions = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,3}){0,3}", fullmatch=True)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(names, names, paths, st.one_of(st.just("main"), names))
def test_hub_round_trip(owner: str, repo: str, path: str, revision: str) -> None:
    source = HubFile(f"{owner}/{repo}", path, revision)
    assert sources.parse(str(source)) == source


@given(names, versions, paths)
def test_wheel_round_trip(name: str, version: str, member: str) -> None:
    source = WheelMember(name, version, member)
    assert sources.parse(str(source)) == source


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 4), names)
def test_ranges_count_up_and_keep_their_width(first: int, more: int, width: int, name: str) -> None:
    last = first + more
    padded = f"{first:0{width}}"
    text = f"wheels:{name}{{{first}..{last}}}==1.0!p/{{{padded}..{last}}}.bin"
    source = sources.parse(text)
    assert isinstance(source, WheelParts)
    assert str(source) == text
    assert [part.name for part in source.parts] == [f"{name}{n}" for n in range(first, last + 1)]
    found = [re.findall(r"p/(\d+)\.bin", part.member)[0] for part in source.parts]
    assert found == [f"{n:0{width}}" for n in range(first, last + 1)]


@given(st.text(max_size=60))
def test_any_text_is_a_source_or_a_clear_error(text: str) -> None:
    try:
        source = sources.parse(text)
    except ModelNotFound:
        return
    assert sources.is_source(text)
    assert sources.parse(str(source)) == source or isinstance(source, LocalFile)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "qwen3-8b",
        "hf:owner",
        "hf:owner/repo",
        "hf:owner//file.gguf",
        "hf:owner/repo/../file.gguf",
        "hf:owner/repo/file.gguf@",
        "https://",
        "http://host/",
        "wheel:name!member",
        "wheel:name==1.0",
        "wheel:name==1.0!",
        "wheels:name==1.0!member",
        "wheels:name{1..3}==1.0!part{1..4}",
        "wheels:name{3..1}==1.0!part{3..1}",
        "wheels:name{1..99999999}==1.0!part{1..99999999}",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ModelNotFound):
        sources.parse(text)


def test_others() -> None:
    assert sources.parse("https://host/a.gguf?x=1") == WebFile("https://host/a.gguf?x=1")
    assert sources.parse("./모델.gguf") == LocalFile(Path("모델.gguf"))
    assert sources.parse("model.GGUF") == LocalFile(Path("model.GGUF"))
    assert not sources.is_source("qwen3-8b")
