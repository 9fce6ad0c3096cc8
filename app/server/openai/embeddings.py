"""`POST /v1/embeddings`: vectors of the configured embedder."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from groundling.models.embedder import CountsTokens
from groundling.server.openai.bodies import Body, path, read, reply, unsupported, wrong
from groundling.server.openai.names import embedder_id, unknown
from groundling.server.openai.streams import unless_gone
from groundling.server.person import Person, person_of
from groundling.server.services import Services, services

if TYPE_CHECKING:
    from groundling.models.embedder import Embedder

MOST = 2048
_AT_ONCE = 32  # texts; between them a client that went away is noticed


class EmbeddingRequest(Body):
    """The body; `input_type` is not OpenAI's: some embedders tell questions from passages."""

    model: str = Field(max_length=300)
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: Literal["query", "passage"] = "passage"
    user: str | None = None

    def texts(self) -> list[str]:
        """Return the texts.

        Raises:
            Problem: 400; there is none, too many, an empty one, or tokens instead.
        """
        given = [self.input] if isinstance(self.input, str) else self.input
        if not given:
            raise wrong("input", "there is no text")
        if len(given) > MOST:
            raise wrong("input", f"there are {len(given)} texts; at most {MOST} can be given")
        for n, text in enumerate(given):
            where = path("input", n) if isinstance(self.input, list) else "input"
            if isinstance(text, int | list) and not isinstance(text, bool):
                hint = "Send the text itself; tokens of another vocabulary mean nothing here."
                raise unsupported(where, "arrays of tokens are not read", hint=hint)
            if not isinstance(text, str):
                raise wrong(where, "it is no text")
            if not text.strip():
                raise wrong(where, "the text is empty")
        return given


async def create(request: Request) -> Response:
    """Return a vector for each text."""
    body = await read(request, EmbeddingRequest)
    held, person = services(request), person_of(request)
    texts = body.texts()
    if body.model != embedder_id(held):
        raise unknown(body.model)
    embedder = await held.work(lambda: held.home.embedder)
    length = int(embedder.fingerprint["dimension"])
    if body.dimensions is not None and body.dimensions != length:
        raise unsupported("dimensions", f"the vectors of {body.model} have {length} numbers")
    question = body.input_type == "query"
    work = _vectors(held, person, embedder, texts, question=question)
    vectors, tokens = await unless_gone(request, work)
    return await held.work(_answer, body, vectors, tokens)


def _answer(body: EmbeddingRequest, vectors: list[list[float]], tokens: int) -> Response:
    """Write the answer: of 2048 vectors that takes tens of milliseconds."""
    data = [
        {"object": "embedding", "index": n, "embedding": _written(vector, body.encoding_format)}
        for n, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return reply({"object": "list", "data": data, "model": body.model, "usage": usage})


async def _vectors(
    held: Services, person: Person, embedder: Embedder, texts: list[str], *, question: bool
) -> tuple[list[list[float]], int]:
    def part(some: list[str]) -> tuple[list[list[float]], int]:
        if question:
            made = [embedder.embed_query(text) for text in some]
        else:
            made = embedder.embed_documents(some)
        return made, sum(count(embedder, text) for text in some)

    vectors: list[list[float]] = []
    tokens = 0
    async with held.runs.admission.place(person.id):
        for start in range(0, len(texts), _AT_ONCE):
            made, read_tokens = await held.work(part, texts[start : start + _AT_ONCE])
            vectors += made
            tokens += read_tokens
    return vectors, tokens


def count(embedder: Embedder, text: str) -> int:
    """Count the tokens that an embedder reads of a text; estimate them where it does not tell."""
    if isinstance(embedder, CountsTokens):
        return embedder.count_tokens(text)
    from groundling.models.remote.server import estimate

    return min(estimate(text), int(embedder.fingerprint.get("max_tokens") or len(text)))


def _written(vector: list[float], form: str) -> list[float] | str:
    if form == "float":
        return vector
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
