"""What stands behind the question mark of an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request

from groundling.server.langsmith.errors import BadPart, wrong
from groundling.server.langsmith.wire import identity, mapping, read_json

MOST = 1000  # things that one answer lists
USUAL = 100


def page(request: Request, usual: int = USUAL) -> tuple[int, int]:
    """Return how many things are wanted, and after how many.

    Raises:
        HTTPException: 422, they are no counts.
    """
    return min(number(request, "limit", usual), MOST), number(request, "offset", 0)


def number(request: Request, name: str, usual: int) -> int:
    """Return a count.

    Raises:
        HTTPException: 422, it is none.
    """
    given = request.query_params.get(name)
    if given is None:
        return usual
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise wrong(f"{name} should be a count, not {given[:50]!r}.")
    return int(given)


def flag(request: Request, name: str) -> bool | None:
    """Return whether something is wanted; None if nothing is said."""
    given = request.query_params.get(name)
    return None if given is None else given.lower() in ("true", "1")


def uuids(request: Request, name: str) -> list[UUID]:
    """Return the ids that are given under a name, which may stand there several times.

    Raises:
        BadPart: one is no id.
    """
    return [identity(each, name) for each in request.query_params.getlist(name) if each]


def object_of(request: Request, name: str) -> Mapping[str, Any]:
    """Return a JSON object; empty where none is given.

    Raises:
        BadPart: it is none.
    """
    given = request.query_params.get(name)
    try:
        return mapping(read_json(given.encode()), name) if given else {}
    except BadPart as error:
        raise BadPart(f"{name} is {error}") from error
