"""Ask for a role inside a route, where the table of rights cannot tell by the path."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from groundling.server.person import Person, Role, person_of
from groundling.server.problems import Problem


def require(request: HTTPConnection, role: Role) -> Person:
    """Return who asks, if they have a role or more.

    Raises:
        Problem: 403, they have not.
    """
    person = person_of(request)
    if not person.role.covers(role):
        raise forbidden(person, role)
    return person


def forbidden(person: Person, role: Role) -> Problem:
    """Say that it takes another role; of things there are it tells nothing."""
    return Problem(
        403,
        f"{person.id} is a {person.role}; this takes {'an' if role is Role.ADMIN else 'a'} {role}.",
        hint="An admin can change it: groundling user role NAME ROLE",
    )
