"""`POST /v1/chat/completions`."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from groundling.server.openai import graph_answers, model_answers
from groundling.server.openai.asked import Asked
from groundling.server.openai.bodies import read, reply, wrong
from groundling.server.openai.chat_forms import Head, choice, delta_of, total
from groundling.server.openai.chat_request import ChatRequest, StreamOptions
from groundling.server.openai.names import Target, find
from groundling.server.openai.pieces import End, Pieces, Whole
from groundling.server.openai.streams import Frames, begun, together, unless_gone
from groundling.server.person import person_of
from groundling.server.problems import answer as problem_answer
from groundling.server.problems import told_of
from groundling.server.services import Services, services
from groundling.server.sse import HEARTBEAT, as_json, frame

if TYPE_CHECKING:
    from groundling.server.openai.pieces import Piece
    from groundling.server.person import Person

Json = dict[str, Any]
_LOG = logging.getLogger("groundling.server")
DONE = frame(b"[DONE]")


async def create(request: Request) -> Response:
    """Answer a conversation."""
    body = await read(request, ChatRequest)
    held, person = services(request), person_of(request)
    asked = body.asked()
    target = await held.work(find, held, person, body.model, asked.extras.knowledge)
    ids = [uuid4() for _ in range(asked.answers)]
    sources = await sources_of(held, person, target, asked, ids)
    head = Head(f"chatcmpl-{ids[0].hex}", target.id, int(time.time()), body.metadata)
    if not body.stream:
        whole = await unless_gone(request, gather(sources))
        return reply(head.completion(whole))
    pieces = await begun(request, together(sources))
    options = body.stream_options or StreamOptions()
    home = held.settings.home
    frames = _frames(head, pieces, asked.answers, home, usage=options.include_usage)
    return Frames(frames, {"X-Run-Id": str(ids[0])})


async def sources_of(
    held: Services, person: Person, target: Target, asked: Asked, ids: Sequence[Any]
) -> list[Pieces]:
    """Return the answers of a model, which begin when they are read.

    Raises:
        Problem: 400; the model does not do what is asked. 404; it is none that answers.
    """
    if target.kind == "embedder":
        hint = "POST /v1/embeddings takes it; GET /v1/models lists what answers."
        raise wrong("model", f"{target.id} makes vectors and answers nothing", hint=hint)
    if target.kind == "graph":
        run = graph_answers.run_request(person, target, asked, ids[0])
        return [graph_answers.answer(held, run, asked)]
    return await held.work(model_answers.answers, held, person, asked, ids, target.adapter)


async def gather(sources: Sequence[Pieces]) -> list[Whole]:
    """Wait for whole answers."""
    answers = [Whole() for _ in sources]
    async with aclosing(together(sources)) as pieces:
        async for one in pieces:
            if one is not None:
                answers[one[0]].add(one[1])
    return answers


async def _frames(
    head: Head,
    pieces: AsyncGenerator[tuple[int, Piece] | None],
    answers: int,
    home: Path,
    *,
    usage: bool,
) -> AsyncGenerator[bytes]:
    """Write chunks; what fails once they have begun is the last one."""
    further: Json = {"usage": None} if usage else {}
    ends: dict[int, End] = {}

    def chunk(choices: list[Json], **more: Any) -> bytes:
        return frame(as_json(head.chunk(choices, **further, **more)))

    for n in range(answers):
        yield chunk([choice(n, {"role": "assistant", "content": ""})])
    try:
        async with aclosing(pieces):
            async for one in pieces:
                if one is None:
                    yield HEARTBEAT
                    continue
                n, piece = one
                if piece.step is not None:
                    yield chunk([choice(n, {})], groundling={"step": piece.step})
                elif piece.end is not None:
                    ends[n] = piece.end
                    yield chunk([choice(n, {}, piece.end.reason)], groundling=piece.end.beside)
                else:
                    probable = {"content": piece.logprobs, "refusal": None}
                    logprobs = probable if piece.logprobs else None
                    yield chunk([choice(n, delta_of(piece), logprobs=logprobs)])
    except Exception as error:
        yield failed(error, home)
        return
    if usage:
        told = total([ends[n] for n in sorted(ends)])
        yield frame(as_json({**head.chunk([]), "usage": told}))
    yield DONE


def failed(error: Exception, home: Path) -> bytes:
    """Write an error into a stream that has begun."""
    problem = told_of(error, home)
    if problem.status == 500:
        _LOG.error("An answer failed while it was written.", exc_info=error)
    told = problem_answer(problem, "/v1")
    return frame(cast("bytes", told.body))
