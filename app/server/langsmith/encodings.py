"""Bodies of requests that are compressed: undone a little at a time, and never too much of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import zstandard
from starlette.exceptions import HTTPException
from starlette.requests import Request

from groundling.server.langsmith.errors import BadPart, too_large

_SLICE = 512  # four bytes of zstd may stand for 128 KiB: no more than 16 MB at once then
_WINDOW = 32 * 2**20  # bytes that a zstd frame may refer back


class Decoder(Protocol):
    """Turns what arrives into what was sent."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is now known of the body."""

    def close(self) -> None:
        """Say that no more arrives."""


class Plain:
    """A body that is not compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what came."""
        yield data

    def close(self) -> None:
        """Do nothing."""


class Zstd:
    """A body of zstd frames."""

    def __init__(self) -> None:
        made = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._made = made
        self._frame = made.decompressobj()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the frames hold, a little at a time.

        Raises:
            BadPart: this is no zstd.
        """
        for start in range(0, len(data), _SLICE):
            rest = data[start : start + _SLICE]
            while rest:
                if self._frame.eof:
                    self._frame = self._made.decompressobj()
                self._begun = True
                try:
                    found = self._frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise BadPart(f"The body cannot be decompressed: {error}.") from error
                if found:
                    yield found
                rest = self._frame.unused_data if self._frame.eof else b""

    def close(self) -> None:
        """Check that the last frame is whole.

        Raises:
            BadPart: it is not.
        """
        if self._begun and not self._frame.eof:
            raise BadPart("The compressed body is cut off.")


def decoder(request: Request) -> Decoder:
    """Return what undoes the request's Content-Encoding.

    Raises:
        HTTPException: 415, nothing here does.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return Plain()
    if encoding == "zstd":
        return Zstd()
    raise HTTPException(415, f"Content-Encoding {encoding} is not known here; zstd is.")


class Measured:
    """Counts what a decoder gives, and stops it at the limit.

    Args:
        decoder: gives the body.
        limit: bytes it may give altogether.
    """

    def __init__(self, decoder: Decoder, limit: int) -> None:
        self._decoder = decoder
        self._limit = limit
        self.size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield as the decoder does.

        Raises:
            HTTPException: 413, more came than is allowed.
        """
        for piece in self._decoder.feed(data):
            self.size += len(piece)
            if self.size > self._limit:
                raise too_large(self._limit)
            yield piece

    def close(self) -> None:
        """Close the decoder."""
        self._decoder.close()
