"""Which role a request takes: one table for all interfaces, so that no route can forget it.

The first line that fits decides. What no line names takes a reader to look at and a member to
change. What is whose is another matter: the table lets a reader delete threads, and the store
of threads sees to it that they are their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from groundling.server.person import Role

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ANY = None
_READ = SAFE
_CHANGE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Right:
    """A line of the table.

    Args:
        methods: of HTTP; None: all.
        path: fits the whole path; a slash may follow.
        role: what it takes; None: nobody need say who they are.
    """

    methods: frozenset[str] | None
    path: re.Pattern[str]
    role: Role | None


def _line(methods: frozenset[str] | None, path: str, role: Role | None) -> Right:
    return Right(methods, re.compile(rf"(?:{path})/?", re.DOTALL), role)


TABLE: tuple[Right, ...] = (
    # What a browser needs before anybody has logged in; it shows nothing of anybody's.
    _line(_READ, r"|/favicon\.ico|/page(/.*)?", None),
    _line(frozenset({"GET", "HEAD", "POST"}), r"/api/session", None),
    # Clients fetch attachments by addresses that are signed, and send no key.
    _line(frozenset({"GET", "HEAD", "PUT"}), r"/langsmith(/api)?(/v1)?/attachments/.*", None),
    _line(_ANY, r"/langsmith(/.*)?", Role.ADMIN),
    _line(_ANY, r"/metrics", Role.ADMIN),
    # LangGraph's
    _line(frozenset({"POST"}), r"/assistants/(search|count)", Role.READER),
    _line(frozenset({"POST"}), r"/assistants/[^/]+/versions", Role.READER),
    _line(_CHANGE, r"/assistants(/.*)?", Role.MEMBER),
    _line(_ANY, r"/(threads|runs|store)(/.*)?", Role.READER),
    # OpenAI's, MCP's
    _line(_ANY, r"/v1(/.*)?", Role.READER),
    _line(_ANY, r"/mcp(/.*)?", Role.READER),
    # Groundling's own
    _line(_ANY, r"/api/session", Role.READER),
    _line(_ANY, r"/api/users/[^/]+/keys(/[^/]+)?", Role.READER),  # one's own; see the route
    _line(_ANY, r"/api/(users|audit|settings)(/.*)?", Role.ADMIN),
    _line(_ANY, r"/api/(memories|traces|feedback|threads)(/.*)?", Role.READER),
    _line(frozenset({"POST"}), r"/api/knowledge/.+/search", Role.READER),
    _line(_CHANGE, r"/api/(knowledge|jobs|datasets|experiments)(/.*)?", Role.MEMBER),
)


def role_for(method: str, path: str) -> Role | None:
    """Return the role that a request takes; None: it is open to all."""
    for right in TABLE:
        if (right.methods is None or method in right.methods) and right.path.fullmatch(path):
            return right.role
    return Role.READER if method in SAFE else Role.MEMBER
