"""Payloads: whatever a program hands to its runs, as JSON bytes.

Any object at all becomes JSON without an error: messages and pydantic models in the forms
LangSmith gives them, cycles and what cannot be written as a text in their place. Long texts
are shortened until the payload keeps to its bound; what is shortened says so.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

import orjson
from langchain_core.load.serializable import Serializable
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from groundling.tracing.packing import MAX_BYTES, MAX_ITEMS, shorten

MAX_DEPTH = 100
MAX_REPR = 2_000
_REQUIRED = frozenset({"content", "type"})
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS


def encode(value: object, *, limit: int = MAX_BYTES) -> bytes:
    """Write a value as JSON of at most `limit` bytes, whatever it holds."""
    try:
        written = orjson.dumps(value, default=_default, option=_OPTIONS)
    except Exception:  # a cycle, a lone surrogate, a huge integer, a broken __repr__
        written = orjson.dumps(plain(value))
    return written if len(written) <= limit else shorten(written, limit)


def plain(value: object, depth: int = 0, above: frozenset[int] = frozenset()) -> Any:
    """Make a value of plain JSON types, slowly and without fail."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if id(value) in above:
        return "<cycle>"
    if depth >= MAX_DEPTH:
        return "<too deep>"
    above |= {id(value)}
    try:
        if isinstance(value, Mapping):
            entries = list(value.items())
            made = {
                plain(str(key)): plain(each, depth + 1, above) for key, each in entries[:MAX_ITEMS]
            }
            if len(entries) > MAX_ITEMS:
                made["<shortened>"] = f"{len(entries)} entries"
            return made
        if isinstance(value, list | tuple | set | frozenset):
            items = [plain(each, depth + 1, above) for each in list(value)[:MAX_ITEMS]]
            return items + ([f"<{len(value)} items>"] if len(value) > MAX_ITEMS else [])
        return plain(_default(value), depth + 1, above)
    except RecursionError:
        return "<too deep>"
    except Exception as error:
        return f"<{type(value).__name__} that cannot be written: {type(error).__name__}>"


def message(said: BaseMessage) -> dict[str, Any]:
    """Write a message as LangChain's `dumpd` does, a tenth as slowly."""
    kwargs = {
        name: value
        for name, value in said.__dict__.items()
        if name in _REQUIRED or not (value is None or value == {} or value == [])
    }
    return {"lc": 1, "type": "constructor", "id": _lc_id(type(said)), "kwargs": kwargs}


@cache
def _lc_id(kind: type[BaseMessage]) -> list[str]:
    return kind.lc_id()


def _default(value: object) -> Any:
    """Give what orjson does not know a form that it does; a text in the worst case."""
    if isinstance(value, BaseMessage):
        return message(value)["kwargs"]
    if isinstance(value, str):  # a subclass: an enumeration among them
        return str.__str__(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Serializable):
        return value.to_json()
    if isinstance(value, BaseModel):
        return dict(value.__dict__)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, type | PurePath | BaseException):
        return repr(value) if isinstance(value, BaseException) else str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # numpy, torch
        size = getattr(value, "size", None)
        small = isinstance(size, int) and size <= 1_000
        return value.tolist() if small else repr(value)[:MAX_REPR]
    return repr(value)[:MAX_REPR]
