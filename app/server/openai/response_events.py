"""A response as it is written: OpenAI's events, and the object that they add up to."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from groundling.server.openai.pieces import CallPiece, End, Piece
from groundling.server.problems import Problem

Json = dict[str, Any]
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Writing:
    """Turns pieces into events; `response` is the object so far.

    Args:
        response: what is known before anything is written.
    """

    def __init__(self, response: Json) -> None:
        self.response: Json = {**response, "status": "in_progress", "output": [], "usage": None}
        self._number = 0
        self._open: Json | None = None
        self._calls: dict[int, Json] = {}
        self._logprobs: list[Json] = []

    def begin(self) -> Iterator[Json]:
        """Yield the events that come before anything is written."""
        yield self._event("response.created", response=self._copy())
        yield self._event("response.in_progress", response=self._copy())

    def add(self, piece: Piece) -> Iterator[Json]:
        """Yield the events of a piece."""
        if piece.step is not None and not self.response["output"]:
            step = {"step": piece.step}
            yield self._event("response.in_progress", response=self._copy(), groundling=step)
        if piece.reasoning:
            yield from self._thought(piece.reasoning)
        if piece.text:
            yield from self._text(piece)
        else:
            self._logprobs += piece.logprobs
        for call in piece.calls:
            yield from self._call(call)
        if piece.end is not None:
            yield from self._finish(piece.end)

    def fail(self, problem: Problem) -> Iterator[Json]:
        """Yield the events of an answer that cannot go on."""
        code = "rate_limit_exceeded" if problem.status == 429 else "server_error"
        self.response |= {
            "status": "failed",
            "error": {"code": code, "message": problem.message},
        }
        yield self._event("response.failed", response=self._copy())

    # The parts of the output

    def _thought(self, text: str) -> Iterator[Json]:
        item = self._open
        if item is None or item["type"] != "reasoning":
            item = {"type": "reasoning", "id": _id("rs"), "summary": [], "content": []}
            yield from self._added(item)
            yield from self._part_added(item, {"type": "reasoning_text", "text": ""})
        item["content"][0]["text"] += text
        yield self._at(item, "response.reasoning_text.delta", content_index=0, delta=text)

    def _text(self, piece: Piece) -> Iterator[Json]:
        item = self._open
        if item is None or item["type"] != "message":
            item = {"type": "message", "id": _id("msg"), "role": "assistant", "content": []}
            yield from self._added(item)
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield from self._part_added(item, part)
        logprobs = [*self._logprobs, *piece.logprobs]
        self._logprobs = []
        item["content"][0]["text"] += piece.text
        item["content"][0]["logprobs"] += logprobs
        yield self._at(
            item,
            "response.output_text.delta",
            content_index=0,
            delta=piece.text,
            logprobs=logprobs,
        )

    def _call(self, piece: CallPiece) -> Iterator[Json]:
        item = self._calls.get(piece.index)
        if item is None:
            item = self._calls[piece.index] = {
                "type": "function_call",
                "id": _id("fc"),
                "call_id": piece.id,
                "name": piece.name,
                "arguments": "",
            }
            yield from self._added(item)
        if piece.arguments:
            item["arguments"] += piece.arguments
            event = "response.function_call_arguments.delta"
            yield self._at(item, event, delta=piece.arguments)

    def _finish(self, end: End) -> Iterator[Json]:
        if not self.response["output"]:  # an answer without a word is an answer, too
            yield from self._text(Piece(text=""))
        reason = _INCOMPLETE.get(end.reason)
        self._annotate(end.beside)
        yield from self._done("incomplete" if end.reason == "length" else "completed")
        self.response |= {
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "groundling": end.beside,
            "usage": {
                "input_tokens": end.usage.prompt,
                "input_tokens_details": {
                    "cached_tokens": end.usage.cached,
                    "cache_write_tokens": 0,
                },
                "output_tokens": end.usage.written,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": end.usage.prompt + end.usage.written,
            },
        }
        event = "response.incomplete" if reason else "response.completed"
        yield self._event(event, response=self._copy())

    # What surrounds them

    def _annotate(self, beside: Mapping[str, Any]) -> None:
        """Put the citations into the message, as places of files."""
        item = self._open
        if item is None or item["type"] != "message":
            return
        [part] = item["content"]
        for citation in beside.get("citations") or ():
            marker = re.search(rf"\[{citation['number']}\]", part["text"])
            part["annotations"].append(
                {
                    "type": "file_citation",
                    "file_id": str(citation["document_id"]),
                    "filename": citation["source"],
                    "index": marker.start() if marker else len(part["text"]),
                }
            )

    def _added(self, item: Json) -> Iterator[Json]:
        yield from self._done("completed")
        item["status"] = "in_progress"
        self._open = item
        self.response["output"].append(item)
        shown = {**item, "content": []} if "content" in item else {**item}
        yield self._at(item, "response.output_item.added", item=shown)

    def _part_added(self, item: Json, part: Json) -> Iterator[Json]:
        item["content"].append(part)
        event = "response.content_part.added"
        yield self._at(item, event, content_index=0, part={**part})

    def _done(self, status: str) -> Iterator[Json]:
        """Yield the events that close the item which is open."""
        item, self._open = self._open, None
        if item is None:
            return
        item["status"] = status
        if item["type"] == "function_call":
            event = "response.function_call_arguments.done"
            arguments, name = item["arguments"], item["name"]
            yield self._at(item, event, arguments=arguments, name=name)
        else:
            [part] = item["content"]
            if item["type"] == "message":
                logprobs = part["logprobs"]
                event = "response.output_text.done"
                text = part["text"]
                yield self._at(item, event, content_index=0, text=text, logprobs=logprobs)
                for n, annotation in enumerate(part["annotations"]):
                    event = "response.output_text.annotation.added"
                    where = {"content_index": 0, "annotation_index": n}
                    yield self._at(item, event, **where, annotation=annotation)
            else:
                event = "response.reasoning_text.done"
                yield self._at(item, event, content_index=0, text=part["text"])
            yield self._at(item, "response.content_part.done", content_index=0, part=part)
        yield self._at(item, "response.output_item.done", item=item)

    def _at(self, item: Json, kind: str, /, **fields: Any) -> Json:
        index = next(n for n, one in enumerate(self.response["output"]) if one is item)
        if not kind.startswith("response.output_item"):
            fields["item_id"] = item["id"]
        return self._event(kind, output_index=index, **fields)

    def _event(self, kind: str, /, **fields: Any) -> Json:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event

    def _copy(self) -> Json:
        return {**self.response, "output": [*self.response["output"]]}


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
