"""Answers of the bare model: its text, thoughts, tool calls and probabilities as they come."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig

from groundling.errors import GroundlingError, ModelError
from groundling.server.openai.asked import SEEDS, Asked
from groundling.server.openai.bodies import wrong
from groundling.server.openai.pieces import CallPiece, End, FinishReason, Piece, Pieces, Usage
from groundling.server.person import Person
from groundling.server.problems import Problem

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.runnables import Runnable

    from groundling.server.services import Services

_IMPOSSIBLE = -9999.0
NAME = "model"  # in metrics and traces
_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def answers(
    held: Services,
    person: Person,
    asked: Asked,
    ids: Sequence[UUID],
    adapter: str | None = None,
) -> list[Pieces]:
    """Return the answers that are asked for; each waits for a place of its own.

    Compiles grammars: call it from a thread.

    Args:
        held: of the server.
        person: who asks.
        asked: what.
        ids: of the runs, one for each answer.
        adapter: as for a wish; None: as configured.

    Raises:
        Problem: 400; a schema or a setting is none that can be kept to.
        AdapterError: there is no such adapter, or it is of another base.
    """
    from groundling.models.adapter_names import together

    chat, adapters = held.graphs.chat(adapter)
    model = _bound(held, chat, asked)
    told = {"adapter": together(adapters)} if adapters else {}
    return [
        _answer(held, person, model, asked.messages, id, seed, told)
        for id, seed in zip(ids, seeds(asked), strict=True)
    ]


def _bound(held: Services, model: BaseChatModel, asked: Asked) -> Runnable[LanguageModelInput, Any]:
    """Bind to the model what all answers have in common."""
    from groundling.models.structured import grammar_of

    settings: dict[str, Any] = {**asked.sampling}
    most = settings.get("max_tokens")
    if most is not None:
        settings["max_tokens"] = min(most, held.settings.model.context)
    if asked.stop:
        settings["stop"] = list(asked.stop)
    if asked.form is not None:
        try:
            grammar_of(asked.form)
        except (ModelError, ValueError, RecursionError) as error:
            raise _unkept("response_format", error) from None
        settings["response_format"] = asked.form
    if asked.tools:
        strict = [tool["function"].get("strict") for tool in asked.tools]
        try:
            return model.bind_tools(
                asked.tools,
                tool_choice=asked.tool_choice,
                parallel_tool_calls=asked.parallel,
                strict=any(strict) or None,
                **settings,
            )
        except (ModelError, ValueError, RecursionError) as error:
            raise _unkept("tools", error) from None
    return model.bind(**settings)


def _unkept(param: str, error: Exception) -> Problem:
    said = "its schema is nested too deeply" if isinstance(error, RecursionError) else str(error)
    hint = error.hint if isinstance(error, GroundlingError) else None
    return wrong(param, said.rstrip("."), hint=hint)


def seeds(asked: Asked) -> list[int | None]:
    """Return a seed for each answer: the one that is asked for, or a different one each time."""
    seed = asked.sampling.get("seed")
    if seed is None and asked.answers == 1 and not asked.sampling.get("temperature"):
        return [None]
    if seed is None:
        seed = random.getrandbits(31)
    return [(seed + n) % SEEDS for n in range(asked.answers)]


async def _answer(
    held: Services,
    person: Person,
    model: Runnable[LanguageModelInput, Any],
    messages: Sequence[BaseMessage],
    id: UUID,
    seed: int | None,
    told: Mapping[str, str],
) -> AsyncGenerator[Piece]:
    """Write one answer, once there is room for it; its trace tells what it is told here."""
    config: RunnableConfig = {
        "run_id": id,
        "run_name": NAME,
        "metadata": {"person": person.id, "interface": "openai", **told},
    }
    if seed is not None:
        model = model.bind(seed=seed)
    async with held.runs.admission.place(person.id):
        if person.id != held.people.local.id:  # whose what nobody claims is
            await held.work(held.people.owners.claim, "trace", str(id), person.id)
        watch = _Watch(held)
        try:
            written = model.astream(list(messages), config)
            reader = _Reader()
            async with aclosing(cast("AsyncGenerator[Any]", written)) as chunks:
                async for chunk in chunks:
                    for piece in reader.read(chunk):
                        watch.token()
                        yield piece
            watch.end("success")
            yield reader.end(str(id))
        except Exception as error:
            watch.end("error")
            if (refused := _refused(error)) is not None:
                raise refused from error
            raise
        finally:
            watch.end("interrupted")


def _refused(error: Exception) -> Problem | None:
    """Tell errors that the request brought about from those of the model."""
    if type(error) is ModelError and ("template refuses" in str(error) or "logit" in str(error)):
        return Problem(400, str(error), hint=error.hint, code="invalid_value")
    return None


class _Reader:
    """Turns LangChain's chunks into pieces, and keeps what the end of the answer tells."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._reason: str | None = None
        self._calls: dict[Any, int] = {}

    def read(self, chunk: AIMessageChunk) -> list[Piece]:
        """Return what a chunk brings."""
        about = chunk.response_metadata
        self._reason = about.get("finish_reason") or self._reason
        if (cost := chunk.usage_metadata) is not None:
            cached = (cost.get("input_token_details") or {}).get("cache_read") or 0
            self.usage += Usage(cost["input_tokens"], cached, cost["output_tokens"])
        piece = Piece(
            text=chunk.text,
            reasoning=str(chunk.additional_kwargs.get("reasoning_content") or ""),
            calls=tuple(self._call(call) for call in chunk.tool_call_chunks),
            logprobs=tuple(map(_finite, (about.get("logprobs") or {}).get("content") or ())),
        )
        return [piece] if piece != Piece() else []

    def _call(self, call: Mapping[str, Any]) -> CallPiece:
        key = call["index"] if call["index"] is not None else call["id"]
        begins = key not in self._calls
        index = self._calls.setdefault(key, len(self._calls))
        arguments = call["args"] or ""
        if not begins:
            return CallPiece(index, arguments)
        id = call["id"] or ""
        return CallPiece(index, arguments, id=f"call_{id.removeprefix('call_')}", name=call["name"])

    def end(self, id: str) -> Piece:
        """Return the last piece."""
        reason = _REASONS.get(self._reason or "", "tool_calls" if self._calls else "stop")
        return Piece(end=End(reason, self.usage, {"run_id": id}))


def _finite(token: dict[str, Any]) -> dict[str, Any]:
    """Write what is impossible as OpenAI does: JSON has no infinity."""
    others = [{**one, "logprob": max(one["logprob"], _IMPOSSIBLE)} for one in token["top_logprobs"]]
    return {**token, "logprob": max(token["logprob"], _IMPOSSIBLE), "top_logprobs": others}


class _Watch:
    """Counts one call in the server's metrics; its tokens are counted wherever models run."""

    def __init__(self, held: Services) -> None:
        self._metrics = held.metrics
        self._began = time.monotonic()
        self._written = False
        self._ended = False
        self._metrics.run_began(NAME)

    def token(self) -> None:
        """Note that something was written."""
        if not self._written:
            self._written = True
            self._metrics.first_token(NAME, time.monotonic() - self._began)

    def end(self, status: str) -> None:
        """Note how it ended; the first word counts."""
        if not self._ended:
            self._ended = True
            self._metrics.run_ended(NAME, status, time.monotonic() - self._began)
