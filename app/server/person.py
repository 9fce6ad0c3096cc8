"""Who asks: what every route knows of the one who sent a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, cast

from starlette.requests import HTTPConnection


class Role(StrEnum):
    """What a person may do; each may also do what the one before it may.

    A reader asks graphs and has threads, memories and feedback of their own. A member also
    has knowledge bases, assistants, data sets. An admin also has users, the audit log, the
    machine's settings and the LangSmith-compatible interface, which shows all traces.
    """

    READER = "reader"
    MEMBER = "member"
    ADMIN = "admin"

    def covers(self, wanted: Role) -> bool:
        """Tell whether this role may do what another one may."""
        order = list(Role)
        return order.index(self) >= order.index(wanted)


@dataclass(frozen=True)
class Person:
    """The one who asks.

    Args:
        id: their name; what they own is kept under it.
        role: what they may do.
        via: how they said who they are; `local` where the server knows no users and serves
            this machine alone.
    """

    id: str
    role: Role
    via: Literal["local", "key", "session"] = "local"


def person_of(request: HTTPConnection) -> Person:
    """Return who sent a request; the middleware has found out."""
    return cast("Person", request.scope["state"]["person"])
