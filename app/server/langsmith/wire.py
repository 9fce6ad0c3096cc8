"""Values as clients send them: JSON, times, ids; and what is wrong with those that are wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from groundling.server.langsmith.errors import BadPart
from groundling.tracing import as_json
from groundling.tracing.packing import MAX_BYTES, shorten
from groundling.tracing.payload import MAX_DEPTH, plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS = 10**11  # larger numbers are no seconds since 1970 but milliseconds


def read_json(data: bytes) -> Any:
    """Read JSON; of what no standard allows but clients send, NaN and half a surrogate pair.

    Raises:
        BadPart: it is no JSON.
    """
    value, _ = _read(data)
    return value


def payload(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """Check that some bytes are JSON, and shorten what is too long.

    Raises:
        BadPart: they are no JSON.
    """
    value, as_sent = _read(data)
    if not as_sent:
        data = orjson.dumps(value)
    return data if len(data) <= limit else shorten(data, limit)


def written(value: Any, limit: int = MAX_BYTES) -> bytes:
    """Write a value that `read_json` gave, as JSON of at most `limit` bytes."""
    made = orjson.dumps(value)
    return made if len(made) <= limit else shorten(made, limit)


def moment(value: Any) -> int | None:
    """Read a time; microseconds since 1970. Times without a zone are UTC.

    Raises:
        BadPart: it is none.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, int | float):
            found = int(value * (1000 if value > _SECONDS else 1_000_000))
        else:
            read = datetime.fromisoformat(str(value).strip())
            read = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
            found = (read - _EPOCH) // _MICROSECOND
        _EPOCH + found * _MICROSECOND  # a year that no calendar has
    except (ValueError, OverflowError):
        raise BadPart(f"no time: {str(value)[:100]!r}") from None
    return found


def shown(microseconds: int | None) -> str | None:
    """Write a time as LangSmith does."""
    return None if microseconds is None else as_json.moment(microseconds).isoformat()


def identity(value: Any, what: str = "id") -> UUID:
    """Read an id.

    Raises:
        BadPart: it is none.
    """
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise BadPart(f"{what} {str(value)[:100]!r} is no UUID") from None


def optional(value: Any, what: str) -> UUID | None:
    """Read an id that may be missing.

    Raises:
        BadPart: there is something, and it is no id.
    """
    return None if value is None or value == "" else identity(value, what)


def words(value: Any, most: int = 1000) -> str | None:
    """Read a short text; whatever else stands there is written as one."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[:most]}… <{len(text)} characters>"


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Check that a value is an object; nothing counts as an empty one.

    Raises:
        BadPart: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadPart(f"{what} is no JSON object")
    return value


def _read(data: bytes) -> tuple[Any, bool]:
    """Read JSON; tell whether its bytes can be stored as they are."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as first:
        try:
            return plain(json.loads(data)), False
        except (ValueError, RecursionError):
            raise BadPart(f"no JSON: {first}") from None
    return (plain(value), False) if _deep(data, value) else (value, True)


def _deep(data: bytes, value: Any) -> bool:
    """Tell whether JSON is nested deeper than what is written and read elsewhere."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
