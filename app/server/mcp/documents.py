"""Documents as resources: `groundling://knowledge/NAME/documents/ID`, read as text."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote

import mcp_types as types

from groundling.errors import KnowledgeError
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found, told_of

if TYPE_CHECKING:
    from groundling.knowledge.base import Knowledge
    from groundling.server.services import Services

T = TypeVar("T")
_LOG = logging.getLogger("groundling.server")
UNREAD = "unread"  # knowledge bases that are left out, and why
PAGE = 200  # documents in one answer
_URI = re.compile(r"groundling://knowledge/([^/]+)/documents/(\d{1,18})")
TEMPLATE = types.ResourceTemplate(
    uri_template="groundling://knowledge/{knowledge}/documents/{document}",
    name="document",
    title="A document",
    description="The text of a document, as passages and citations count its characters.",
    mime_type="text/plain",
)


def bases_of(held: Services, person: Person) -> dict[str, str]:
    """Return the folders of the knowledge bases that a person may read, by name; blocks."""
    from groundling.knowledge.base import exists

    return {
        base.name: base.folder
        for base in held.people.knowledge_shown(person)
        if exists(held.settings.knowledge_path(base.folder))
    }


def from_each(
    held: Services, bases: Mapping[str, str], read: Callable[[Knowledge], Iterable[T]]
) -> tuple[list[tuple[str, T]], dict[str, str]]:
    """Read several knowledge bases; one that is damaged keeps nobody from the others. Blocks.

    Args:
        held: of the server.
        bases: their folders, by the names that the person has for them.
        read: takes from an open one what is wanted.

    Returns:
        What was read, each with the name of its base; the bases that are left out, and why.

    Raises:
        KnowledgeError: there is none that could be read.
    """
    found: list[tuple[str, T]] = []
    unread: dict[str, str] = {}
    for name, folder in bases.items():
        try:
            found += [(name, one) for one in read(held.graphs.knowledge(folder))]
        except (KnowledgeError, sqlite3.DatabaseError) as error:
            _LOG.warning("The knowledge base %s cannot be read: %s", folder, error)
            if not isinstance(error, KnowledgeError):
                error = KnowledgeError(f"It cannot be read: {error}.")
            unread[name] = told_of(error, held.settings.home).message
            if len(unread) == len(bases):
                raise error from None
    return found, unread


def listed(held: Services, person: Person, cursor: str | None) -> types.ListResourcesResult:
    """List the documents that a person may read; blocks.

    Args:
        held: of the server.
        person: who asks.
        cursor: how many were listed before.

    Raises:
        Problem: 400; there is no such cursor.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise Problem(400, "There is no such cursor.", hint="Take the one that the answer had.")
    start = int(cursor or 0)
    found, unread = from_each(held, bases_of(held, person), lambda base: base.documents())
    every = [
        types.Resource(
            uri=f"groundling://knowledge/{quote(base, safe='')}/documents/{document.id}",
            name=document.source,
            title=document.title or None,
            description=f"{document.characters} characters, in the knowledge base {base}",
            mime_type="text/plain",
        )
        for base, document in found
    ]
    more = str(start + PAGE) if len(every) > start + PAGE else None
    return types.ListResourcesResult(
        resources=every[start : start + PAGE],
        next_cursor=more,
        _meta={f"groundling/{UNREAD}": unread} if unread else None,
    )


def text(held: Services, person: Person, uri: str) -> types.ReadResourceResult:
    """Return the text of a document; blocks.

    Raises:
        Problem: 404; there is none, or it is another person's.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise not_found("such resource")
    folder = held.people.knowledge(person, unquote(found[1]))
    try:
        written = held.graphs.knowledge(folder).text(int(found[2]))
    except KnowledgeError:
        raise not_found(f"document {found[2]}") from None
    contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=written)
    return types.ReadResourceResult(contents=[contents])
