"""Bodies of JSON, for all interfaces: bounded in depth, and read in a thread where they are large.

How long and how slow one may be is seen to before; see `groundling.server.people.body`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.requests import Request

from groundling.server.problems import Problem

DEEPEST = 100  # levels of a body; what is written may be a few deeper, and 254 is orjson's end
_LARGE = 262_144  # bytes that are worth a thread


async def read_json(request: Request) -> Any:
    """Read a body; an empty one is an empty object.

    Raises:
        Problem: 422, it is no JSON, or nested too deeply.
    """
    raw = await request.body()
    return await asyncio.to_thread(_parsed, raw) if len(raw) > _LARGE else _parsed(raw)


def _parsed(raw: bytes) -> Any:
    if not raw.strip():
        return {}
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(422, f"The body is no JSON: {error}.") from None
    if _is_deep(data):
        raise Problem(422, f"The body is nested more than {DEEPEST} levels deep.")
    return data


def _is_deep(data: Any) -> bool:
    level = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
