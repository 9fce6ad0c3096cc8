"""A conversation as a text to keep: what was said, by whom, and where it stands.

A thread's state has the citations of its last answer; those of earlier ones are in the states
that were kept after each turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_NAMES = {"human": "You", "ai": "Answer", "tool": "Tool", "system": "System"}
_PROOFS = ("citations", "verdict", "claims", "notices")
_LONGEST = 2000  # characters of a tool's result


def said(values: Any) -> list[Mapping[str, Any]]:
    """Return the messages of a state's values, as LangGraph's JSON has them."""
    found = values.get("messages") if isinstance(values, Mapping) else None
    return [each for each in found or [] if isinstance(each, Mapping)]


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message; of one in parts, that of its parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part if isinstance(part, str) else str(part.get("text") or "")
        for part in parts
        if isinstance(part, (str, Mapping))
    )


class Transcript:
    """What was said in a thread.

    Args:
        title: of the conversation.
        used: when it was last used.
        states: of the thread, the newest first, as `/threads/ID/history` gives them.
    """

    def __init__(self, title: str, used: str | None, states: Sequence[Mapping[str, Any]]) -> None:
        self._title = title
        self._used = used
        self._messages = said(states[0]["values"]) if states else []
        self._proofs = dict(_proofs(states))

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages, each answer with its citations and verdict."""
        return [
            {
                "role": message.get("type"),
                "text": text_of(message),
                **({"tool_calls": calls} if (calls := message.get("tool_calls")) else {}),
                **self._proofs.get(str(message.get("id")), {}),
            }
            for message in self._messages
        ]

    def markdown(self) -> str:
        """Write the conversation, the sources of each answer below it."""
        lines = [f"# {_line(self._title) or 'Conversation'}", ""]
        if self._used:
            lines += [f"Last used: {self._used}", ""]
        for message in self.messages():
            role, text = str(message["role"]), message["text"]
            if role == "tool":
                text = _fenced(text[:_LONGEST])
            if not text and not message.get("tool_calls"):
                continue
            lines += [f"## {_NAMES.get(role, role)}", ""]
            if text:
                lines += [text, ""]
            for call in message.get("tool_calls") or ():
                lines += [f"Called `{call.get('name')}`.", ""]
            lines += list(_sources(message))
        return "\n".join(lines)


def _proofs(states: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id of each answer with what proves it; what was known last of it is last."""
    for state in reversed(states):
        values = state.get("values")
        messages = said(values)
        if not messages or messages[-1].get("type") != "ai" or not isinstance(values, Mapping):
            continue
        proof = {name: values[name] for name in _PROOFS if values.get(name)}
        yield str(messages[-1].get("id")), proof


def _sources(message: Mapping[str, Any]) -> Iterator[str]:
    citations = message.get("citations") or ()
    for citation in citations:
        page = f", page {citation['page']}" if citation.get("page") else ""
        span = f"characters {citation.get('start')}–{citation.get('end')}"
        quote = _line(str(citation.get("quote") or ""))
        yield f"> [{citation.get('number')}] {_line(str(citation.get('source')))}{page}, {span}:"
        yield f"> “{quote}”"
        yield ">"
    if citations:
        yield ""
    for claim in message.get("claims") or ():
        if claim.get("verdict"):
            yield f"- {_line(str(claim.get('text') or ''))}: {claim['verdict']}"
    for notice in message.get("notices") or ():
        yield f"*{_line(str(notice))}*"
    if message.get("verdict"):
        yield f"Verdict: {message['verdict']}"
    if citations or message.get("verdict"):
        yield ""


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _line(text: str) -> str:
    return " ".join(text.split())
