"""Documents as resources: `groundling://knowledge/NAME/documents/ID`, read as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import mcp_types as types

from groundling.errors import KnowledgeError
from groundling.server.person import Person
from groundling.server.problems import Problem, not_found

if TYPE_CHECKING:
    from groundling.server.services import Services

PAGE = 200  # documents in one answer
_URI = re.compile(r"groundling://knowledge/([^/]+)/documents/(\d{1,18})")
TEMPLATE = types.ResourceTemplate(
    uri_template="groundling://knowledge/{knowledge}/documents/{document}",
    name="document",
    title="A document",
    description="The text of a document, as passages and citations count its characters.",
    mime_type="text/plain",
)


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
    every = [
        types.Resource(
            uri=f"groundling://knowledge/{quote(base.name, safe='')}/documents/{document.id}",
            name=document.source,
            title=document.title or None,
            description=f"{document.characters} characters, in the knowledge base {base.name}",
            mime_type="text/plain",
        )
        for base in held.people.knowledge_shown(person)
        for document in held.graphs.knowledge(base.folder).documents()
    ]
    more = str(start + PAGE) if len(every) > start + PAGE else None
    return types.ListResourcesResult(resources=every[start : start + PAGE], next_cursor=more)


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
