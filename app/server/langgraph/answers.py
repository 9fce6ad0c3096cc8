"""What answers have in common: JSON, pages of lists, chosen fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from groundling.server.sse import as_json

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(-?\d{1,9}|\*)\]")


def answer(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(as_json(value), media_type="application/json", headers=headers)


def nothing() -> Response:
    """Answer that it is done, and no more."""
    return Response(status_code=204)


def page(rows: Sequence[Any], limit: int, offset: int) -> tuple[Sequence[Any], dict[str, str]]:
    """Cut a page out of rows of which one more was asked for than it has.

    Returns:
        The page, and the headers that tell whether there is another. As on LangGraph's own
        server `X-Pagination-Total` counts what is known of: the rows up to and with the next.
    """
    headers = {"X-Pagination-Total": str(offset + len(rows))}
    if len(rows) > limit:
        headers["X-Pagination-Next"] = str(offset + limit)
    return rows[:limit], headers


def chosen(row: Mapping[str, Any], select: Iterable[str] | None) -> dict[str, Any]:
    """Keep the fields that a client wants; `values.messages` keeps that key of `values`."""
    if not select:
        return dict(row)
    kept: dict[str, Any] = {}
    for name in select:
        head, _, key = name.partition(".")
        if head not in row:
            continue
        inner = row[head]
        if key and isinstance(inner, Mapping):
            part = kept.setdefault(head, {})
            if key in inner:
                part[key] = inner[key]
        else:
            kept[head] = inner
    return kept


def extracted(row: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Take values out of a row by paths such as `values.messages[-1].content`.

    What a path does not find is None; `[*]` takes all entries of a list.
    """
    return {alias: _at(row, _STEP.findall(path)) for alias, path in paths.items()}


def _at(value: Any, steps: Sequence[tuple[str, str]]) -> Any:
    for n, (name, place) in enumerate(steps):
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        elif not isinstance(value, list):
            return None
        elif place == "*":
            return [_at(each, steps[n + 1 :]) for each in value]
        else:
            at = int(place)
            value = value[at] if -len(value) <= at < len(value) else None
    return value
