"""Server-sent events: frames of bytes, and the response that sends them.

The format is WHATWG HTML, 9.2. Data is one line of JSON, so that no line break has to be
escaped. A comment keeps a connection alive that has nothing to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.responses import StreamingResponse

HEARTBEAT = b": heartbeat\n\n"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def as_json(value: Any, default: Any = str) -> bytes:
    """Write a value as JSON; what JSON has no form for goes through `default`."""
    return orjson.dumps(value, default=default, option=_OPTIONS)


def frame(data: bytes, event: str | None = None, id: str | None = None) -> bytes:
    """Return one event.

    Args:
        data: JSON, without a line break.
        event: its name; None: the unnamed kind.
        id: where a client may resume after it.
    """
    head = b"event: " + event.encode() + b"\n" if event is not None else b""
    tail = b"id: " + id.encode() + b"\n" if id is not None else b""
    return head + b"data: " + data + b"\n" + tail + b"\n"


class EventStream(StreamingResponse):
    """A response of frames, which no proxy is to hold back."""

    def __init__(
        self, frames: AsyncIterator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            frames,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
        )
