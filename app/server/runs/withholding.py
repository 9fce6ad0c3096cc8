"""Nobody reads an answer before the guard has: what a guarded graph tells is held back.

A graph that has the node `guard_output` writes its answer some steps before it. Until that node
has read it, a state with a new answer, an update that brings one, and all that follows are
held; when the node lets the answer through, they are told as they are, and when it replaces
the answer, without the texts of the nodes between. The model's pieces go through
`GuardedStream`, which clears them while they are written. A run that ends where the guard has
nothing to read, as a refusal does, tells what is held at its end.

Events of the mode `events` come without their data, and inputs and results of tasks without
theirs while an answer is unread.

This knows nothing of where an answer is written: a message of the model's that was not there
when the run began, and a new value of `answer`, are one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage

from groundling.guardrails.guard import Guard
from groundling.guardrails.windows import GuardedStream

GUARD = "guard_output"
INTERRUPT = "__interrupt__"
Told = tuple[tuple[str, ...], str, Any]
_FIRST = "on_chain_start"


def is_answer(message: object) -> bool:
    """Tell whether a message is one that the model answers with."""
    return isinstance(message, AIMessage) and not message.tool_calls and bool(message.text)


class Known:
    """The answers of a thread that were there before a run.

    Args:
        values: the state it began with.
        waiting: whether the last answer of it still waits for the guard.
    """

    def __init__(self, values: Mapping[str, Any], *, waiting: bool = False) -> None:
        answers = [one for one in _messages(values) if is_answer(one)]
        self._ids = {one.id for one in (answers[:-1] if waiting else answers)}
        self._answer = None if waiting else values.get("answer")

    def has_new(self, values: Mapping[str, Any]) -> bool:
        """Tell whether a state, or an update of it, has an answer that was not there before."""
        answer = values.get("answer")
        if answer and answer != self._answer:
            return True
        return any(is_answer(one) and one.id not in self._ids for one in _messages(values))

    def without_new(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state without the new answer, and without what was made of it."""
        if not self.has_new(values):
            return dict(values)
        kept = {key: value for key, value in values.items() if key not in ("answer", *_MADE_OF_IT)}
        if "messages" in values:
            kept["messages"] = [
                one for one in _messages(values) if not is_answer(one) or one.id in self._ids
            ]
        if self._answer:
            kept["answer"] = self._answer
        return kept


_MADE_OF_IT = ("citations", "claims", "closest", "retrieved", "verdict")


class Withholding:
    """Stands between a guarded graph and what is told of its run.

    Args:
        guard: reads the answer while it is written.
        known: what had been answered before; None: the first state tells.
    """

    def __init__(self, guard: Guard, known: Known | None = None) -> None:
        self._guard = guard
        self.known = known
        self.unread = True  # the guard has not read an answer of this run
        self._clean: dict[str, Any] = {}
        self._held: list[Told] = []
        self._question = ""
        self._streams: dict[str, tuple[GuardedStream, AIMessageChunk, Any]] = {}

    @property
    def holds(self) -> bool:
        """Whether an answer is there that the guard has not read."""
        return bool(self._held)

    async def pass_on(
        self, namespace: tuple[str, ...], mode: str, data: Any
    ) -> AsyncIterator[Told]:
        """Yield what may be told when the graph has streamed something."""
        if mode == "messages":
            async for told in self._message(namespace, data):
                yield told
            return
        if mode == "tasks" and "input" not in data:
            async for told in self._rest():
                yield told
        if not self.unread or mode == "custom":
            yield namespace, mode, data
        elif mode == "values":
            for told in self._values(namespace, data):
                yield told
        elif mode == "updates":
            for told in self._updates(namespace, data):
                yield told
        else:
            yield namespace, mode, self._bare(mode, data) if self._is_new(mode, data) else data

    def finish(self, *, ended: bool) -> list[Told]:
        """Return what is told at the end of the run.

        Args:
            ended: the graph has come to its end; else what is held stays untold.
        """
        held, self._held = self._held, []
        if not ended:
            return []
        values = [one for one in held if one[1] == "values"][-1:]
        return [one for one in held if one[1] != "values"] + values

    @staticmethod
    def event(event: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event of LangChain's without its data; the run's own input stays."""
        root = event["event"] == _FIRST and not event.get("parent_ids")
        return {**event, "data": event["data"] if root else {}}

    def _values(self, namespace: tuple[str, ...], values: Any) -> list[Told]:
        if not isinstance(values, Mapping):
            return [(namespace, "values", values)]
        if self.known is None:
            self.known = Known(values)
        self._question = _question(values) or self._question
        new = self.known.has_new(values)
        if new and INTERRUPT in values:  # a person is asked about what they may not read yet
            asked = {**self.known.without_new(values), INTERRUPT: values[INTERRUPT]}
            return [(namespace, "values", asked)]
        if new or self._held:
            self._held.append((namespace, "values", values))
            return []
        return [(namespace, "values", values)]

    def _updates(self, namespace: tuple[str, ...], updates: Any) -> list[Told]:
        if GUARD in updates:
            return self._read(namespace, updates)
        if INTERRUPT in updates:
            return [(namespace, "updates", updates)]
        known = self.known or Known({})
        new = any(
            isinstance(update, Mapping) and known.has_new(update) for update in updates.values()
        )
        if new or self._held:
            self._held.append((namespace, "updates", updates))
            return []
        return [(namespace, "updates", updates)]

    def _read(self, namespace: tuple[str, ...], updates: Any) -> list[Told]:
        """Tell what was held: the guard has read the answer."""
        self.unread = False
        held, self._held = self._held, []
        changed = bool(updates[GUARD]) and "answer" in updates[GUARD]
        told = [one for one in held if one[1] == "updates"]
        if changed:
            told = [(at, mode, self._bare(mode, data)) for at, mode, data in told]
        return [*told, (namespace, "updates", updates)]

    def _is_new(self, mode: str, data: Any) -> bool:
        """Tell whether tasks, checkpoints or debugging data have an unread answer."""
        if self._held:
            return True
        payload = data.get("payload", data) if isinstance(data, Mapping) else {}
        known = self.known or Known({})
        return any(
            isinstance(part, Mapping) and known.has_new(part)
            for part in (payload.get("input"), payload.get("result"), payload.get("values"))
        )

    def _bare(self, mode: str, data: Any) -> Any:
        if mode == "updates":
            return {node: _numbers(update) for node, update in data.items()}
        if "payload" in data:
            return {**data, "payload": self._bare(mode, data["payload"])}
        empty: dict[str, Any] = {key: {} for key in ("input", "result", "values") if key in data}
        bare = {**data, **empty}
        if "tasks" in data:
            bare["tasks"] = [
                {key: value for key, value in task.items() if key != "result"}
                for task in data["tasks"]
            ]
        return bare

    # The model's pieces

    async def _message(
        self, namespace: tuple[str, ...], data: tuple[BaseMessage, Any]
    ) -> AsyncIterator[Told]:
        message, about = data
        if not isinstance(message, AIMessage) or not self.unread:
            yield namespace, "messages", data
            return
        if not isinstance(message, AIMessageChunk):
            if (text := await self._cleared(message.text)) or message.tool_calls:
                told = message.model_copy(update={"content": text}) if message.text else message
                yield namespace, "messages", (told, about)
            return
        id = message.id or ""
        if id not in self._streams:
            stream = GuardedStream(self._guard, question=self._question)
        else:
            stream = self._streams[id][0]
        self._streams[id] = (stream, message, (namespace, about))
        text = await stream.feed(message.text)
        last = message.chunk_position == "last"
        if last:
            text += await stream.finish()
            del self._streams[id]
        if text or last or message.tool_call_chunks:
            yield namespace, "messages", (message.model_copy(update={"content": text}), about)

    async def _rest(self) -> AsyncIterator[Told]:
        """Yield the rest of messages whose last piece did not say that it was the last."""
        streams, self._streams = self._streams, {}
        for stream, piece, (namespace, about) in streams.values():
            if text := await stream.finish():
                told = AIMessageChunk(content=text, id=piece.id)
                yield namespace, "messages", (told, about)

    async def _cleared(self, text: str) -> str:
        if not text:
            return ""
        stream = GuardedStream(self._guard, question=self._question)
        return await stream.feed(text) + await stream.finish()


def _messages(values: Mapping[str, Any]) -> list[Any]:
    found = values.get("messages") or []
    return found if isinstance(found, list) else [found]


def _question(values: Mapping[str, Any]) -> str:
    if question := values.get("question"):
        return str(question)
    said = [one for one in _messages(values) if isinstance(one, HumanMessage)]
    return said[-1].text if said else ""


def _numbers(update: Any) -> Any:
    """Keep of an update what no text can be in."""
    if not isinstance(update, Mapping):
        return {}
    return {
        key: value
        for key, value in update.items()
        if value is None
        or isinstance(value, (bool, int, float))
        or (isinstance(value, list) and all(isinstance(each, int) for each in value))
    }
