"""Answers of graphs: run for this request alone, and shown when they are final.

`rag` and `agent` change what was written after it was written: they take out what no passage
bears out, mend refuted claims, refuse. Their text is held back until it is final, and the
steps are told meanwhile. What other graphs write is final, or cleared by the guard, piece by
piece, and is passed on as it comes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from groundling.models.prompts import language_of
from groundling.server.graphs import Wishes
from groundling.server.openai.asked import Asked
from groundling.server.openai.bodies import unsupported, wrong
from groundling.server.openai.footnotes import footnotes, waiting, without
from groundling.server.openai.graph_runs import MODES, moments
from groundling.server.openai.names import Target
from groundling.server.openai.pieces import End, FinishReason, Piece, Usage
from groundling.server.person import Person
from groundling.server.runs.request import RunRequest

if TYPE_CHECKING:
    from groundling.server.services import Services

HELD = ("agent", "rag")
TOLD = ("verdict", "citations", "claims", "notices", "steps", "closest")
_PIECE = 40  # characters, of a text that comes as a whole
_WISHES = ("temperature", "top_p", "seed", "max_tokens")


def run_request(person: Person, target: Target, asked: Asked, id: UUID) -> RunRequest:
    """Return the run that answers.

    Raises:
        Problem: 400; the request asks for what a graph does not do.
    """
    _refuse(asked, target.id)
    sampling = {name: asked.sampling[name] for name in _WISHES if name in asked.sampling}
    return RunRequest(
        person=person,
        graph=target.graph,
        input=_input(target, asked.messages),
        run_id=id,
        wishes=Wishes(
            knowledge=target.knowledge,
            adapter=target.adapter,
            strict=asked.extras.strict,
            **sampling,
        ),
        stream_mode=MODES,
        on_disconnect="cancel",
        origin="openai",
    )


def _refuse(asked: Asked, id: str) -> None:
    """Refuse what would have to be ignored.

    Raises:
        Problem: 400; it names the field.
    """
    sampling = asked.sampling
    given = {
        "tools": asked.tools,
        "response_format": asked.form,
        "stop": asked.stop,
        "n": asked.answers > 1,
        "logprobs": sampling.get("logprobs"),
        "logit_bias": sampling.get("logit_bias"),
        "frequency_penalty": sampling.get("frequency_penalty"),
        "presence_penalty": sampling.get("presence_penalty"),
    }
    hint = "Ask the bare model; GET /v1/models lists it first."
    for param, value in given.items():
        if value:
            raise unsupported(param, f"the model {id} is a graph and does not take it", hint=hint)


def _input(target: Target, messages: Sequence[BaseMessage]) -> dict[str, Any]:
    """Return what the graph takes: what person and model have said, the question last.

    Raises:
        Problem: 400; the last message is not the person's.
    """
    said: list[dict[str, str]] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            said.append({"role": "user", "content": message.text})
        elif isinstance(message, AIMessage) and message.text:
            said.append({"role": "assistant", "content": without(message.text)})
    if not isinstance(messages[-1], HumanMessage) or not messages[-1].text.strip():
        raise wrong("messages", f"the model {target.id} answers a question, the last message")
    given: dict[str, Any] = {"messages": said}
    system = [message.text for message in messages if isinstance(message, SystemMessage)]
    if system and target.graph == "ask":
        given["system"] = "\n\n".join(system)
    return given


async def answer(held: Services, request: RunRequest, asked: Asked) -> AsyncGenerator[Piece]:
    """Run the graph; leaving the loop cancels it.

    Raises:
        Problem: the run could not be started, or failed.
    """
    question = asked.messages[-1].text
    values: Mapping[str, Any] = {}
    shown, usage = "", Usage()
    async with aclosing(moments(held, request)) as run:
        async for moment in run:
            usage += moment.usage or Usage()
            values = values if moment.values is None else moment.values
            if moment.step is not None:
                yield Piece(step=moment.step)
            if moment.text and request.graph not in HELD:
                shown += moment.text
                yield Piece(text=moment.text)
    for text in pieces_of(rest_of(final_text(values, question), shown, values)):
        yield Piece(text=text)
    if asked.extras.footnotes and (below := footnotes(values, language_of(question))):
        yield Piece(text=below)
    yield Piece(end=End(_reason(values), usage, beside(values, str(request.run_id))))


def final_text(values: Mapping[str, Any], question: str) -> str:
    """Return what a run answers: its text, or what it waits for."""
    if interrupts := values.get("__interrupt__"):
        return waiting(interrupts, language_of(question))
    return str(values.get("answer") or "")


def rest_of(final: str, shown: str, values: Mapping[str, Any]) -> str:
    """Return what of the final text was not shown; of a replaced text, all of it."""
    if final.startswith(shown):
        return final[len(shown) :]
    replaced = values.get("verdict") == "blocked" or "__interrupt__" in values
    return f"\n\n{final}" if replaced else ""


def pieces_of(text: str) -> Iterator[str]:
    """Cut a text into pieces that end at spaces, where there are any."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text) and (space := text.rfind(" ", start, end)) > start:
            end = space + 1
        yield text[start:end]
        start = end


def _reason(values: Mapping[str, Any]) -> FinishReason:
    return "content_filter" if values.get("verdict") == "blocked" else "stop"


def beside(values: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """Return what is told beside the text."""
    told = {name: values[name] for name in TOLD if values.get(name) is not None}
    if interrupts := values.get("__interrupt__"):
        told["waiting"] = interrupts
    return {**told, "run_id": run_id}
