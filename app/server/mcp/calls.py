"""Calls of tools: a search, or a run of a graph whose steps are progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import mcp_types as types
from pydantic import ValidationError

from groundling.models.prompts import language_of
from groundling.server.graphs import Wishes
from groundling.server.mcp.documents import UNREAD, bases_of, from_each
from groundling.server.mcp.tools import Arguments, Documented, Question, Search, Tool
from groundling.server.openai.bodies import path
from groundling.server.openai.footnotes import footnotes
from groundling.server.openai.graph_answers import final_text
from groundling.server.openai.graph_runs import MODES, moments
from groundling.server.openai.names import folder_of
from groundling.server.openai.streams import together
from groundling.server.person import Person
from groundling.server.problems import Problem
from groundling.server.runs.request import RunRequest

if TYPE_CHECKING:
    from groundling.server.services import Services

Json = dict[str, Any]
Progress = Callable[[int, str], Awaitable[None]]
_BESIDE = ("knowledge", "strict", "history")  # no part of what a graph takes


def arguments_of(tool: Tool, given: Mapping[str, Any] | None) -> Arguments:
    """Read the arguments of a call.

    Raises:
        Problem: 400; it names the argument.
    """
    try:
        return tool.takes.model_validate(dict(given or {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = path(*first["loc"])
        takes = ", ".join(tool.takes.model_fields)
        raise Problem(
            400, f"{where}: {first['msg']}.", hint=f"{tool.name} takes {takes}."
        ) from None


async def call(
    held: Services, person: Person, tool: Tool, given: Mapping[str, Any] | None, tell: Progress
) -> types.CallToolResult:
    """Call a tool; cancelling it ends the run within a token.

    Args:
        held: of the server.
        person: who calls.
        tool: which.
        given: its arguments.
        tell: is told of each step.

    Raises:
        Problem: the arguments are wrong, or it failed.
    """
    arguments = arguments_of(tool, given)
    if isinstance(arguments, Search):
        return await held.work(_search, held, person, arguments)
    return await _run(held, person, tool, arguments, tell)


async def _run(
    held: Services, person: Person, tool: Tool, arguments: Arguments, tell: Progress
) -> types.CallToolResult:
    named: str | None = getattr(arguments, "knowledge", None)
    folder = None
    if tool.reads_documents:
        folder = await held.work(folder_of, held, person, named, tool.name == "rag")
    strict = arguments.strict if isinstance(arguments, Documented) else None
    request = RunRequest(
        person=person,
        graph=tool.name,
        input=_input(arguments),
        run_id=uuid4(),
        wishes=Wishes(knowledge=folder, strict=strict),
        stream_mode=MODES,
        on_disconnect="cancel",
        origin="mcp",
    )
    values: Mapping[str, Any] = {}
    steps = 0
    # A task of its own reads the run: it is closed in order also where this call is cancelled.
    async with aclosing(together([moments(held, request)])) as run:
        async for one in run:
            if one is None:
                continue
            moment = one[1]
            values = values if moment.values is None else moment.values
            if moment.step is not None:
                steps += 1
                await tell(steps, moment.step)
    return _result(tool, arguments, values, str(request.run_id))


def _input(arguments: Arguments) -> Json:
    """Return what the graph takes."""
    given = arguments.model_dump(exclude_none=True, exclude=set(_BESIDE))
    if isinstance(arguments, Question):
        said = [turn.model_dump() for turn in arguments.history]
        return {"messages": [*said, {"role": "user", "content": given["question"]}]}
    return given


def _result(
    tool: Tool, arguments: Arguments, values: Mapping[str, Any], run_id: str
) -> types.CallToolResult:
    question = str(getattr(arguments, "question", None) or getattr(arguments, "text", ""))
    text = final_text(values, question)
    told = {name: values[name] for name in tool.gives if values.get(name) is not None}
    if interrupts := values.get("__interrupt__"):
        told["waiting"] = interrupts
    shown = text + footnotes(told, language_of(question))
    if tool.name == "guard" and not text:
        shown = str(values.get("notice") or "")
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=shown)],
        structured_content={"answer": text, "run_id": run_id, **told},
    )


def _search(held: Services, person: Person, wanted: Search) -> types.CallToolResult:
    """Search the named knowledge base, or all that the person may read; blocks.

    Raises:
        KnowledgeError: none of them can be read.
    """
    bases = bases_of(held, person)
    if wanted.knowledge is not None:
        bases = {wanted.knowledge: held.people.knowledge(person, wanted.knowledge)}
    found, unread = from_each(held, bases, lambda base: base.search(wanted.query, k=wanted.k))
    found.sort(key=lambda one: -one[1].score)
    passages = [
        {
            "knowledge": name,
            "document": passage.document_id,
            "source": passage.source,
            "heading": passage.heading,
            "page": passage.page,
            "start": passage.start,
            "end": passage.end,
            "text": passage.text,
            "score": round(passage.score, 6),
        }
        for name, passage in found[: wanted.k]
    ]
    texts = [
        f"[{number}] {one['source']}, characters {one['start']}–{one['end']} "
        f"({one['knowledge']})\n{str(one['text']).strip()}"
        for number, one in enumerate(passages, start=1)
    ] or ["Nothing was found."]
    texts += [f"Not searched: {name}. {reason}" for name, reason in unread.items()]
    return types.CallToolResult(
        content=[types.TextContent(type="text", text="\n\n".join(texts))],
        structured_content={"passages": passages} | ({UNREAD: unread} if unread else {}),
    )
