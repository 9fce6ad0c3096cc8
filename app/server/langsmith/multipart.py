"""`multipart/form-data`, read while it arrives: each part is handed on as soon as it is whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from groundling.server.langsmith.encodings import Measured, decoder
from groundling.server.langsmith.errors import BadPart, wrong
from groundling.server.langsmith.service import Limits

_HEADERS = 16
_HEADER_BYTES = 8_000
_USUAL = re.compile(rb'form-data; name="([^"\\]*)"')


@dataclass(frozen=True)
class Part:
    """One part.

    Args:
        name: as in its Content-Disposition.
        mime_type: without parameters; empty where none is given.
    """

    name: str
    mime_type: str
    data: bytes


class MultipartReader:
    """Reads the body of one request.

    Args:
        request: for its headers.
        limits: of bytes and parts.
        take: called with each part.

    Raises:
        HTTPException: 415 or 422, the headers announce no such body.
    """

    def __init__(self, request: Request, limits: Limits, take: Callable[[Part], None]) -> None:
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data":
            raise HTTPException(415, "The body should be multipart/form-data.")
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise wrong("The Content-Type names no boundary.")
        self._take = take
        self._most = limits.parts
        self._body = Measured(decoder(request), limits.body)
        self._parts = 0
        self._ended = False
        self._field = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._data = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_part_data": self._on_data,
                    "on_part_end": self._end,
                    "on_end": self._on_end,
                },
                max_header_count=_HEADERS,
                max_header_size=_HEADER_BYTES,
            )
        except (FormParserError, ValueError) as error:
            raise wrong(f"The boundary in the Content-Type is wrong: {error}.") from error

    def feed(self, block: bytes) -> None:
        """Read on.

        Raises:
            BadPart: this is no multipart body, from here on; parts before it were whole.
            HTTPException: 413, it is too long.
        """
        for piece in self._body.feed(block):
            try:
                self._parser.write(piece)
            except FormParserError as error:
                where = f"after {self._parts} parts" if self._parts else "from its beginning"
                raise BadPart(f"The multipart body is broken {where}: {error}") from error

    def close(self) -> None:
        """Check that the body is whole.

        Raises:
            BadPart: it is cut off.
        """
        self._body.close()
        if not self._ended and (self._body.size or not self._parts):
            raise BadPart(f"The multipart body is cut off after {self._parts} parts.")

    def _begin(self) -> None:
        self._headers = {}
        self._data = bytearray()
        self._field = self._value = b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _end(self) -> None:
        self._parts += 1
        if self._parts > self._most:
            raise BadPart(f"The body has more than {self._most} parts; the rest is left out.")
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip()
        self._take(
            Part(
                _name(self._headers.get(b"content-disposition", b"")),
                kind.decode("latin-1"),
                bytes(self._data),
            )
        )
        self._data = bytearray()

    def _on_end(self) -> None:
        self._ended = True


def _name(disposition: bytes) -> str:
    if (usual := _USUAL.fullmatch(disposition)) is not None:
        return usual[1].decode("utf-8", "replace")
    _, options = parse_options_header(disposition)
    return options.get(b"name", b"").decode("utf-8", "replace")
