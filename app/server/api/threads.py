"""Conversations: titles to choose from, words to find them by, and copies to take away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from groundling.memory.thread import short
from groundling.server.api.endpoint import Answer, Query, endpoint
from groundling.server.api.transcript import Transcript, said, text_of
from groundling.server.person import person_of
from groundling.server.problems import not_found
from groundling.server.services import services
from groundling.server.sse import as_json

TAG = "Threads"
_TITLE = 80  # characters
_PART = 100  # threads looked at together
_MOST_SEARCHED = 5000
_STATES = 1000
_LONGEST_ID = 128
_UNFIT = re.compile(r"[^\w.-]+", re.ASCII)
_TITLES = ("title", "name", "thread_name")


class ThreadRow(Answer):
    """A conversation; `turns` are questions asked.

    `title` is its metadata's `title` or `name`, else the beginning of the first question.
    """

    id: str
    title: str
    turns: int
    created: str | None
    used: str | None
    graph: str | None
    status: str
    metadata: dict[str, JsonValue]


class ThreadList(Answer):
    """Conversations, the one used last first; `more` of them follow."""

    threads: list[ThreadRow]
    more: bool


class Wanted(Query):
    """Which conversations."""

    text: str | None = Field(None, max_length=500, description="stands in the title or was said")
    graph: str | None = Field(None, max_length=200)
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=10_000_000)


class Form(Query):
    """Which form."""

    format: Literal["markdown", "json"] = "markdown"


@endpoint("GET", "/api/threads", tag=TAG)
async def threads(request: Request, query: Wanted) -> ThreadList:
    """List your conversations, or those in which something was said.

    Of very many conversations the 5,000 used last are looked through.
    """
    held, person = services(request), person_of(request)
    words = [word.casefold() for word in (query.text or "").split()]
    metadata = {"graph_id": query.graph} if query.graph else None
    found: list[ThreadRow] = []
    passed, start = 0, 0 if words else query.offset
    while start < _MOST_SEARCHED or not words:
        part = await held.runs.threads.search(
            person,
            metadata=metadata,
            limit=_PART,
            offset=start,
            sort_by="updated_at",
            sort_order="desc",
        )
        for row, text in await held.work(_rows, part):
            if all(word in text for word in words):
                passed += 1
                if not words or passed > query.offset:
                    found.append(row)
        start += _PART
        if len(part) < _PART or len(found) > query.limit:
            break
    return ThreadList(threads=found[: query.limit], more=len(found) > query.limit)


@endpoint("GET", "/api/threads/{thread}/export", tag=TAG, missing=True, media="text/markdown")
async def export(request: Request, query: Form) -> Response:
    """Download a conversation with its citations: to be read, or as JSON."""
    held, person, id = services(request), person_of(request), request.path_params["thread"]
    if len(id) > _LONGEST_ID or not id.isprintable():
        raise not_found("such thread")
    thread = await held.runs.threads.get(id, person)
    states = await held.runs.threads.history(id, person, limit=_STATES)

    def write() -> tuple[bytes, str, str]:
        row, _ = _row({**thread, "values": states[0]["values"] if states else {}})
        written = Transcript(row.title, row.used, states)
        if query.format == "json":
            whole = {**row.model_dump(mode="json"), "messages": written.messages()}
            return as_json(whole), "application/json", "json"
        return written.markdown().encode(), "text/markdown", "md"

    body, media, suffix = await held.work(write)
    name = _UNFIT.sub("-", id).strip("-.") or "thread"
    disposition = f'attachment; filename="{name}.{suffix}"'
    return Response(body, media_type=media, headers={"Content-Disposition": disposition})


def _rows(part: Sequence[Mapping[str, Any]]) -> list[tuple[ThreadRow, str]]:
    return [_row(each) for each in part]


def _row(thread: Mapping[str, Any]) -> tuple[ThreadRow, str]:
    """Return what is told of a thread, and the text that it is found by."""
    metadata = thread.get("metadata") or {}
    messages = said(thread.get("values"))
    asked = [text_of(each) for each in messages if each.get("type") == "human"]
    named = next((str(metadata[key]) for key in _TITLES if metadata.get(key)), "")
    title = short(named or (asked[0] if asked else ""), _TITLE)
    graph = metadata.get("graph_id")
    row = ThreadRow(
        id=str(thread["thread_id"]),
        title=title,
        turns=len(asked),
        created=_time(thread.get("created_at")),
        used=_time(thread.get("state_updated_at") or thread.get("updated_at")),
        graph=graph if isinstance(graph, str) else None,
        status=str(thread.get("status") or "idle"),
        metadata=dict(metadata),
    )
    text = "\n".join([named, *(text_of(each) for each in messages)])
    return row, text.casefold()


def _time(value: Any) -> str | None:
    return None if value is None else str(value)


ENDPOINTS = [threads, export]
