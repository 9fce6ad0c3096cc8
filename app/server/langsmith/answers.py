"""Answers in JSON, made and written in a thread: they may be large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.responses import Response

from groundling.server.langsmith.service import Service


async def json_answer(held: Service, make: Callable[[], Any], status: int = 200) -> Response:
    """Answer with what a function returns."""
    body = await held.work(lambda: orjson.dumps(make()))
    return Response(body, status, media_type="application/json")
