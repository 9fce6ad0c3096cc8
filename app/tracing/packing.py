"""Payloads as bytes: JSON, shortened where it is too long, compressed for the disk.

Needs nothing of LangChain, so that looking at runs starts fast; see `payload` for how any
object becomes JSON.
"""

from __future__ import annotations

from threading import local
from typing import Any

import orjson
import zstandard

MAX_BYTES = 4_000_000  # of one payload; more is shortened
MAX_ITEMS = 10_000  # of one list or mapping
_COMPRESS_FROM = 300
_MAGIC = b"\x28\xb5\x2f\xfd"  # how a zstd frame begins, and no JSON does
_own = local()  # a compressor serves one thread


def dump(value: Any) -> bytes:
    """Write plain JSON values."""
    return orjson.dumps(value)


def decode(data: bytes | None) -> Any:
    """Read JSON that `encode` wrote; None of nothing."""
    return None if data is None else orjson.loads(data)


def shorten(written: bytes, limit: int) -> bytes:
    """Cut the longest texts and lists of some JSON until it has at most `limit` bytes."""
    value = orjson.loads(written)
    longest, most = max(64, limit // 4), MAX_ITEMS
    while True:
        cut = orjson.dumps(_cut(value, longest, most))
        if len(cut) <= limit:
            return cut
        if longest <= 64:
            start = written[: limit // 4].decode("utf-8", "ignore")
            return orjson.dumps({"shortened": f"{len(written)} bytes", "beginning": start})
        longest, most = longest // 4, max(16, most // 4)


def pack(data: bytes | None) -> bytes | None:
    """Compress what is worth it, for the disk."""
    if data is None or len(data) < _COMPRESS_FROM:
        return data
    compressor: zstandard.ZstdCompressor | None = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=1)
    return compressor.compress(data)


def unpack(data: bytes | None) -> bytes | None:
    """Undo `pack`."""
    if data is None or not data.startswith(_MAGIC):
        return data
    return zstandard.ZstdDecompressor().decompress(data)


def _cut(value: Any, longest: int, most: int) -> Any:
    if isinstance(value, str):
        if len(value) <= longest:
            return value
        return f"{value[:longest]}… <{len(value)} characters>"
    if isinstance(value, dict):
        entries = list(value.items())
        made = {key: _cut(each, longest, most) for key, each in entries[:most]}
        if len(entries) > most:
            made["<shortened>"] = f"{len(entries)} entries"
        return made
    if isinstance(value, list):
        items = [_cut(each, longest, most) for each in value[:most]]
        return items + ([f"<{len(value)} items>"] if len(value) > most else [])
    return value
